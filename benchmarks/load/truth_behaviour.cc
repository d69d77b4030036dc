#include "truth_behaviour.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace sis::truth {
namespace {

constexpr double kMsMax = 600'000;
constexpr double kBodyBytesMax = 64 << 20;
constexpr double kPiecesMax = 100'000;
constexpr double kSeedMax = 1e15;

constexpr std::array<std::pair<std::string_view, Kind>, 10> kKinds = {{
    {"fixed", Kind::kFixed},
    {"stall", Kind::kStall},
    {"queue", Kind::kQueue},
    {"drop", Kind::kDrop},
    {"reset", Kind::kReset},
    {"cut", Kind::kCut},
    {"trickle", Kind::kTrickle},
    {"sse", Kind::kSse},
    {"status", Kind::kStatus},
    {"never", Kind::kNever},
}};

Error wrong(std::string_view key, std::string_view want, std::string_view got) {
  return {Code::kInvalidArgument, concat(key, ": want ", want, ", got ", in_quotes(got))};
}

// `value` as a number from low to high.
Result<double> number(std::string_view key, std::string_view value, double low, double high) {
  const auto parsed = parse_double(value);
  if (!parsed || *parsed < low || *parsed > high)
    return wrong(key, fmt::format("a number from {:g} to {:g}", low, high), value);
  return *parsed;
}

Status set_key(Spec& spec, std::string_view key, std::string_view value) {
  const auto take = [&](double low, double high, auto&& set) -> Status {
    const auto parsed = number(key, value, low, high);
    if (!parsed.ok()) return parsed.error();
    set(*parsed);
    return {};
  };
  if (key == "ms") return take(0, kMsMax, [&](double v) { spec.delay = from_ms(v); });
  if (key == "sigma") return take(0, 5, [&](double v) { spec.sigma = v; });
  if (key == "length") return take(0, kMsMax, [&](double v) { spec.length = from_ms(v); });
  if (key == "gap") return take(0, kMsMax, [&](double v) { spec.gap = from_ms(v); });
  if (key == "gap_sigma") return take(0, 5, [&](double v) { spec.gap_sigma = v; });
  if (key == "share") return take(0, 1, [&](double v) { spec.share = v; });
  if (key == "code") return take(200, 599, [&](double v) { spec.code = static_cast<int>(v); });
  if (key == "pieces")
    return take(1, kPiecesMax, [&](double v) { spec.pieces = static_cast<int>(v); });
  if (key == "bytes")
    return take(0, kBodyBytesMax, [&](double v) { spec.body_bytes = static_cast<size_t>(v); });
  if (key == "seed")
    return take(0, kSeedMax, [&](double v) { spec.seed = static_cast<uint64_t>(v); });
  if (key == "every")  // ms of a stall's period; else every so many requests
    return take(1, kMsMax, [&](double v) {
      spec.every = from_ms(v);
      spec.nth = static_cast<uint64_t>(v);
    });
  if (key == "run") return {};
  return wrong("key",
               "ms, sigma, every, length, pieces, gap, gap_sigma, bytes, code, share, seed or run",
               key);
}

std::string nanoseconds(const auto& values) { return fmt::format("[{}]", fmt::join(values, ",")); }

}  // namespace

Result<Spec> parse_spec(std::string_view segment) {
  Spec spec;
  const std::vector<std::string> parts = split(segment, ',');
  const std::string_view name = parts.empty() ? std::string_view() : parts.front();
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const auto& kind) { return kind.first == name; });
  if (found == kKinds.end())
    return wrong("path",
                 "fixed, stall, queue, drop, reset, cut, trickle, sse, status or never as its "
                 "first segment",
                 name);
  spec.kind = found->second;
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    if (equals == std::string::npos) return wrong("path", "KEY=VALUE", parts[i]);
    const std::string_view part = parts[i];
    SIS_TRY(set_key(spec, part.substr(0, equals), part.substr(equals + 1)));
  }
  if (spec.kind == Kind::kStall && (spec.every == Duration{} || spec.length > spec.every))
    return wrong("stall", "every=MS above length=MS", segment);
  return spec;
}

Plan Behaviour::plan(TimePoint received) {
  const uint64_t number = requests_++;
  if (number == 0) origin_ = received;
  Plan plan{.first = received + draw(spec_.delay, spec_.sigma)};
  const bool nth = (number + 1) % spec_.nth == 0;
  switch (spec_.kind) {
    case Kind::kFixed:
    case Kind::kTrickle:
    case Kind::kSse:
      break;
    case Kind::kStall: {
      const Duration within = (received - origin_) % spec_.every;
      if (within >= spec_.every - spec_.length)
        plan.first = std::max(plan.first, received - within + spec_.every);
      break;
    }
    case Kind::kQueue:
      busy_until_ = std::max(busy_until_, received) + spec_.delay;
      plan.first = busy_until_;
      break;
    case Kind::kDrop:
      plan.answer = !nth;
      dropped_ += nth;
      break;
    case Kind::kReset:
    case Kind::kCut:
      plan.broken = nth;
      broken_ += nth;
      break;
    case Kind::kStatus: {
      const auto n = static_cast<double>(number);
      if (std::floor((n + 1) * spec_.share) > std::floor(n * spec_.share)) {
        plan.status = spec_.code;
        ++refused_;
      }
      break;
    }
    case Kind::kNever:
      plan.answer = false;
      break;
  }
  return plan;
}

Duration Behaviour::draw(Duration median, double sigma) {
  if (sigma == 0) return median;
  return from_seconds(to_seconds(median) * std::exp(sigma * rng_.normal()));
}

std::string Behaviour::log_json() const {
  std::vector<int64_t> received, planned, first, last, gaps;
  const auto since_origin = [&](TimePoint at) {
    return static_cast<int64_t>(std::chrono::nanoseconds(at - origin_).count());
  };
  for (const Record& record : records_) {
    received.push_back(since_origin(record.received));
    planned.push_back(since_origin(record.planned));
    first.push_back(since_origin(record.first));
    last.push_back(since_origin(record.last));
  }
  for (const Duration gap : gaps_) gaps.push_back(std::chrono::nanoseconds(gap).count());
  return fmt::format(
      "{{\"requests\":{},\"answered\":{},\"dropped\":{},\"broken\":{},\"refused\":{},"
      "\"client_gone\":{},\n\"received_ns\":{},\n\"planned_ns\":{},\n\"first_ns\":{},\n"
      "\"last_ns\":{},\n\"gaps_ns\":{}}}\n",
      requests_, records_.size(), dropped_, broken_, refused_, client_gone_, nanoseconds(received),
      nanoseconds(planned), nanoseconds(first), nanoseconds(last), nanoseconds(gaps));
}

}  // namespace sis::truth
