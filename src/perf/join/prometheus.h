// A scraped page of metrics: Prometheus text format 0.0.4 and OpenMetrics 1.0.
//
// Only samples are kept; HELP, TYPE and other comments are skipped. What comes is hostile: the
// page, its number of samples and of labels are bounded, and a line that cannot be read fails the
// page with its number. Pure; one thread at a time.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sis::perf {

struct MetricSample {
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;

  // Empty when there is no such label.
  std::string_view label(std::string_view name) const;
};

class MetricPage {
 public:
  static constexpr size_t kPageBytesMax = 16 << 20;
  static constexpr size_t kSamplesMax = 200'000;
  static constexpr size_t kLabelsMax = 64;  // of one sample

  static Result<MetricPage> parse(std::string_view text);

  // Null when the page has no sample of this name.
  const std::vector<MetricSample>* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  bool has_prefix(std::string_view prefix) const;
  size_t samples() const { return samples_; }

 private:
  std::map<std::string, std::vector<MetricSample>, std::less<>> families_;
  size_t samples_ = 0;
};

}  // namespace sis::perf
