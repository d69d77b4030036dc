// What a server counted while a run went on, from several scrapes of its metrics.
//
// Counters are followed from scrape to scrape, so that a restart in between (a counter that fell)
// is noticed and costs only what was counted between the last scrape and the restart. Means are
// increase of sum over increase of count; percentiles come from a histogram's buckets by linear
// interpolation, so they are as coarse as those. Gauges are averaged over the scrapes. Pure; one
// thread at a time.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "perf/join/server_kind.h"

namespace sis::perf {

class ServerView {
 public:
  // With `model`, only what the server counted for it, where its metrics tell models apart.
  ServerView(const ServerKind& kind, std::string model);

  // Errors: more series came in all than are kept; nothing is counted from then on.
  Status add(const MetricPage& page);
  const ServerKind& kind() const { return kind_; }
  bool overflowed() const { return last_.size() > kSeriesMax; }
  int scrapes() const { return scrapes_; }
  int resets() const { return resets_; }  // scrapes that found a counter lower than before

  // {kind, scrapes, resets, KEY: value..., KEY_p50_ms, KEY_p99_ms, KEY_max for gauges}: only what
  // the server told; a mean of nothing is left out.
  nlohmann::ordered_json json() const;

 private:
  // Names and labels may change from page to page, so a page's own bound bounds nothing here.
  static constexpr size_t kSeriesMax = 2 * MetricPage::kSamplesMax;

  struct Gauge {
    double sum = 0, max = 0;
    int scrapes = 0;
  };
  using Buckets = std::map<double, double>;  // upper end -> increase, cumulative as scraped
  struct Sums {
    double first = 0, second = 0;
    double first_count = 0, second_count = 0, requests = 0;  // of rests
    bool seen = false;
    Buckets buckets;
  };

  static Error too_many();
  static std::optional<double> rest_of(const Sums& sums);
  bool has_better_name(const MetricPage& page, const MetricMeaning& meaning) const;
  bool counts(const MetricSample& sample, const MetricMeaning& meaning) const;
  double take_increase(const MetricPage& page, const MetricMeaning& meaning,
                       const std::string& name, Buckets* buckets);
  void note_gauges(const MetricPage& page);

  const ServerKind& kind_;
  std::string model_;
  bool by_model_ = false;  // the pages have series of this model
  int scrapes_ = 0, resets_ = 0;
  bool fell_ = false;  // a counter of this scrape is lower than before

  std::map<std::string, double> last_;  // series -> value
  std::vector<Sums> sums_;              // of each meaning
  std::map<std::string_view, Gauge> gauges_;
};

// One line for people out of json(): "queue 0.2 ms, compute 8.1 ms, batch 4.2, cache hits 31 %".
std::string server_text(const nlohmann::ordered_json& server);
// The same as a line of a run's summary, or what went wrong.
std::string server_lines(const nlohmann::ordered_json& server);

}  // namespace sis::perf
