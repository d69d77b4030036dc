#include "net/http_exchange.h"

#include "base/strings.h"
#include "net/compression.h"

namespace sis::net {
namespace {

// Compresses the body when both sides gain. Runs on the answering thread: large bodies then cost
// the worker that made them, not the I/O thread.
void maybe_compress(HttpResponse& response, Coding accepted, size_t bytes_min) {
  if (!response.compressible || response.body.size() < bytes_min) return;
  if (!is_compressible_type(response.content_type)) return;
  if (response.status == 204 || response.status == 206 || response.status == 304) return;
  for (const auto& [name, value] : response.headers)
    if (iequals(name, "content-encoding")) return;
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (accepted == Coding::kIdentity) return;
  auto packed = compress(accepted, response.body);
  if (!packed || packed->size() >= response.body.size()) return;
  response.body = std::move(packed).value();
  response.headers.emplace_back("Content-Encoding", coding_name(accepted));
}

}  // namespace

PendingExchange::~PendingExchange() {
  if (phase_.load(std::memory_order_acquire) != Phase::kDone)
    sink_->deliver(answer(Answer::Kind::kDrop));
}

void PendingExchange::respond(HttpResponse response) {
  Phase open = Phase::kOpen;
  if (!phase_.compare_exchange_strong(open, Phase::kDone)) return;  // the first answer counts
  drop_callback();
  if (const auto& companion = request_.companion) {
    companion->on_head(response);
    companion->on_end();
  }
  if (cancelled()) return;
  maybe_compress(response, accepted_, sink_->options().compress_bytes_min);
  Answer step = answer(Answer::Kind::kRespond);
  step.response = std::move(response);
  sink_->deliver(std::move(step));
}

void PendingExchange::start_stream(HttpResponse head) {
  if (phase_.load(std::memory_order_acquire) != Phase::kOpen) return;
  auto gauge = std::make_shared<StreamGauge>();
  gauge_ = gauge;  // before the phase says that write() may use it
  Phase open = Phase::kOpen;
  if (!phase_.compare_exchange_strong(open, Phase::kStreaming)) return;
  if (request_.companion) request_.companion->on_head(head);
  Answer step = answer(Answer::Kind::kStart);
  step.response = std::move(head);
  step.gauge = std::move(gauge);
  sink_->deliver(std::move(step));
}

bool PendingExchange::write(std::string_view bytes) {
  if (phase_.load(std::memory_order_acquire) != Phase::kStreaming || cancelled()) return false;
  if (gauge_->gone.load(std::memory_order_acquire)) return false;
  if (bytes.empty()) return true;  // an empty chunk would end the body
  const int64_t queued = gauge_->travelling.load() + gauge_->waiting.load();
  if (queued > static_cast<int64_t>(sink_->options().stream_buffer_bytes)) {
    // Bytes would be missing from here on: the stream is cut, so that the client cannot take it for
    // whole.
    gauge_->gone = true;
    sink_->deliver(answer(Answer::Kind::kDrop));
    return false;
  }
  gauge_->travelling += static_cast<int64_t>(bytes.size());
  Answer step = answer(Answer::Kind::kWrite);
  step.bytes = bytes;
  sink_->deliver(std::move(step));
  return !gauge_->gone.load(std::memory_order_acquire);
}

void PendingExchange::finish_stream() {
  Phase streaming = Phase::kStreaming;
  if (!phase_.compare_exchange_strong(streaming, Phase::kDone)) return;
  drop_callback();
  if (request_.companion) request_.companion->on_end();
  sink_->deliver(answer(Answer::Kind::kFinish));
}

void PendingExchange::on_cancel(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (phase_.load() == Phase::kDone) return;
    if (!cancelled()) {
      callback_ = std::move(callback);
      has_callback_.store(true);
      // respond() on another thread may have looked before the flag was up.
      if (phase_.load() != Phase::kDone) return;
      callback = std::move(callback_);
      callback_ = nullptr;
      has_callback_.store(false);
    }
  }
  if (phase_.load() == Phase::kDone) return;
  Answer step = answer(Answer::Kind::kCall);
  step.callback = std::move(callback);
  sink_->deliver(std::move(step));
}

void PendingExchange::run_on_loop(std::function<void()> call) {
  Answer step = answer(Answer::Kind::kCall);
  step.callback = [call = std::move(call)]() mutable {
    try {
      call();
    } catch (...) {
      // As in HttpSession::dispatch(): the I/O thread serves others and goes on.
    }
    call = nullptr;  // what it kept of the exchange goes, which answers 500 if nobody did
  };
  sink_->deliver(std::move(step));
}

void PendingExchange::cancel() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    cancelled_.store(true, std::memory_order_release);
    if (phase_.load() == Phase::kDone) return;
    callback = std::move(callback_);
    callback_ = nullptr;
    has_callback_.store(false);
  }
  if (callback) callback();
}

void PendingExchange::drop_callback() {
  if (!has_callback_.load()) return;
  std::function<void()> callback;  // its captures die outside the lock
  const std::lock_guard lock(mutex_);
  callback.swap(callback_);
  has_callback_.store(false);
}

}  // namespace sis::net
