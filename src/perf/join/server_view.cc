#include "perf/join/server_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kShownMax = 1e18;  // whatever a server says: what fits a whole number

// The value below which the share `q` lies, from cumulative counts up to each bucket's end.
std::optional<double> bucket_quantile(const std::map<double, double>& buckets, double q) {
  if (buckets.empty()) return std::nullopt;
  const double total = buckets.rbegin()->second;
  if (total <= 0) return std::nullopt;
  const double rank = q * total;
  double low = 0, before = 0;
  for (const auto& [end, count] : buckets) {
    if (count >= rank) {
      if (!std::isfinite(end)) return low;  // beyond the last end that has a value
      return count > before ? low + (end - low) * (rank - before) / (count - before) : end;
    }
    low = end;
    before = count;
  }
  return low;
}

bool finite_number(double value) { return std::isfinite(value); }

// "queue_ms" -> "queue_p99_ms"
std::string with_quantile(std::string_view key, std::string_view quantile) {
  const size_t unit = key.rfind('_');
  return concat(key.substr(0, unit), "_", quantile, key.substr(unit));
}

}  // namespace

ServerView::ServerView(const ServerKind& kind, std::string model)
    : kind_(kind), model_(std::move(model)), sums_(kind.meanings.size()) {}

bool ServerView::has_better_name(const MetricPage& page, const MetricMeaning& meaning) const {
  if (!meaning.other_name) return false;
  for (const MetricMeaning& earlier : kind_.meanings) {
    if (&earlier == &meaning) break;
    const char* suffix = earlier.meaning == Meaning::kMean ? "_count" : "";
    if (earlier.key == meaning.key && page.has(concat(earlier.name, suffix))) return true;
  }
  return false;
}

bool ServerView::counts(const MetricSample& sample, const MetricMeaning& meaning) const {
  if (!meaning.label.empty() && !sample.label(meaning.label).starts_with(meaning.label_prefix))
    return false;
  if (!by_model_) return true;
  const std::string_view model = sample.label(kind_.model_label);
  return model.empty() || model == model_;
}

double ServerView::take_increase(const MetricPage& page, const MetricMeaning& meaning,
                                 const std::string& name, Buckets* buckets) {
  const auto* samples = page.find(name);
  if (samples == nullptr) return 0;
  double sum = 0;
  for (const MetricSample& sample : *samples) {
    if (!counts(sample, meaning) || !finite_number(sample.value)) continue;
    std::string series = concat(meaning.key, '\x1f', name);
    double end = 0;
    for (const auto& [key, value] : sample.labels) {
      series += concat('\x1f', key, '=', value);
      if (buckets != nullptr && key == "le")
        end = value == "+Inf" ? HUGE_VAL : parse_double(value).value_or(HUGE_VAL);
    }
    const auto [last, is_new] = last_.try_emplace(std::move(series), 0.0);
    double increase = sample.value - last->second;
    if (is_new && scrapes_ == 0) increase = 0;  // the first scrape is where counting begins
    if (increase < 0) {
      fell_ = true;
      increase = sample.value;
    }
    last->second = sample.value;
    sum += increase;
    if (buckets != nullptr) (*buckets)[end] += increase;
  }
  return sum;
}

void ServerView::note_gauges(const MetricPage& page) {
  std::map<std::string_view, double> now;
  for (const MetricMeaning& meaning : kind_.meanings) {
    if (meaning.meaning != Meaning::kGauge || has_better_name(page, meaning)) continue;
    const auto* samples = page.find(meaning.name);
    if (samples == nullptr) continue;
    for (const MetricSample& sample : *samples)
      if (counts(sample, meaning) && finite_number(sample.value))
        now[meaning.key] += sample.value * meaning.scale;
  }
  for (const auto& [key, value] : now) {
    Gauge& gauge = gauges_[key];
    gauge.sum += value;
    gauge.max = gauge.scrapes == 0 ? value : std::max(gauge.max, value);
    ++gauge.scrapes;
  }
}

Status ServerView::add(const MetricPage& page) {
  if (overflowed()) return too_many();
  if (!by_model_ && !model_.empty() && !kind_.model_label.empty())
    for (const MetricMeaning& meaning : kind_.meanings)
      for (const char* suffix : {"", "_count"})
        if (const auto* samples = page.find(concat(meaning.name, suffix)))
          for (const MetricSample& sample : *samples)
            by_model_ |= sample.label(kind_.model_label) == model_;
  fell_ = false;
  for (size_t i = 0; i < kind_.meanings.size(); ++i) {
    const MetricMeaning& meaning = kind_.meanings[i];
    if (has_better_name(page, meaning)) continue;
    Sums& sums = sums_[i];
    const std::string name(meaning.name), other(meaning.other);
    switch (meaning.meaning) {
      case Meaning::kGauge:
        break;
      case Meaning::kMean:
        sums.seen |= page.has(name + "_count");
        sums.first += take_increase(page, meaning, name + "_sum", nullptr);
        sums.second += take_increase(page, meaning, name + "_count", nullptr);
        take_increase(page, meaning, name + "_bucket", &sums.buckets);
        break;
      case Meaning::kCount:
        sums.seen |= page.has(name);
        sums.first += take_increase(page, meaning, name, nullptr);
        break;
      case Meaning::kRatioMean:
      case Meaning::kHitShare:
      case Meaning::kPartShare:
        sums.seen |= page.has(name) && page.has(other);
        sums.first += take_increase(page, meaning, name, nullptr);
        sums.second += take_increase(page, meaning, other, nullptr);
        break;
      case Meaning::kRest: {
        const std::string requests(meaning.requests);
        sums.seen |= page.has(name + "_count") && page.has(other + "_count") &&
                     page.has(requests + "_count");
        sums.first += take_increase(page, meaning, name + "_sum", nullptr);
        sums.second += take_increase(page, meaning, other + "_sum", nullptr);
        const double first = take_increase(page, meaning, name + "_count", nullptr);
        const double second = take_increase(page, meaning, other + "_count", nullptr);
        sums.first_count += first;
        sums.second_count += second;
        // A series is followed once a meaning.
        sums.requests += requests == name ? first
                         : requests == other
                             ? second
                             : take_increase(page, meaning, requests + "_count", nullptr);
        break;
      }
    }
  }
  note_gauges(page);
  if (fell_) ++resets_;
  ++scrapes_;
  return overflowed() ? Status(too_many()) : Status();
}

// Nothing without a request. A rest below 0 is one of times that are not of quite the same
// requests.
std::optional<double> ServerView::rest_of(const Sums& sums) {
  const double first_of = std::max(sums.first_count, sums.requests),
               second_of = std::max(sums.second_count, sums.requests);
  if (!(sums.requests > 0)) return std::nullopt;
  return std::max(0.0, sums.first / first_of - sums.second / second_of);
}

Error ServerView::too_many() {
  return Error{Code::kTooLarge, concat("the server's metrics have over ", kSeriesMax,
                                       " series, which change from scrape to scrape")};
}

Json ServerView::json() const {
  Json out;
  out["kind"] = kind_.name;
  if (by_model_) out["model"] = model_;
  out["scrapes"] = scrapes_;
  out["resets"] = resets_;
  // Meanings of one key stand apart in the table but are one figure.
  for (size_t i = 0; i < kind_.meanings.size(); ++i) {
    const MetricMeaning& meaning = kind_.meanings[i];
    const std::string key(meaning.key);
    if (out.contains(key)) continue;
    if (meaning.meaning == Meaning::kGauge) {
      const auto gauge = gauges_.find(meaning.key);
      if (gauge == gauges_.end()) continue;
      out[key] = gauge->second.sum / gauge->second.scrapes;
      out[key + "_max"] = gauge->second.max;
      continue;
    }
    Sums all;
    for (size_t k = i; k < kind_.meanings.size(); ++k) {
      if (kind_.meanings[k].key != meaning.key) continue;
      all.seen |= sums_[k].seen;
      all.first += sums_[k].first;
      all.second += sums_[k].second;
      all.first_count += sums_[k].first_count;
      all.second_count += sums_[k].second_count;
      all.requests += sums_[k].requests;
      // Buckets of unlike ends cannot be added: the fuller ones stand for both.
      if (!sums_[k].buckets.empty() &&
          (all.buckets.empty() || sums_[k].buckets.rbegin()->second > all.buckets.rbegin()->second))
        all.buckets = sums_[k].buckets;
    }
    if (!all.seen) continue;
    switch (meaning.meaning) {
      case Meaning::kCount:
        out[key] = all.first;
        break;
      case Meaning::kMean:
      case Meaning::kRatioMean:
        if (all.second > 0) out[key] = all.first / all.second * meaning.scale;
        break;
      case Meaning::kHitShare:
        if (all.first + all.second > 0) out[key] = all.first / (all.first + all.second);
        break;
      case Meaning::kPartShare:
        if (all.second > 0) out[key] = all.first / all.second;
        break;
      case Meaning::kRest:
        if (const auto rest = rest_of(all)) out[key] = *rest * meaning.scale;
        break;
      case Meaning::kGauge:
        break;
    }
    if (!out.contains(key) || !meaning.key.ends_with("_ms")) continue;
    for (const auto& [word, q] : {std::pair{"p50", 0.5}, std::pair{"p99", 0.99}})
      if (const auto value = bucket_quantile(all.buckets, q))
        out[with_quantile(key, word)] = *value * meaning.scale;
  }
  return out;
}

std::string server_text(const Json& server) {
  std::string out;
  const auto part = [&](std::string text) { out += concat(out.empty() ? "" : ", ", text); };
  const auto number = [&](const char* key) -> std::optional<double> {
    const auto found = server.find(key);
    if (found == server.end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
  };
  static constexpr std::pair<const char*, const char*> kTimes[] = {
      {"queue_ms", "queue"},
      {"batch_wait_ms", "batch wait"},
      {"prefill_ms", "prefill"},
      {"decode_ms", "decode"},
      {"decode_step_ms", "decode step"},
      {"compute_input_ms", "compute input"},
      {"compute_ms", "compute"},
      {"compute_output_ms", "compute output"},
      {"ttft_ms", "TTFT"},
      {"itl_ms", "ITL"},
      {"request_ms", "request"}};
  for (const auto& [key, word] : kTimes)
    if (const auto value = number(key)) part(concat(word, " ", short_number(*value), " ms"));
  if (const auto value = number("batch_size")) part(concat("batch ", short_number(*value)));
  if (const auto value = number("cache_hit_rate"))
    part(fmt::format("cache hits {:.0f} %", *value * 100));
  if (const auto value = number("prompt_cache_share"))
    part(fmt::format("prompt tokens cached {:.0f} %", *value * 100));
  // Gauges that no scrape found above 0 tell nothing: short runs are over between two of them.
  for (const char* key : {"running", "waiting"}) {
    const auto value = number(key), most = number(concat(key, "_max").c_str());
    if (value && most && *most > 0)
      part(concat(key, " ", short_number(*value), " (most ", short_number(*most), ")"));
  }
  static constexpr std::pair<const char*, const char*> kCounts[] = {
      {"requests", "requests"},          {"errors_4xx", "4xx errors"},
      {"errors_5xx", "5xx errors"},      {"errors", "errors"},
      {"rejected", "rejected"},          {"preemptions", "preemptions"},
      {"output_tokens", "output tokens"}};
  for (const auto& [key, word] : kCounts)
    if (const auto value = number(key); value && *value > 0)
      part(concat(with_commas(static_cast<uint64_t>(std::min(*value, kShownMax))), " ", word));
  if (number("resets").value_or(0) > 0) part("it was restarted in between");
  return out;
}

std::string server_lines(const Json& server) {
  std::string out;
  if (server.contains("kind")) {
    const std::string text = server_text(server);
    out += fmt::format("{:<12} {}: {}\n", "server:", server["kind"].get<std::string>(),
                       text.empty() ? std::string("nothing counted") : text);
  }
  if (server.contains("error"))
    out += fmt::format("{:<12} {}\n", "server:", server["error"].get<std::string>());
  return out;
}

}  // namespace sis::perf
