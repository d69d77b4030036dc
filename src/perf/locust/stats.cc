#include "perf/locust/stats.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace sis::perf {
namespace {

// The histogram's counters end at `upper`; the middle of one is what its values were about.
constexpr double kCounterHalf = 1.0 / 2048;

void write_counts(MsgpackWriter& out, const std::map<int64_t, uint64_t>& counts) {
  out.map(counts.size());
  for (const auto& [key, count] : counts) {
    out.integer(key);
    out.count(count);
  }
}

// `count` answers spread over the seconds of [from, until] by how much of each lies within it.
void spread(std::map<int64_t, uint64_t>& out, uint64_t count, double from, double until) {
  if (count == 0) return;
  const auto first = static_cast<int64_t>(std::floor(from));
  const auto last = static_cast<int64_t>(std::floor(until));
  if (last <= first || last - first > 3600) {
    out[last] += count;
    return;
  }
  uint64_t given = 0;
  for (int64_t second = first; second <= last; ++second) {
    const double end = std::min(until, static_cast<double>(second + 1));
    const auto by_then = second == last
                             ? count
                             : static_cast<uint64_t>(std::llround(static_cast<double>(count) *
                                                                  (end - from) / (until - from)));
    if (by_then > given) out[second] += by_then - given;
    given = std::max(given, by_then);
  }
}

}  // namespace

void LocustRow::add(const Histogram& histogram, double step_ms) {
  if (histogram.empty()) return;
  const bool first = times.empty();
  min_ms = first ? histogram.min_ms() : std::min(min_ms, histogram.min_ms());
  max_ms = first ? histogram.max_ms() : std::max(max_ms, histogram.max_ms());
  total_ms += histogram.mean_ms() * static_cast<double>(histogram.count());
  histogram.for_each([&](double upper_ms, uint64_t count) {
    const double middle = upper_ms * (1 - kCounterHalf);
    times[std::llround(std::min(middle, histogram.max_ms()) / step_ms)] += count;
  });
}

void LocustRow::merge(const LocustRow& other) {
  if (!other.times.empty()) {
    min_ms = times.empty() ? other.min_ms : std::min(min_ms, other.min_ms);
    max_ms = times.empty() ? other.max_ms : std::max(max_ms, other.max_ms);
  }
  requests += other.requests;
  failures += other.failures;
  total_ms += other.total_ms;
  content_bytes += other.content_bytes;
  for (const auto& [key, count] : other.times) times[key] += count;
  for (const auto& [second, count] : other.per_second) per_second[second] += count;
  for (const auto& [second, count] : other.fails_per_second) fails_per_second[second] += count;
  last = std::max(last, other.last);
}

void LocustStats::add(const RowName& name, const Tally& tally, double from_s, double until_s) {
  LocustRow row;
  row.requests = tally.ok + tally.failed;
  row.failures = tally.failed;
  row.content_bytes = tally.body_bytes;
  row.add(tally.latency, step_ms_);
  row.add(tally.failed_latency, step_ms_);
  if (row.requests > 0) row.last = until_s;
  spread(row.per_second, row.requests, from_s, until_s);
  spread(row.fails_per_second, row.failures, from_s, until_s);

  const std::lock_guard lock(mutex_);
  rows_[name].merge(row);
  total_.merge(row);
  for (const auto& [message, count] : tally.messages) note_error(name, message, count, until_s);
  if (tally.other_messages > 0) note_error(name, "other errors", tally.other_messages, until_s);

  // Streamed answers have more times than one. These rows stand beside the requests: they are not
  // in the total.
  const auto beside = [&](const char* method, const Histogram& histogram) {
    if (histogram.empty()) return;
    LocustRow extra;
    extra.requests = histogram.count();
    extra.last = until_s;
    extra.add(histogram, step_ms_);
    spread(extra.per_second, extra.requests, from_s, until_s);
    rows_[{method, name.name}].merge(extra);
  };
  beside("TTFT", tally.generation.ttft);
  beside("ITL", tally.generation.itl);
  beside("TPOT", tally.generation.tpot);
}

void LocustStats::add_failure(const RowName& name, const std::string& message, double at_s) {
  LocustRow row;
  row.requests = row.failures = 1;
  row.times[0] = 1;
  row.last = at_s;
  row.per_second[static_cast<int64_t>(at_s)] = 1;
  row.fails_per_second[static_cast<int64_t>(at_s)] = 1;
  const std::lock_guard lock(mutex_);
  rows_[name].merge(row);
  total_.merge(row);
  note_error(name, message, 1, at_s);
}

void LocustStats::note_error(const RowName& name, const std::string& message, uint64_t count,
                             double at_s) {
  std::pair<RowName, std::string> key{name, message};
  if (!errors_.contains(key) && errors_.size() >= kErrorsMax) key.second = "other errors";
  LocustError& error = errors_[std::move(key)];
  error.occurrences += count;
  if (error.first_seen == 0) error.first_seen = at_s;
  error.last_seen = at_s;
}

void LocustStats::clear(double now_s) {
  const std::lock_guard lock(mutex_);
  rows_.clear();
  errors_.clear();
  total_ = {};
  started_s_ = now_s;
}

void LocustStats::write_row(MsgpackWriter& out, const RowName& name, const LocustRow& row,
                            double now_s) const {
  out.map(14);
  out.text("name"), out.text(name.name);
  out.text("method"), out.text(name.method);
  out.text("last_request_timestamp");
  if (row.last > 0)
    out.number(row.last);
  else
    out.nil();
  out.text("start_time"), out.number(started_s_ > 0 ? started_s_ : now_s);
  out.text("num_requests"), out.count(row.requests);
  out.text("num_none_requests"), out.count(0);
  out.text("num_failures"), out.count(row.failures);
  out.text("total_response_time"), out.number(row.total_ms);
  out.text("max_response_time"), out.number(row.max_ms);
  out.text("min_response_time");
  if (row.times.empty())
    out.nil();
  else
    out.number(row.min_ms);
  out.text("total_content_length"), out.count(row.content_bytes);
  out.text("response_times");
  if (step_ms_ == 1) {
    write_counts(out, row.times);
  } else {
    out.map(row.times.size());
    for (const auto& [steps, count] : row.times) {
      const double ms = static_cast<double>(steps) * step_ms_;
      if (step_ms_ > 1)
        out.integer(std::llround(ms));
      else
        out.number(ms);
      out.count(count);
    }
  }
  out.text("num_reqs_per_sec"), write_counts(out, row.per_second);
  out.text("num_fail_per_sec"), write_counts(out, row.fails_per_second);
}

void LocustStats::take(MsgpackWriter& out, const std::map<std::string, int>& users, double now_s) {
  const std::lock_guard lock(mutex_);
  out.map(5);
  out.text("stats"), out.array(rows_.size());
  for (const auto& [name, row] : rows_) write_row(out, name, row, now_s);
  out.text("stats_total"), write_row(out, {"", "Aggregated"}, total_, now_s);
  out.text("errors"), out.map(errors_.size());
  for (const auto& [key, error] : errors_) {
    const auto& [name, message] = key;
    out.text(concat(name.method, ".", name.name, ".", message));
    out.map(6);
    out.text("name"), out.text(name.name);
    out.text("method"), out.text(name.method);
    out.text("error"), out.text(message);
    out.text("occurrences"), out.count(error.occurrences);
    out.text("first_seen"), out.number(error.first_seen);
    out.text("last_seen"), out.number(error.last_seen);
  }
  int64_t sum = 0;
  out.text("user_classes_count"), out.map(users.size());
  for (const auto& [name, count] : users) {
    out.text(name), out.integer(count);
    sum += count;
  }
  out.text("user_count"), out.integer(sum);
  rows_.clear();
  errors_.clear();
  total_ = {};
  started_s_ = now_s;
}

}  // namespace sis::perf
