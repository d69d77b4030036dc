#include "telemetry/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <variant>

#include "base/check.h"
#include "telemetry/exposition.h"

namespace sis::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr size_t kCellsPerLine = 64 / sizeof(uint64_t);
constexpr size_t kLabelBytesMax = 256;

size_t round_up(size_t count, size_t step) { return (count + step - 1) / step * step; }

void add_double(std::atomic<uint64_t>& cell, double change) {
  uint64_t seen = cell.load(std::memory_order_relaxed);
  while (!cell.compare_exchange_weak(seen,
                                     std::bit_cast<uint64_t>(std::bit_cast<double>(seen) + change),
                                     std::memory_order_relaxed)) {
  }
}

bool is_metric_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

ClientMetric labelled(const std::vector<std::string>& names,
                      const std::vector<std::string>& values) {
  SIS_CHECK(names.size() == values.size(), "labels=", names.size(), " values=", values.size());
  ClientMetric metric;
  for (size_t i = 0; i < names.size(); ++i) metric.label.push_back({names[i], values[i]});
  return metric;
}

void fill(const Counter& counter, ClientMetric& out) {
  out.counter.value = static_cast<double>(counter.value()) * counter.unit();
}
void fill(const Gauge& gauge, ClientMetric& out) { out.gauge.value = gauge.value(); }
void fill(const Histogram& histogram, ClientMetric& out) {
  const auto snapshot = histogram.snapshot();
  out.histogram.sample_count = snapshot.count;
  out.histogram.sample_sum = snapshot.sum;
  uint64_t below = 0;
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    below += snapshot.counts[i];
    const double bound = i < histogram.bounds().size() ? histogram.bounds()[i]
                                                       : std::numeric_limits<double>::infinity();
    out.histogram.bucket.push_back({below, bound});
  }
}

}  // namespace

uint64_t Counter::value() const {
  uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard.count.load(std::memory_order_relaxed);
  return sum;
}

void Gauge::add(double change) {
  double seen = value_.load(std::memory_order_relaxed);
  while (!value_.compare_exchange_weak(seen, seen + change, std::memory_order_relaxed)) {
  }
}

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)),
      stride_(round_up(bounds_.size() + 2, kCellsPerLine)),
      cells_(
          std::make_unique<std::atomic<uint64_t>[]>(stride_ * internal::kShards + kCellsPerLine)) {
  SIS_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()) && !bounds_.empty(),
            "bounds=", bounds_.size());
  const auto address = reinterpret_cast<uintptr_t>(cells_.get());
  base_ = cells_.get() + (round_up(address, 64) - address) / sizeof(uint64_t);
}

void Histogram::observe(double value) {
  // Few bounds, mostly small values: a forward scan beats a binary search. NaN counts as above all
  // bounds.
  size_t bucket = 0;
  while (bucket < bounds_.size() && !(value <= bounds_[bucket])) ++bucket;
  std::atomic<uint64_t>* cells = base_ + internal::shard() * stride_;
  cells[1 + bucket].fetch_add(1, std::memory_order_relaxed);
  add_double(cells[0], value);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot out;
  out.counts.assign(bounds_.size() + 1, 0);
  for (unsigned shard = 0; shard < internal::kShards; ++shard) {
    const std::atomic<uint64_t>* cells = base_ + shard * stride_;
    out.sum += std::bit_cast<double>(cells[0].load(std::memory_order_relaxed));
    for (size_t i = 0; i < out.counts.size(); ++i)
      out.counts[i] += cells[1 + i].load(std::memory_order_relaxed);
  }
  for (const uint64_t count : out.counts) out.count += count;
  return out;
}

template <class Metric>
Metric& Family<Metric>::with(const std::vector<std::string>& values) {
  SIS_CHECK(values.size() == labels_.size(), "labels=", labels_.size(), " values=", values.size());
  std::vector<std::string> key = values;
  for (auto& value : key) {
    if (value.size() > kLabelBytesMax) value.resize(kLabelBytesMax);
    // The exposition must be UTF-8, whatever came from outside.
    if (!is_utf8(value))
      std::replace_if(
          value.begin(), value.end(), [](char c) { return c < 0; }, '?');
  }
  const std::lock_guard lock(mutex_);
  auto it = series_.find(key);
  if (it == series_.end() && series_.size() >= series_max_ && !key.empty()) {
    key.assign(key.size(), "other");
    it = series_.find(key);
  }
  if (it == series_.end()) it = series_.emplace(std::move(key), make_()).first;
  return *it->second;
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;

struct Registry::Entry {
  std::string name, help;
  std::vector<std::string> labels;
  std::variant<std::monostate, std::unique_ptr<Family<Counter>>, std::unique_ptr<Family<Gauge>>,
               std::unique_ptr<Family<Histogram>>, Callback>
      source;
  bool counts_up = false;  // of a callback
};

struct Registry::State {
  mutable std::mutex mutex;  // the list of entries; never taken by observers
  std::vector<std::unique_ptr<Entry>> entries;
  std::vector<std::unique_ptr<std::function<void()>>> hooks;
};

Registry::Registry() : state_(std::make_shared<State>()) {}
Registry::~Registry() = default;

Registry::Entry& Registry::add(std::string name, std::string help,
                               std::vector<std::string> labels) {
  SIS_CHECK(is_metric_name(name), "metric name ", name);
  for (const auto& label : labels)
    SIS_CHECK(is_metric_name(label) && label != "le", "label ", label, " of ", name);
  for (const auto& entry : state_->entries)
    SIS_CHECK(entry->name != name, "metric ", name, " is declared twice");
  auto entry = std::make_unique<Entry>();
  entry->name = std::move(name);
  entry->help = std::move(help);
  entry->labels = std::move(labels);
  return *state_->entries.emplace_back(std::move(entry));
}

Family<Counter>& Registry::counters(std::string name, std::string help,
                                    std::vector<std::string> labels, double unit) {
  SIS_CHECK(name.ends_with("_total"), "counter ", name, " must end in _total");
  const std::lock_guard lock(state_->mutex);
  Entry& entry = add(std::move(name), std::move(help), std::move(labels));
  auto& family = entry.source.emplace<std::unique_ptr<Family<Counter>>>(new Family<Counter>(
      entry.labels, [unit] { return std::make_unique<Counter>(unit); }, kSeriesMax));
  if (entry.labels.empty()) family->only();
  return *family;
}

Family<Gauge>& Registry::gauges(std::string name, std::string help,
                                std::vector<std::string> labels) {
  const std::lock_guard lock(state_->mutex);
  Entry& entry = add(std::move(name), std::move(help), std::move(labels));
  auto& family = entry.source.emplace<std::unique_ptr<Family<Gauge>>>(new Family<Gauge>(
      entry.labels, [] { return std::make_unique<Gauge>(); }, kSeriesMax));
  if (entry.labels.empty()) family->only();
  return *family;
}

Family<Histogram>& Registry::histograms(std::string name, std::string help,
                                        std::vector<std::string> labels,
                                        std::vector<double> bounds) {
  const std::lock_guard lock(state_->mutex);
  Entry& entry = add(std::move(name), std::move(help), std::move(labels));
  auto& family = entry.source.emplace<std::unique_ptr<Family<Histogram>>>(new Family<Histogram>(
      entry.labels, [bounds = std::move(bounds)] { return std::make_unique<Histogram>(bounds); },
      kSeriesMax));
  if (entry.labels.empty()) family->only();
  return *family;
}

std::shared_ptr<void> Registry::add_callback(std::string name, std::string help,
                                             std::vector<std::string> labels, Callback callback,
                                             bool counts_up) {
  const std::lock_guard lock(state_->mutex);
  Entry& entry = add(std::move(name), std::move(help), std::move(labels));
  entry.source.emplace<Callback>(std::move(callback));
  entry.counts_up = counts_up;
  return {&entry, [state = state_](Entry* mine) {
            const std::lock_guard state_lock(state->mutex);
            std::erase_if(state->entries, [&](const auto& other) { return other.get() == mine; });
          }};
}

std::shared_ptr<void> Registry::gauge_callback(std::string name, std::string help,
                                               std::vector<std::string> labels, Callback callback) {
  return add_callback(std::move(name), std::move(help), std::move(labels), std::move(callback),
                      false);
}
std::shared_ptr<void> Registry::counter_callback(std::string name, std::string help,
                                                 std::vector<std::string> labels,
                                                 Callback callback) {
  SIS_CHECK(name.ends_with("_total"), "counter ", name, " must end in _total");
  return add_callback(std::move(name), std::move(help), std::move(labels), std::move(callback),
                      true);
}

std::shared_ptr<void> Registry::on_scrape(std::function<void()> hook) {
  const std::lock_guard lock(state_->mutex);
  auto& added =
      state_->hooks.emplace_back(std::make_unique<std::function<void()>>(std::move(hook)));
  return {added.get(), [state = state_](std::function<void()>* mine) {
            const std::lock_guard state_lock(state->mutex);
            std::erase_if(state->hooks, [&](const auto& other) { return other.get() == mine; });
          }};
}

Registry::Exposition Registry::expose(std::string_view accept) const {
  std::vector<MetricFamily> families;
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& hook : state_->hooks) (*hook)();
    for (const auto& entry : state_->entries) {
      MetricFamily family{entry->name, entry->help, MetricType::Gauge, {}};
      const auto collect = [&](const auto& source, MetricType type) {
        family.type = type;
        const std::lock_guard series_lock(source->mutex_);
        for (const auto& [values, metric] : source->series_) {
          family.metric.push_back(labelled(entry->labels, values));
          fill(*metric, family.metric.back());
        }
      };
      if (const auto* counters = std::get_if<1>(&entry->source)) {
        collect(*counters, MetricType::Counter);
      } else if (const auto* gauges = std::get_if<2>(&entry->source)) {
        collect(*gauges, MetricType::Gauge);
      } else if (const auto* histograms = std::get_if<3>(&entry->source)) {
        collect(*histograms, MetricType::Histogram);
      } else if (const auto* callback = std::get_if<Callback>(&entry->source)) {
        family.type = entry->counts_up ? MetricType::Counter : MetricType::Gauge;
        for (const Sample& sample : (*callback)()) {
          family.metric.push_back(labelled(entry->labels, sample.label_values));
          (entry->counts_up ? family.metric.back().counter.value
                            : family.metric.back().gauge.value) = sample.value;
        }
      }
      families.push_back(std::move(family));
    }
  }
  if (accepts_openmetrics(accept)) return {kOpenMetricsType, openmetrics_text(families)};
  return {kPlainType, prometheus::TextSerializer().Serialize(families)};
}

}  // namespace sis::telemetry
