#include "telemetry/span_batcher.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sis::telemetry {

SpanBatcher::Offer SpanBatcher::offer(std::vector<Span> spans, TimePoint now) {
  if (queue_.size() + spans.size() > options_.queue_spans_max) {
    counts_.queue_full += spans.size();
    return Offer::kDropped;
  }
  const size_t before = queue_.size();
  if (before == 0) oldest_ = now;
  std::move(spans.begin(), spans.end(), std::back_inserter(queue_));
  const bool filled =
      before < options_.batch_spans_max && queue_.size() >= options_.batch_spans_max;
  return batch_.empty() && (before == 0 || filled) ? Offer::kWake : Offer::kKept;
}

std::optional<TimePoint> SpanBatcher::next_at() const {
  if (!batch_.empty()) return retry_at_;
  if (queue_.empty()) return std::nullopt;
  if (queue_.size() >= options_.batch_spans_max) return oldest_;
  return oldest_ + options_.flush_every;
}

std::optional<SpanBatcher::Portion> SpanBatcher::begin(TimePoint now, bool flushing) {
  const auto at = next_at();
  if (!at || (now < *at && !flushing)) return std::nullopt;
  if (batch_.empty()) {
    size_t count = std::min(queue_.size(), options_.batch_spans_max);
    // Up to the end of the last request in it.
    while (count < queue_.size() && queue_[count].trace_id == queue_[count - 1].trace_id) ++count;
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
    batch_.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
    attempts_ = 0;
  }
  return Portion{batch_, ++attempts_};
}

void SpanBatcher::end(ExportOutcome outcome, uint64_t spans_refused, TimePoint now, double jitter,
                      bool last) {
  const uint64_t count = batch_.size();
  switch (outcome) {
    case ExportOutcome::kSent: {
      const uint64_t refused = std::min(spans_refused, count);
      counts_.sent += count - refused;
      counts_.refused += refused;
      break;
    }
    case ExportOutcome::kRefused:
      counts_.refused += count;
      break;
    case ExportOutcome::kRetry: {
      if (attempts_ >= options_.attempts_max || last) {
        counts_.failed += count;
        break;
      }
      ++counts_.retries;
      const Duration backoff =
          std::min(options_.backoff_max, options_.backoff_min * (1 << std::min(attempts_ - 1, 20)));
      // Between half of it and all of it.
      retry_at_ = now + std::chrono::duration_cast<Duration>(backoff * (0.5 + 0.5 * jitter));
      return;
    }
  }
  batch_.clear();
}

SpanCounts SpanBatcher::counts() const {
  SpanCounts counts = counts_;
  counts.queued = queue_.size() + batch_.size();
  return counts;
}

}  // namespace sis::telemetry
