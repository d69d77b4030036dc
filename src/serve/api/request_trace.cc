#include "serve/api/request_trace.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/strings.h"

namespace sis::api {
namespace {

using telemetry::Attribute;
using telemetry::attribute_text;
using telemetry::Field;
using telemetry::kStageCount;
using telemetry::Span;
using telemetry::SpanId;
using telemetry::SpanStatus;
using telemetry::Stage;

constexpr const char* kStageKeys[kStageCount] = {"parse_ms",   "cache_ms",   "queue_ms",
                                                 "prepare_ms", "compute_ms", "prefill_ms",
                                                 "decode_ms",  "write_ms"};
constexpr size_t kAttributesMax = 48;
constexpr size_t kHeadersMax = 16;  // of traceparent and of tracestate each

telemetry::Tracer::Begun begin_trace(const net::HttpRequest& request,
                                     const telemetry::Tracer& tracer) {
  std::array<std::string_view, kHeadersMax> parents, states;
  size_t parent_count = 0, state_count = 0;
  for (const auto& [name, value] : request.headers) {
    if (parent_count < kHeadersMax && iequals(name, "traceparent")) parents[parent_count++] = value;
    if (state_count < kHeadersMax && iequals(name, "tracestate")) states[state_count++] = value;
  }
  return tracer.begin({parents.data(), parent_count}, {states.data(), state_count});
}

std::vector<Attribute> request_attributes(const net::HttpRequest& request) {
  std::vector<Attribute> out;
  out.reserve(16);
  out.push_back({"http.request.method", attribute_text(request.method)});
  out.push_back({"url.path", attribute_text(request.path)});
  out.push_back({"client.address", attribute_text(request.peer)});
  out.push_back({"http.request.body.size", static_cast<int64_t>(request.body.size())});
  out.push_back({"sis.request_id", attribute_text(request.request_id)});
  if (const auto agent = request.header("User-Agent"); !agent.empty())
    out.push_back({"user_agent.original", attribute_text(agent)});
  return out;
}

}  // namespace

RequestTrace::RequestTrace(const net::HttpRequest& request, const TracePlace* place)
    : place_(place),
      request_id_(request.request_id),
      method_(request.method),
      begun_(begin_trace(request, place ? place->tracer : telemetry::Tracer())),
      timer_(request.received_at) {
  if (recording()) attributes_ = request_attributes(request);
}

std::shared_ptr<RequestTrace> RequestTrace::of(const std::shared_ptr<net::Exchange>& exchange) {
  if (auto* traced = dynamic_cast<TracedExchange*>(exchange.get()))
    return {exchange, &traced->trace_};  // one object: the exchange keeps it
  return std::make_shared<RequestTrace>(exchange->request(), nullptr);
}

void RequestTrace::set_route(std::string_view pattern) {
  const std::lock_guard lock(mutex_);
  route_ = pattern;
}

void RequestTrace::set_model(std::string_view name) {
  const std::lock_guard lock(mutex_);
  model_ = name;
}

void RequestTrace::set_client(std::string_view name) {
  const std::lock_guard lock(mutex_);
  client_ = name;
}

void RequestTrace::set_quiet() {
  const std::lock_guard lock(mutex_);
  quiet_ = true;
}

void RequestTrace::mark(Stage stage, TimePoint now) {
  const std::lock_guard lock(mutex_);
  timer_.mark(stage, now);
}

void RequestTrace::place(Stage stage, TimePoint begin, Duration spent) {
  const std::lock_guard lock(mutex_);
  timer_.place(stage, begin, spent);
}

void RequestTrace::skip_to(TimePoint now) {
  const std::lock_guard lock(mutex_);
  timer_.skip_to(now);
}

TimePoint RequestTrace::marked() const {
  const std::lock_guard lock(mutex_);
  return timer_.marked();
}

std::string RequestTrace::server_timing(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  return timer_.server_timing(now);
}

void RequestTrace::attribute(const char* key, Attribute::Value value) {
  if (!recording() || ended()) return;
  const std::lock_guard lock(mutex_);
  if (attributes_.size() < kAttributesMax) attributes_.push_back({key, std::move(value)});
}

TimePoint RequestTrace::now() const {
  return place_ ? place_->clock.now() : std::chrono::steady_clock::now();
}

void RequestTrace::end(int status, TimePoint now, const telemetry::Logger& log,
                       std::string_view event, std::initializer_list<Field> fields) {
  if (ended_.exchange(true)) return;
  const std::lock_guard lock(mutex_);
  const Duration latency = timer_.total(now);
  write_line(status, latency, log, event, fields);
  if (place_) place_->observer.on_end({route_, model_, status, latency});
  if (recording() && (!quiet_ || status >= 500)) finish_spans(status, now);
}

void RequestTrace::end(int status) {
  if (ended()) return;
  std::string route;
  {
    const std::lock_guard lock(mutex_);
    route = route_;
  }
  end(status, now(), place_ ? place_->log : telemetry::Logger(), "http_request",
      {{"method", method_}, {"route", route}});
}

void RequestTrace::write_line(int status, Duration latency, const telemetry::Logger& log,
                              std::string_view event, std::initializer_list<Field> fields) const {
  const auto level = status >= 500 ? telemetry::Level::kWarning
                     : quiet_      ? telemetry::Level::kDebug
                                   : telemetry::Level::kInfo;
  if (!log.enabled(level)) return;
  std::vector<Field> all;
  all.reserve(fields.size() + kStageCount + 6);
  if (!model_.empty()) all.emplace_back("model", model_);
  if (!client_.empty()) all.emplace_back("client", client_);
  all.emplace_back("status", status);
  all.emplace_back("latency_ms", to_ms(latency));
  for (int i = 0; i < kStageCount; ++i)
    if (const Duration spent = timer_.spent(static_cast<Stage>(i)); spent > Duration::zero())
      all.emplace_back(kStageKeys[i], to_ms(spent));
  all.insert(all.end(), fields.begin(), fields.end());
  const std::string trace_id = telemetry::to_hex(begun_.own.trace_id);
  const std::string span_id = telemetry::to_hex(begun_.own.span_id);
  all.emplace_back("trace_id", trace_id);
  all.emplace_back("span_id", span_id);
  log.log(level, event, request_id_, std::span<const Field>(all));
}

// https://opentelemetry.io/docs/specs/semconv/http/http-spans/: the caller's mistakes are no error
// of the server's span.
void RequestTrace::finish_spans(int status, TimePoint now) {
  const auto wall_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  const auto unix_ns = [&](TimePoint at) {
    return wall_ns - std::chrono::duration_cast<std::chrono::nanoseconds>(now - at).count();
  };
  std::vector<Span> spans;
  Span request{.trace_id = begun_.own.trace_id,
               .span_id = begun_.own.span_id,
               .parent = begun_.parent,
               .parent_remote = begun_.parent != SpanId{},
               .state = begun_.own.state,
               .name = route_ == kUnknown ? attribute_text(method_)
                                          : concat(attribute_text(method_), " ", route_),
               .kind = telemetry::SpanKind::kServer,
               .begin_unix_ns = unix_ns(timer_.start()),
               .end_unix_ns = wall_ns,
               .attributes = std::move(attributes_),
               .status = status >= 500 ? SpanStatus::kError : SpanStatus::kUnset};
  if (route_ != kUnknown) request.attributes.push_back({"http.route", route_});
  request.attributes.push_back({"http.response.status_code", static_cast<int64_t>(status)});
  if (status >= 500) request.attributes.push_back({"error.type", std::to_string(status)});
  if (!model_.empty()) request.attributes.push_back({"gen_ai.request.model", model_});
  spans.push_back(std::move(request));
  for (int i = 0; i < kStageCount; ++i) {
    const auto stage = static_cast<Stage>(i);
    if (timer_.spent(stage) <= Duration::zero()) continue;
    // What other requests' work told us about may have begun before this request did.
    const TimePoint begin = std::clamp(timer_.began(stage), timer_.start(), now);
    const TimePoint end = std::clamp(timer_.began(stage) + timer_.spent(stage), begin, now);
    spans.push_back({.trace_id = begun_.own.trace_id,
                     .span_id = telemetry::make_span_id(),
                     .parent = begun_.own.span_id,
                     .state = begun_.own.state,
                     .name = telemetry::stage_name(stage),
                     .begin_unix_ns = unix_ns(begin),
                     .end_unix_ns = unix_ns(end)});
  }
  place_->tracer.finish(std::move(spans));
}

TracedExchange::TracedExchange(std::shared_ptr<net::Exchange> inner, const TracePlace& place)
    : inner_(std::move(inner)), trace_(inner_->request(), &place) {}

// What is dropped unanswered gets a 500 from the connection; a stream that was begun and not
// finished is cut.
TracedExchange::~TracedExchange() {
  trace_.end(inner_->cancelled() || stream_status_ != 0 ? 499 : 500);
}

void TracedExchange::add_headers(net::HttpResponse& response) const {
  const TimePoint now = trace_.now();
  const auto add = [&](const char* name, auto value) {
    for (const auto& [known, text] : response.headers)
      if (iequals(known, name)) return;
    response.headers.emplace_back(name, value());
  };
  add("X-Response-Time",
      [&] { return fmt::format("{:.2f}", to_ms(now - inner_->request().received_at)); });
  add("Server-Timing", [&] { return trace_.server_timing(now); });
  if (trace_.answers_trace())
    add("traceresponse", [&] { return telemetry::format_traceparent(trace_.context()); });
}

void TracedExchange::respond(net::HttpResponse response) {
  trace_.end(inner_->cancelled() ? 499 : response.status);
  add_headers(response);
  inner_->respond(std::move(response));
}

void TracedExchange::start_stream(net::HttpResponse head) {
  stream_status_ = head.status;
  add_headers(head);
  inner_->start_stream(std::move(head));
}

void TracedExchange::finish_stream() {
  trace_.end(inner_->cancelled() ? 499 : stream_status_.load());
  inner_->finish_stream();
}

}  // namespace sis::api
