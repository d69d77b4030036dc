// The handler's side of one request, and how its answers travel to the connection's I/O thread.
//
// A PendingExchange lives as long as the handler keeps it, also beyond its connection and its
// server; it therefore knows its connection only by number and speaks to it through an AnswerSink.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "net/body_budget.h"
#include "net/http_server.h"
#include "net/http_text.h"

namespace sis::net {

// What a stream has waiting, so that write() can say no from any thread.
struct StreamGauge {
  std::atomic<int64_t> travelling{0};  // handed to the sink, not yet with the session
  std::atomic<int64_t> waiting{0};     // with the session, not yet with the kernel
  std::atomic<bool> gone{false};
};

struct Answer {
  enum class Kind : uint8_t {
    kRespond,
    kStart,
    kWrite,
    kFinish,
    kDrop,  // dropped unanswered, or a stream that cannot go on
    kCall,  // only run `callback` on the I/O thread
  };
  Kind kind = Kind::kDrop;
  uint64_t connection = 0;
  uint64_t sequence = 0;
  std::optional<HttpResponse> response = std::nullopt;  // kRespond, kStart
  std::string bytes = {};                               // kWrite
  std::shared_ptr<StreamGauge> gauge = nullptr;         // kStart: shared by both ends of the stream
  std::function<void()> callback = nullptr;             // kCall
};

// Takes answers to the thread that owns the connection. Shared by its exchanges, which may outlive
// the loop.
class AnswerSink {
 public:
  // `bodies` is shared by all sinks of a server and by the requests that came through them; null: a
  // budget of its own.
  explicit AnswerSink(std::shared_ptr<const ServerOptions> options,
                      std::shared_ptr<BodyBudget> bodies = nullptr)
      : options_(std::move(options)),
        bodies_(bodies ? std::move(bodies)
                       : std::make_shared<BodyBudget>(options_->bodies_bytes_max)) {}
  virtual ~AnswerSink() = default;
  // Any thread; at once when called on the owner's, later otherwise. Unknown connections are
  // ignored. A kCall whose loop has ended runs right here.
  virtual void deliver(Answer answer) = 0;
  const ServerOptions& options() const { return *options_; }
  BodyBudget& bodies() const { return *bodies_; }

 private:
  std::shared_ptr<const ServerOptions> options_;
  std::shared_ptr<BodyBudget> bodies_;
};

class PendingExchange final : public Exchange {
 public:
  PendingExchange(std::shared_ptr<AnswerSink> sink, uint64_t connection)
      : sink_(std::move(sink)), body_charge_(sink_->bodies()), connection_(connection) {}
  ~PendingExchange() override;

  HttpRequest& request() override { return request_; }
  void respond(HttpResponse response) override;
  void start_stream(HttpResponse head) override;
  bool write(std::string_view bytes) override;
  void finish_stream() override;
  void on_cancel(std::function<void()> callback) override;
  bool cancelled() const override { return cancelled_.load(std::memory_order_acquire); }
  void run_on_loop(std::function<void()> call) override;

  // The session's side, on the I/O thread. bind() comes before the handler sees the exchange.
  void bind(uint64_t sequence, Coding accepted) {
    sequence_ = sequence;
    accepted_ = accepted;
  }
  void cancel();
  // The memory its body takes, until the exchange is gone. False: the server holds too much.
  bool charge_body(size_t bytes) { return body_charge_.cover(bytes); }

 private:
  enum class Phase : uint8_t { kOpen, kStreaming, kDone };

  Answer answer(Answer::Kind kind) const {
    return {.kind = kind, .connection = connection_, .sequence = sequence_};
  }
  void drop_callback();

  HttpRequest request_;
  std::shared_ptr<AnswerSink> sink_;
  BodyCharge body_charge_;  // of the sink's budget
  uint64_t connection_, sequence_ = 0;
  Coding accepted_ = Coding::kIdentity;
  std::atomic<Phase> phase_{Phase::kOpen};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> has_callback_{false};  // lets respond() skip the lock
  std::shared_ptr<StreamGauge> gauge_;     // set by start_stream()
  std::mutex mutex_;
  std::function<void()> callback_;  // guarded by mutex_
};

}  // namespace sis::net
