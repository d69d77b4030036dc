// When finished spans leave, in which portions, and which are given up: the policy of the exporter,
// without thread, socket or clock of its own.
//
// Spans of one request come together and stay or go together, so that no half traces arrive. A full
// queue refuses newcomers. A portion that did not get through is tried again later and later, then
// dropped; meanwhile the queue fills and what comes on top is refused. One thread at a time, except
// that the spans handed out by begin() may be read beside offer() until end().
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "telemetry/span.h"

namespace sis::telemetry {

enum class ExportOutcome : uint8_t {
  kSent,     // the collector has it
  kRetry,    // not now: unreachable, overloaded, too slow
  kRefused,  // never: the collector says that it is wrong
};

struct SpanBatchOptions {
  size_t queue_spans_max = 4096;
  size_t batch_spans_max = 512;  // a portion; a request's spans may overshoot it
  Duration flush_every = std::chrono::seconds(2);
  int attempts_max = 5;
  Duration backoff_min = std::chrono::milliseconds(500);
  Duration backoff_max = std::chrono::seconds(15);
};

struct SpanCounts {
  uint64_t sent = 0;
  uint64_t queue_full = 0;  // dropped on arrival
  uint64_t failed = 0;      // dropped after the last attempt
  uint64_t refused = 0;     // by the collector
  uint64_t retries = 0;     // portions tried again
  size_t queued = 0;        // waiting now, the portion on its way included
};

class SpanBatcher {
 public:
  explicit SpanBatcher(const SpanBatchOptions& options) : options_(options) {}

  enum class Offer : uint8_t { kDropped, kKept, kWake };  // kWake: next_at() became earlier
  Offer offer(std::vector<Span> spans, TimePoint now);

  // When begin() has something next; nullopt: not before more spans come.
  std::optional<TimePoint> next_at() const;
  struct Portion {
    std::span<const Span> spans;
    int attempt = 1;  // above 1: the spans of the time before
  };
  // What to send now; nullopt: nothing yet. `flushing` waits for no company and no back-off.
  std::optional<Portion> begin(TimePoint now, bool flushing);
  // How it went. `spans_refused`: of a portion that was sent, by the collector's own word. `jitter`
  // in [0, 1) keeps many servers from trying again together. `last` allows no further attempt.
  void end(ExportOutcome outcome, uint64_t spans_refused, TimePoint now, double jitter, bool last);

  SpanCounts counts() const;

 private:
  const SpanBatchOptions options_;
  std::vector<Span> queue_, batch_;
  TimePoint oldest_{};  // of queue_
  TimePoint retry_at_{};
  int attempts_ = 0;  // of batch_
  SpanCounts counts_;
};

}  // namespace sis::telemetry
