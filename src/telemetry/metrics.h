// Metrics: counters, gauges and histograms that cost some nanoseconds to move, and their text for
// Prometheus.
//
// Observing takes no lock and no look-up: callers ask a family for the series of their label values
// once and keep the reference. Counters and histograms are split over cache lines by thread
// (prometheus-cpp's own metrics are compare-and-swap loops and, for histograms, a mutex; its data
// model and 0.0.4 text are used as they are). Label values are bounded: a family that has
// `series_max` series folds further ones into the value "other". The Registry owns everything and
// outlives all users. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/recent_quantiles.h"

namespace sis::telemetry {

namespace internal {
inline constexpr unsigned kShards = 8;
// This thread's shard: threads take them in turn.
inline unsigned shard() {
  static std::atomic<unsigned> next{0};
  thread_local const unsigned mine = next.fetch_add(1, std::memory_order_relaxed) % kShards;
  return mine;
}
}  // namespace internal

class Counter {
 public:
  // `unit`: what one of `count` stands for in the exposition (1e-6: microseconds shown as seconds).
  explicit Counter(double unit = 1) : unit_(unit) {}

  void add(uint64_t count = 1) {
    shards_[internal::shard()].count.fetch_add(count, std::memory_order_relaxed);
  }
  uint64_t value() const;
  double unit() const { return unit_; }

 private:
  struct alignas(64) Shard {
    std::atomic<uint64_t> count{0};
  };
  std::array<Shard, internal::kShards> shards_;
  const double unit_;
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double change);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<double> value_{0};
};

class Histogram {
 public:
  // Upper bounds, rising; +Inf is implied.
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);

  struct Snapshot {
    std::vector<uint64_t> counts;  // per bucket, the last one above all bounds
    uint64_t count = 0;
    double sum = 0;
  };
  Snapshot snapshot() const;
  const std::vector<double>& bounds() const { return bounds_; }

 private:
  const std::vector<double> bounds_;
  const size_t stride_;  // atomics per shard, a whole number of cache lines; slot 0 is the sum
  std::unique_ptr<std::atomic<uint64_t>[]> cells_;
  std::atomic<uint64_t>* base_;  // cells_ aligned to a cache line
};

inline constexpr size_t kSeriesMax = 1000;

// All series of one metric name.
template <class Metric>
class Family {
 public:
  // The series with these label values (as many as label names), made on first use. Takes a lock:
  // keep the reference.
  Metric& with(const std::vector<std::string>& values);
  // The only series of a family without labels.
  Metric& only() { return with({}); }

 private:
  friend class Registry;
  Family(std::vector<std::string> labels, std::function<std::unique_ptr<Metric>()> make,
         size_t series_max)
      : labels_(std::move(labels)), make_(std::move(make)), series_max_(series_max) {}

  const std::vector<std::string> labels_;
  const std::function<std::unique_ptr<Metric>()> make_;
  const size_t series_max_;
  mutable std::mutex mutex_;
  std::map<std::vector<std::string>, std::unique_ptr<Metric>> series_;
};

// One sample of a callback.
struct Sample {
  std::vector<std::string> label_values;
  double value = 0;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;

  // Names are unique (SIS_CHECK). Counters end in _total. A family without labels has its series,
  // at 0, at once.
  Family<Counter>& counters(std::string name, std::string help, std::vector<std::string> labels,
                            double unit = 1);
  Family<Gauge>& gauges(std::string name, std::string help, std::vector<std::string> labels);
  Family<Histogram>& histograms(std::string name, std::string help, std::vector<std::string> labels,
                                std::vector<double> bounds);
  Counter& counter(std::string name, std::string help) {
    return counters(std::move(name), std::move(help), {}).only();
  }
  Gauge& gauge(std::string name, std::string help) {
    return gauges(std::move(name), std::move(help), {}).only();
  }
  Histogram& histogram(std::string name, std::string help, std::vector<double> bounds) {
    return histograms(std::move(name), std::move(help), {}, std::move(bounds)).only();
  }

  // Asked on every scrape, on the scraping thread, without a lock of the Registry's held for
  // observers. The registration ends when the returned handle is dropped (which waits for a scrape
  // in progress).
  using Callback = std::function<std::vector<Sample>()>;
  std::shared_ptr<void> gauge_callback(std::string name, std::string help,
                                       std::vector<std::string> labels, Callback callback);
  std::shared_ptr<void> counter_callback(std::string name, std::string help,
                                         std::vector<std::string> labels, Callback callback);

  // Runs at the start of every scrape, to set gauges that are only worth computing then. Same
  // rules.
  std::shared_ptr<void> on_scrape(std::function<void()> hook);

  // The answer to a scrape with this Accept header.
  struct Exposition {
    std::string content_type;
    std::string body;
  };
  Exposition expose(std::string_view accept) const;

 private:
  struct Entry;
  struct State;
  Entry& add(std::string name, std::string help, std::vector<std::string> labels);
  std::shared_ptr<void> add_callback(std::string name, std::string help,
                                     std::vector<std::string> labels, Callback callback,
                                     bool counts_up);
  std::shared_ptr<State> state_;  // shared: callback handles may be dropped after the Registry
};

// Whether an Accept header prefers OpenMetrics to the plain text format.
bool accepts_openmetrics(std::string_view accept);

// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
// process_open_fds, process_max_fds, process_start_time_seconds, process_uptime_seconds,
// process_cpu_percent (since the scrape before, 100 = one core busy) and process_memory_bytes.
// Lives as long as the handle.
std::shared_ptr<void> expose_process(Registry& registry);

}  // namespace sis::telemetry
