// The HTTP/1.1 protocol of one connection, without its socket: bytes in, requests to the handler,
// answers in order, bytes out. Deadlines are told, not waited for.
//
// The owner reads into input_space(), then calls pump(), writes what out() holds, and closes when
// told. All calls come on the connection's I/O thread. Answers that come before their turn wait in
// their slot.
//
// End of input (RFC 9112 9.6 leaves it open): a client that shuts down only its sending side cannot
// be told from one that closed, until something is sent: a closed peer answers with RST. So when
// input ends while a request is unanswered, pump the probe out: an interim `100 Continue` (clients
// must accept any number of 1xx, RFC 9110 15.2), or, inside a chunked body, one leading zero of the
// next chunk size. If the connection is reset, the request is cancelled; if not, the answer goes
// out as usual. HTTP/1.0 knows no interim answers; there, end of input means that the client left
// (proxies speaking 1.0 close, they do not half-close).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "net/http_exchange.h"
#include "net/http_parser.h"
#include "net/http_render.h"
#include "net/http_server.h"
#include "net/in_buffer.h"
#include "net/out_queue.h"

namespace sis::net {

// Shared by the sessions of one I/O thread.
struct SessionContext {
  SessionContext(std::shared_ptr<AnswerSink> answer_sink, const Handler* request_handler,
                 uint64_t seed)
      : sink(std::move(answer_sink)),
        options(sink->options()),
        handler(request_handler),
        rng(seed) {}

  std::shared_ptr<AnswerSink> sink;
  const ServerOptions& options;
  const Handler* handler;
  Rng rng;  // for generated request ids
  DateLines date;
  BufferPool buffers;
  bool draining = false;
  std::string joined;  // coded pieces of a chunked body, before they are decoded together
  // Written by this thread only, read by any.
  std::atomic<int64_t> requests{0}, protocol_errors{0};
};

class HttpSession {
 public:
  HttpSession(SessionContext& context, uint64_t connection, std::string peer, TimePoint now);
  ~HttpSession();

  // ---- input
  std::span<char> input_space() { return in_.space(); }
  void input_filled(size_t bytes) { in_.filled(bytes); }
  bool wants_input() const;
  // Parses and dispatches what has arrived, as far as order and limits allow.
  void pump(TimePoint now);
  // pump() stopped for want of room that is there now.
  bool may_resume() const { return paused_ && may_begin(); }
  // End of input. False: nobody is left to answer, close now.
  bool input_ended(TimePoint now);

  // ---- answers and output
  void handle(Answer& answer, TimePoint now);
  OutQueue& out() { return out_; }
  const OutQueue& out() const { return out_; }
  // After writing: `bytes` is what has not reached the kernel yet.
  void output_waits(size_t bytes);
  // After the output is written: close (politely: what the client still sends is read and dropped).
  bool closing() const { return closing_ || (ended_ && slots_count() == 0 && in_.empty()); }
  // Close at once, even though output waits: a body cannot be completed.
  bool broken() const { return broken_; }
  // A connection over the limit: answers 503 without reading a request.
  void turn_away(TimePoint now);

  // ---- time and life
  TimePoint deadline() const;
  // The deadline passed. False: close without a word.
  bool expire(TimePoint now);
  // A request is half read or not answered.
  bool busy() const { return !slots_.empty() || mid_request() || !in_.empty(); }
  // The connection is gone: tells every unanswered exchange. `this` may be used no more, bar
  // destruction.
  void cancel_all();

 private:
  enum class Stage : uint8_t { kHead, kBody };
  struct Held;
  struct Body;

  struct Slot {
    std::weak_ptr<PendingExchange> exchange;
    std::string fixed_lines;
    bool head = false, http10 = false, keep_alive = true;
    bool streaming = false, chunked = false;  // its head is out
    std::unique_ptr<Held> held;               // what came before its turn
    std::shared_ptr<StreamGauge> gauge;
  };

  size_t slots_count() const { return slots_.size() - first_slot_; }
  Slot& front() { return slots_[first_slot_]; }
  bool mid_request() const { return head_started_ || stage_ == Stage::kBody; }
  bool may_begin() const;
  bool read_head();
  bool read_body();
  bool take_body(std::string_view bytes);
  bool wants_body() const;
  bool charge_body();
  std::optional<Refusal> judge(const RequestHead& head, const HttpRequest& request) const;
  void begin_body(const RequestHead& head);
  void dispatch();
  void refuse(Refusal refusal, std::string_view path);
  Slot& push_slot(const HttpRequest& request, const RequestHead& head);
  std::string fixed_lines(const HttpRequest& request, const RequestHead& head);

  void respond_now(HttpResponse&& response);
  void start_now(HttpResponse&& head);
  void write_now(std::string_view bytes);
  void finish_now();
  void drop(size_t index);
  void pop_front();
  void advance();
  bool close_after_front();

  SessionContext& context_;
  const uint64_t connection_;
  std::string peer_;
  InBuffer in_;
  OutQueue out_;

  Stage stage_ = Stage::kHead;
  bool head_started_ = false;
  bool last_request_ = false;  // nothing after the last slot is looked at
  bool ended_ = false, closing_ = false, broken_ = false, paused_ = false;
  size_t scanned_ = 0;
  RequestHead head_;
  std::shared_ptr<PendingExchange> reading_;  // the request whose body arrives
  std::unique_ptr<Body> body_;

  std::vector<Slot> slots_;  // unanswered requests from first_slot_ on, in order
  size_t first_slot_ = 0;
  uint64_t first_sequence_ = 0;

  TimePoint now_, head_started_at_{}, idle_since_;
};

}  // namespace sis::net
