#include "perf/report/histogram_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

struct Quantile {
  const char* name;
  double q;
};
constexpr Quantile kShown[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}};
constexpr Quantile kStored[] = {{"p50", 0.5},  {"p75", 0.75},    {"p90", 0.9},      {"p95", 0.95},
                                {"p99", 0.99}, {"p99_9", 0.999}, {"p99_99", 0.9999}};

}  // namespace

std::string histogram_text(const Histogram& histogram) {
  std::string text;
  for (const auto& [name, q] : kShown)
    text += fmt::format("{} {}  ", name, short_number(histogram.quantile_ms(q)));
  return text + fmt::format("max {}  mean {}", short_number(histogram.max_ms()),
                            short_number(histogram.mean_ms()));
}

Json histogram_json(const Histogram& histogram, bool with_counts) {
  Json out;
  out["count"] = histogram.count();
  if (histogram.empty()) return out;
  out["min"] = histogram.min_ms();
  for (const auto& [name, q] : kStored) out[name] = histogram.quantile_ms(q);
  out["max"] = histogram.max_ms();
  out["mean"] = histogram.mean_ms();
  out["stdev"] = histogram.stdev_ms();
  if (histogram.clamped() > 0) out["over_an_hour"] = histogram.clamped();
  if (with_counts) {
    Json counts = Json::array();
    histogram.for_each([&](double upper_ms, uint64_t count) {
      counts.push_back({upper_ms, count});
    });
    out["counts_up_to_ms"] = std::move(counts);
  }
  return out;
}

}  // namespace sis::perf
