// One HTTP request as telemetry sees it: stage timings, ids, and at its end one log line, one entry
// for metrics and, when it is traced, its spans.
//
// The server wraps every exchange (TracedExchange) before a route sees it; whoever works on the
// request asks for its trace with RequestTrace::of() and says what it knows. What nobody says is
// filled in when the answer leaves: every answer carries X-Response-Time and Server-Timing, every
// request is logged once. Any thread; one mutex, held for moments.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"
#include "telemetry/log.h"
#include "telemetry/span.h"
#include "telemetry/stages.h"
#include "telemetry/tracer.h"

namespace sis::api {

// How a request ended.
struct RequestEnd {
  std::string_view route;  // "/v1/models/*"; "unknown" when the path leads nowhere
  std::string_view model;  // "" when the route has no models, "unknown" when it is not loaded
  int status = 0;
  Duration latency{};
};

// Hears of every request once. Called from any thread; must be cheap.
class RequestEndObserver {
 public:
  virtual ~RequestEndObserver() = default;
  virtual void on_end(const RequestEnd& end) = 0;
};

// What all traces share; outlives the exchanges.
struct TracePlace {
  const telemetry::Tracer& tracer;
  const Clock& clock;
  telemetry::Logger log;  // lines of requests whose route wrote none
  RequestEndObserver& observer;
};

inline constexpr std::string_view kUnknown = "unknown";

class RequestTrace {
 public:
  // `place` null: measures and logs, but nobody hears of its end.
  RequestTrace(const net::HttpRequest& request, const TracePlace* place);

  // Of an exchange that the server wrapped; of any other one a fresh trace without a place.
  static std::shared_ptr<RequestTrace> of(const std::shared_ptr<net::Exchange>& exchange);

  void set_route(std::string_view pattern);
  // The loaded model that the request is for, or kUnknown.
  void set_model(std::string_view name);
  // Of the client's API key, for the log.
  void set_client(std::string_view name);
  // Nothing to see unless it fails: the line is for debugging, there is no span (health checks).
  void set_quiet();

  // Stages, as telemetry::StageTimer has them.
  void mark(telemetry::Stage stage, TimePoint now);
  void place(telemetry::Stage stage, TimePoint begin, Duration spent);
  void skip_to(TimePoint now);
  TimePoint marked() const;  // the last mark
  std::string server_timing(TimePoint now) const;

  // Whether attributes go anywhere.
  bool recording() const { return begun_.record; }
  void attribute(const char* key, telemetry::Attribute::Value value);

  // For calls to other servers on this request's behalf.
  const telemetry::TraceContext& context() const { return begun_.own; }
  // The traceresponse header: worth sending when somebody could look the trace up.
  bool answers_trace() const { return recording() || begun_.parent != telemetry::SpanId{}; }

  // The request is over: the first call counts, later ones do nothing. Logs one line, named
  // `event`, with model, status, latency, the stages' times, `fields` and the ids.
  void end(int status, TimePoint now, const telemetry::Logger& log, std::string_view event,
           std::initializer_list<telemetry::Field> fields);
  // The same for a request whose route has no line of its own.
  void end(int status);
  bool ended() const { return ended_.load(std::memory_order_acquire); }

 private:
  friend class TracedExchange;
  void write_line(int status, Duration latency, const telemetry::Logger& log,
                  std::string_view event, std::initializer_list<telemetry::Field> fields) const;
  void finish_spans(int status, TimePoint now);
  TimePoint now() const;

  const TracePlace* const place_;
  const std::string request_id_, method_;
  telemetry::Tracer::Begun begun_;
  std::atomic<bool> ended_{false};

  mutable std::mutex mutex_;  // guards what follows
  telemetry::StageTimer timer_;
  std::string route_{kUnknown}, model_, client_;
  bool quiet_ = false;
  std::vector<telemetry::Attribute> attributes_;
};

// The exchange that routes see: adds headers to the answer and ends the trace when nobody else did.
class TracedExchange final : public net::Exchange {
 public:
  TracedExchange(std::shared_ptr<net::Exchange> inner, const TracePlace& place);
  ~TracedExchange() override;

  net::HttpRequest& request() override { return inner_->request(); }
  void respond(net::HttpResponse response) override;
  void start_stream(net::HttpResponse head) override;
  bool write(std::string_view bytes) override { return inner_->write(bytes); }
  void finish_stream() override;
  void on_cancel(std::function<void()> callback) override {
    inner_->on_cancel(std::move(callback));
  }
  bool cancelled() const override { return inner_->cancelled(); }
  void run_on_loop(std::function<void()> call) override { inner_->run_on_loop(std::move(call)); }

 private:
  friend class RequestTrace;
  void add_headers(net::HttpResponse& response) const;

  const std::shared_ptr<net::Exchange> inner_;
  RequestTrace trace_;
  std::atomic<int> stream_status_{0};  // 0: no stream was begun
};

}  // namespace sis::api
