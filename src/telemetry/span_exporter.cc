#include "telemetry/span_exporter.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "base/rng.h"
#include "base/thread_team.h"

namespace sis::telemetry {
namespace {

TimePoint now() { return std::chrono::steady_clock::now(); }

}  // namespace

struct SpanExporter::State {
  State(const SpanExportOptions& options_in, Resource resource_in,
        std::unique_ptr<SpanTransport> transport_in, Logger log_in)
      : options(options_in),
        resource(std::move(resource_in)),
        log(std::move(log_in)),
        transport(std::move(transport_in)),
        batcher(options.batches) {}

  // A dead collector must not fill the log; one that is back is worth a line.
  void tell(const SpanTransport::Answer& answer, size_t spans, TimePoint at) {
    if (answer.outcome == ExportOutcome::kSent) {
      if (std::exchange(complained_at, std::nullopt)) log.info("trace_export_recovered");
      return;
    }
    if (complained_at && at - *complained_at < options.complain_every) return;
    complained_at = at;
    log.warning("trace_export_failed", {{"reason", answer.reason},
                                        {"spans", spans},
                                        {"retry", answer.outcome == ExportOutcome::kRetry}});
  }

  const SpanExportOptions options;
  const Resource resource;
  const Logger log;
  const std::unique_ptr<SpanTransport> transport;
  std::optional<TimePoint> complained_at;  // exporter's thread

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable wake, ended;
  SpanBatcher batcher;
  std::optional<TimePoint> stop_at;  // set: flush until then, then end
  bool over = false;
};

SpanExporter::SpanExporter(const SpanExportOptions& options, Resource resource,
                           std::unique_ptr<SpanTransport> transport, Logger log)
    : state_(std::make_shared<State>(options, std::move(resource), std::move(transport),
                                     std::move(log))) {
  std::thread([state = state_] { run(state); }).detach();  // the destructor waits for `over`
}

SpanExporter::~SpanExporter() {
  std::unique_lock lock(state_->mutex);
  state_->stop_at = now() + state_->options.flush_budget;
  state_->wake.notify_one();
  state_->ended.wait_until(lock, *state_->stop_at + std::chrono::milliseconds(100),
                           [&] { return state_->over; });
  if (const size_t left = state_->batcher.counts().queued; left > 0)
    state_->log.warning("trace_spans_lost", {{"spans", left}});
}

bool SpanExporter::offer(std::vector<Span> spans) {
  SpanBatcher::Offer outcome;
  {
    const std::lock_guard lock(state_->mutex);
    outcome = state_->batcher.offer(std::move(spans), now());
  }
  if (outcome == SpanBatcher::Offer::kWake) state_->wake.notify_one();
  return outcome != SpanBatcher::Offer::kDropped;
}

SpanCounts SpanExporter::counts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->batcher.counts();
}

void SpanExporter::run(const std::shared_ptr<State>& state) {
  name_this_thread("sis-trace");
  Rng rng(std::random_device{}());
  std::string body;  // of the portion on its way, kept for further attempts
  std::unique_lock lock(state->mutex);
  for (;;) {
    const bool stopping = state->stop_at.has_value();
    const TimePoint at = now();
    const Duration timeout =
        stopping ? std::min(state->options.timeout, *state->stop_at - at) : state->options.timeout;
    std::optional<SpanBatcher::Portion> portion;
    if (timeout > Duration::zero()) portion = state->batcher.begin(at, stopping);
    if (!portion) {
      if (stopping) break;
      if (const auto next = state->batcher.next_at())
        state->wake.wait_until(lock, *next);
      else
        state->wake.wait(lock);
      continue;
    }
    lock.unlock();
    if (portion->attempt == 1) body = otlp_json(state->resource, portion->spans);
    const auto answer = state->transport->send(body, timeout);
    const TimePoint done = now();
    state->tell(answer, portion->spans.size(), done);
    lock.lock();
    const bool last = state->stop_at.has_value();
    state->batcher.end(answer.outcome, answer.spans_refused, done, rng.uniform(), last);
  }
  state->over = true;
  state->ended.notify_all();
}

}  // namespace sis::telemetry
