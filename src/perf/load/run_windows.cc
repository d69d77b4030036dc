#include "perf/load/run_windows.h"

#include <algorithm>

#include "perf/load/stop_rules.h"

namespace sis::perf {
namespace {

// A window's throughput refers to its own time.
void set_span(Tally& tally, TimePoint begin, TimePoint end) {
  tally.started = begin;
  tally.window_end = end;
  tally.ok_in_window = tally.ok;
  tally.items_in_window = tally.items;
  tally.prompt_tokens_in_window = tally.prompt_tokens;
  tally.generation.slo_met_in_window = tally.generation.slo_met;
}

}  // namespace

void WindowBox::put(std::unique_ptr<LoopWindow> full) {
  const std::lock_guard lock(mutex_);
  full_.push_back(std::move(full));
}

std::unique_ptr<LoopWindow> WindowBox::take_empty() {
  {
    const std::lock_guard lock(mutex_);
    if (!empty_.empty()) {
      auto window = std::move(empty_.back());
      empty_.pop_back();
      return window;
    }
  }
  auto window = std::make_unique<LoopWindow>();
  window->parts.resize(parts_);
  return window;
}

std::unique_ptr<LoopWindow> WindowBox::take_full() {
  const std::lock_guard lock(mutex_);
  if (full_.empty()) return nullptr;
  auto window = std::move(full_.front());
  full_.pop_front();
  return window;
}

void WindowBox::give_back(std::unique_ptr<LoopWindow> done) {
  done->own.reset();
  for (Tally& part : done->parts) part.reset();
  const std::lock_guard lock(mutex_);
  empty_.push_back(std::move(done));
}

WindowBox* WindowMerger::add_loop() {
  loops_.push_back({.box = std::make_unique<WindowBox>(options_.parts > 1 ? options_.parts : 0)});
  return loops_.back().box.get();
}

bool WindowMerger::complete(const std::vector<bool>& ended) const {
  bool some = false;
  for (size_t i = 0; i < loops_.size(); ++i) {
    if (loops_[i].waiting.empty() && !ended[i]) return false;
    some |= !loops_[i].waiting.empty();
  }
  return some;
}

bool WindowMerger::collect(const std::vector<bool>& ended, TimePoint start) {
  for (Loop& loop : loops_)
    while (auto window = loop.box->take_full()) loop.waiting.push_back(std::move(window));
  while (complete(ended)) {
    merge_next(start, std::find(ended.begin(), ended.end(), false) == ended.end());
  }
  return wanted_on_;
}

void WindowMerger::merge_next(TimePoint start, bool all_ended) {
  const size_t parts = options_.parts > 1 ? options_.parts : 0;
  window_.total.reset();
  window_.parts.resize(parts);
  for (Tally& part : window_.parts) part.reset();
  window_.users = 0;
  TimePoint ended{};
  bool more = false;  // some loop has something of a later window
  for (Loop& loop : loops_) {
    if (loop.waiting.empty()) continue;
    if (loop.waiting.front()->number > next_) {
      more = true;
      continue;
    }
    auto from = std::move(loop.waiting.front());
    loop.waiting.pop_front();
    more |= !loop.waiting.empty();
    window_.total.merge(from->own);
    for (size_t i = 0; i < parts; ++i) {
      window_.total.merge(from->parts[i]);
      window_.parts[i].merge(from->parts[i]);
    }
    window_.users += from->users;
    ended = std::max(ended, from->ended);
    next_index_ = std::max(next_index_, from->next_index);
    loop.box->give_back(std::move(from));
  }
  total_.merge(window_.total);
  parts_.resize(parts);
  for (size_t i = 0; i < parts; ++i) parts_[i].merge(window_.parts[i]);

  const uint64_t number = next_++;
  if (options_.window <= Duration{} || start == TimePoint{}) return;
  const Duration begin = options_.window * static_cast<int64_t>(number);
  Duration length = options_.window;
  if (all_ended && !more && ended != TimePoint{})
    length = std::clamp<Duration>(ended - start - begin, Duration{}, options_.window);
  if (length <= Duration{}) return;  // all loops were done at the boundary
  // The moment after the last answer is no window worth a line.
  const bool whole = length * 2 >= options_.window;
  if (!whole && window_.total.ok + window_.total.failed == 0) return;
  window_.number = static_cast<int>(std::min<uint64_t>(number, INT32_MAX));
  window_.start_s = to_seconds(begin);
  window_.length_s = to_seconds(length);
  set_span(window_.total, start + begin, start + begin + length);
  for (Tally& part : window_.parts) set_span(part, start + begin, start + begin + length);
  if (options_.on_window && wanted_on_) wanted_on_ = options_.on_window(window_);
  if (whole || rows_.empty()) {
    if (rows_.size() < kWindowRowsMax) rows_.push_back(window_row(window_));
    std::swap(window_, before_);
  } else {  // rates over a moment would be spikes
    join_windows(before_, window_);
    if (rows_.size() < kWindowRowsMax) rows_.back() = window_row(before_);
  }
}

void WindowMerger::finish(RunResult& result) {
  result.tally = std::move(total_);
  result.parts = std::move(parts_);
  result.windows = std::move(rows_);
  result.ended_by_rule = !wanted_on_;
  result.next_index = next_index_;
  for (Tally& part : result.parts) {
    part.started = result.tally.started;
    part.last_done = result.tally.last_done;
    part.window_end = result.tally.window_end;
  }
}

WindowRow window_row(const Window& window) {
  const Tally& tally = window.total;
  const GenerationTally& generation = tally.generation;
  const double per = window.length_s > 0 ? 1 / window.length_s : 0;
  WindowRow row{.start_s = window.start_s, .length_s = window.length_s, .users = window.users};
  row.requests = tally.ok + tally.failed;
  row.failures = tally.failed;
  row.requests_per_s = static_cast<double>(tally.ok) * per;
  row.mean_ms = tally.latency.mean_ms();
  row.p50_ms = tally.latency.quantile_ms(0.5);
  row.p95_ms = tally.latency.quantile_ms(0.95);
  row.p99_ms = tally.latency.quantile_ms(0.99);
  row.max_ms = tally.latency.max_ms();
  row.generated = generation.answers > 0;
  row.ttft_p50_ms = generation.ttft.quantile_ms(0.5);
  row.ttft_p99_ms = generation.ttft.quantile_ms(0.99);
  row.output_tokens_per_s = static_cast<double>(generation.output_tokens) * per;
  return row;
}

}  // namespace sis::perf
