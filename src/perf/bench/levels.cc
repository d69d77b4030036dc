#include "perf/bench/levels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "perf/bench/flags.h"

namespace sis::perf {
namespace {

constexpr size_t kStagesMax = 1000;

Error bad(std::string what, std::string_view got) {
  return Error{Code::kInvalidArgument, concat("want ", what, ", got ", in_quotes(got))};
}

}  // namespace

Result<Levels> parse_levels(std::string_view text, double low, double high, bool whole) {
  const auto what = [&] {
    return fmt::format("{} {}..{}, a list (1,2,4) or a range start:end[:step]",
                       whole ? "a whole number" : "a number", low, high);
  };
  const auto number = [&](std::string_view part) -> std::optional<double> {
    const auto value = parse_double(trim(part));
    if (!value || (whole && *value != std::floor(*value))) return std::nullopt;
    return value;
  };
  const auto level = [&](std::string_view part) {
    const auto value = number(part);
    return value && *value >= low && *value <= high ? value : std::nullopt;
  };
  Levels levels;
  const auto items = split(text, ',');
  for (const std::string& item : items) {
    const auto bounds = split(item, ':');
    const auto start = level(bounds[0]);
    if (!start || bounds.size() > 3) return bad(what(), text);
    if (bounds.size() == 1) {
      levels.values.push_back(*start);
      continue;
    }
    const auto end = level(bounds[1]), step = bounds.size() == 3 ? number(bounds[2]) : 1.0;
    if (!end || !step || *step <= 0 || *end < *start) return bad(what(), text);
    if (levels.values.size() + 1 > kLevelsMax)
      return bad(concat("up to ", kLevelsMax, " levels"), text);
    const double count = std::floor((*end - *start) / *step * (1 + 1e-12)) + 1;
    // A range for a search may hold more levels than a sweep would want.
    if (items.size() == 1) {
      levels.range_start = *start;
      levels.range_end = *end;
      levels.range_step = *step;
    }
    for (double i = 0; i < std::min<double>(count, kLevelsMax + 1); ++i)
      levels.values.push_back(*start + i * *step);
  }
  return levels;
}

Result<Profile> parse_stages(std::string_view text, double highest) {
  Profile profile;
  const auto items = split(text, ',');
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string_view item = trim(items[i]);
    const size_t colon = item.find(':');
    const auto target =
        parse_double(trim(colon == std::string_view::npos ? item : item.substr(colon + 1)));
    if (!target || *target < 0 || *target > highest)
      return bad(fmt::format("stages like 30s:20,1m:20,10s:0 with levels 0..{}", highest), text);
    if (colon == std::string_view::npos) {
      if (i > 0) return bad("a stage like 30s:20", item);
      profile.start = *target;
      continue;
    }
    const auto length = parse_duration(trim(item.substr(0, colon)));
    if (!length || *length > std::chrono::hours(24 * 7))
      return bad("a stage's time like 30s, up to 168h", item);
    profile.stages.push_back({*length, *target});
  }
  if (profile.stages.empty() || profile.stages.size() > kStagesMax)
    return bad(concat("1..", kStagesMax, " stages like 30s:20"), text);
  if (profile.length() <= Duration{} || profile.highest() <= 0)
    return bad("stages that last some time and rise above 0", text);
  return profile;
}

Result<TimeRange> parse_time_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto low = parse_duration(trim(text.substr(0, dash)));
  const auto high =
      dash == std::string_view::npos ? low : parse_duration(trim(text.substr(dash + 1)));
  if (!low || !high || *high < *low || *high > std::chrono::hours(24))
    return bad("a time like 1s or a range like 0.5s-2s, up to 24h", text);
  return TimeRange{*low, *high};
}

std::string LatencyLimit::text() const { return fmt::format("{}<{:g}ms", name, limit_ms); }

Result<LatencyLimit> parse_latency_limit(std::string_view text) {
  const Error error = bad("a limit like p99<500ms, mean<20ms or max<2s", text);
  const size_t less = text.find('<');
  if (less == std::string_view::npos) return error;
  LatencyLimit limit{.name = std::string(trim(text.substr(0, less)))};
  if (limit.name == "max") {
    limit.quantile = 1;
  } else if (limit.name == "avg" || limit.name == "mean") {
    limit.name = "mean";
  } else {
    const auto percent = limit.name.starts_with('p')
                             ? parse_double(std::string_view(limit.name).substr(1))
                             : std::nullopt;
    if (!percent || *percent <= 0 || *percent >= 100) return error;
    limit.quantile = *percent / 100;
  }
  const std::string_view value = trim(text.substr(less + 1));
  const auto plain = parse_double(value);
  const auto time = plain ? std::optional(from_ms(*plain)) : parse_duration(value);
  if (!time || *time <= Duration{} || *time > std::chrono::hours(24)) return error;
  limit.limit_ms = to_ms(*time);
  return limit;
}

std::optional<double> LevelSearch::next() const {
  if (!best_ && !broken_) return start_;
  if (!best_) return std::nullopt;  // the start did not keep it
  if (!broken_) return *best_ < end_ ? std::optional(end_) : std::nullopt;
  if (*broken_ - *best_ <= step_ * (1 + 1e-9)) return std::nullopt;
  const double middle = (*best_ + *broken_) / 2;
  return whole_ ? std::floor(middle) : middle;
}

void LevelSearch::note(double level, bool kept) {
  auto& bound = kept ? best_ : broken_;
  if (!bound || (kept ? level > *bound : level < *bound)) bound = level;
}

}  // namespace sis::perf
