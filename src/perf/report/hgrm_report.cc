#include "perf/report/hgrm_report.h"

#include <fmt/format.h>

#include <cmath>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr int kTicksPerHalfDistance = 5;

}  // namespace

// The walk of HdrHistogram's PercentileIterator: a line when the counters seen so far reach the
// wanted percentile, then a step that is a fifth of the distance from the last power of two to 100.
std::string hgrm_text(const HistogramData& histogram) {
  std::string out = fmt::format("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile",
                                "TotalCount", "1/(1-Percentile)");
  const auto total = static_cast<double>(histogram.count);
  double wanted = 0;
  uint64_t seen = 0;
  for (size_t i = 0; i < histogram.counts_ms.size(); ++i) {
    const auto& [upper, in_counter] = histogram.counts_ms[i];
    if (in_counter == 0) continue;
    seen += in_counter;
    const double here = 100 * static_cast<double>(seen) / total;
    const bool last = seen >= histogram.count;
    const double value = last && histogram.max_ms > 0 ? histogram.max_ms : upper;
    while (wanted <= here && wanted < 100) {
      out += fmt::format("{:12.3f} {:.12f} {:10} {:14.2f}\n", value, wanted / 100, seen,
                         1 / (1 - wanted / 100));
      const double half_distance = std::exp2(std::trunc(std::log2(100 / (100 - wanted))) + 1);
      wanted += 100 / (kTicksPerHalfDistance * half_distance);
      if (last) break;  // all is counted: only the line of 100 % follows
    }
    if (last) out += fmt::format("{:12.3f} {:.12f} {:10}\n", value, 1.0, seen);
  }
  out += fmt::format("#[Mean    = {:12.3f}, StdDeviation   = {:12.3f}]\n", histogram.mean_ms,
                     histogram.stdev_ms);
  out += fmt::format("#[Max     = {:12.3f}, Total count    = {:12}]\n", histogram.max_ms,
                     histogram.count);
  // 26 powers of two of 1,024 counters above the first 2,048: see histogram.h.
  out += fmt::format("#[Buckets = {:12}, SubBuckets     = {:12}]\n", 26, 2048);
  return out;
}

std::vector<std::pair<std::string, std::string>> hgrm_files(const Report& report) {
  std::vector<std::pair<std::string, std::string>> out;
  size_t number = 0;
  for (const RunData& run : report.runs) {
    ++number;
    const std::string suffix = number == 1 ? std::string() : concat(".", number);
    out.emplace_back(suffix, hgrm_text(run.latency));
    if (!run.service.empty()) out.emplace_back(suffix + ".service", hgrm_text(run.service));
  }
  if (out.empty()) out.emplace_back("", hgrm_text({}));
  return out;
}

}  // namespace sis::perf
