#include "serve/api/webhook/webhook.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "base/utc.h"
#include "serve/api/json_body.h"
#include "serve/api/plain_errors.h"
#include "serve/api/webhook/webhook_signature.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

constexpr size_t kNameBytesMax = 256;

struct Event {
  std::string id, type;
};

Result<std::string> name_field(const simdjson::dom::object& object, const char* field) {
  std::string_view text;
  if (object[field].get_string().get(text) != simdjson::SUCCESS || text.empty() ||
      text.size() > kNameBytesMax)
    return invalid(concat(field, ": want a string of 1 to ", kNameBytesMax, " bytes"), field);
  return std::string(text);
}

Result<Event> parse_event(std::string_view body) {
  SIS_ASSIGN(const auto object, parse_body(body));
  Event event;
  SIS_ASSIGN(event.id, name_field(object, "id"));
  SIS_ASSIGN(event.type, name_field(object, "type"));
  simdjson::dom::object payload;
  if (object["payload"].get_object().get(payload) != simdjson::SUCCESS)
    return invalid("payload: want an object", "payload");
  simdjson::dom::element timestamp;
  if (object["timestamp"].get(timestamp) != simdjson::SUCCESS ||
      !(timestamp.is_number() || timestamp.is_string()))
    return invalid("timestamp: want a number or a string", "timestamp");
  return event;
}

// For at least as long as a signature is good: its time may lie ahead by the window, and then the
// window follows.
IdempotencyOptions remembered(const WebhookOptions& options) {
  IdempotencyOptions kept = options.idempotency;
  kept.ttl = std::max(kept.ttl, 2 * options.timestamp_window);
  return kept;
}

}  // namespace

WebhookRoute::WebhookRoute(WebhookOptions options, TaskPool& prep, const Clock& clock,
                           std::function<double()> unix_seconds, OnEvent on_event,
                           telemetry::Logger log)
    : options_(std::move(options)),
      prep_(prep),
      unix_seconds_(std::move(unix_seconds)),
      on_event_(std::move(on_event)),
      log_(std::move(log)),
      seen_(remembered(options_), clock) {}

void WebhookRoute::ingest(std::shared_ptr<net::Exchange> exchange) {
  if (exchange->request().body.size() <= options_.check_inline_bytes_max) return take(*exchange);
  if (prep_.post([this, exchange] { take(*exchange); })) return;
  on_event_("refused");
  exchange->respond(plain_error_response(
      {Code::kOverloaded, "too many large requests wait to be read"}, std::chrono::seconds(1)));
}

void WebhookRoute::take(net::Exchange& exchange) {
  auto answered = check(exchange.request());
  on_event_(answered.result);
  exchange.respond(std::move(answered.response));
}

WebhookRoute::Answered WebhookRoute::check(const net::HttpRequest& request) {
  const auto refused = [&](const Error& error, const char* result) {
    log_.log(telemetry::Level::kWarning, "webhook_refused", request.request_id,
             {{"reason", error.message}});
    return Answered{plain_error_response(error), result};
  };
  if (options_.secret.empty())
    return refused(
        {Code::kUnavailable, "webhooks are off: set WEBHOOK_HMAC_SECRET to a secret of your own"},
        "refused");
  if (request.body.size() > options_.body_bytes_max)
    return refused(
        {Code::kTooLarge, concat("the body has ", request.body.size(), " bytes, at most ",
                                 options_.body_bytes_max, " are allowed")},
        "refused");
  // Nothing of the body is used before its sender is known.
  const std::string_view given = request.header("X-Signature");
  const std::string_view timestamp = request.header("X-Timestamp");
  if (given.empty())
    return refused({Code::kUnauthenticated, "X-Signature is missing"}, "unauthorized");
  const double now = unix_seconds_();
  if (const auto status = check_webhook_time(timestamp, now, to_seconds(options_.timestamp_window));
      !status.ok())
    return refused(status.error(), "unauthorized");
  if (!webhook_signature_matches(options_.secret, timestamp, request.body, given))
    return refused(
        {Code::kUnauthenticated, "X-Signature is not this body's under the shared secret"},
        "unauthorized");
  auto event = parse_event(request.body);
  if (!event.ok()) return refused(event.error(), "invalid");

  std::string_view key = request.header("Idempotency-Key");
  if (key.size() > kNameBytesMax)
    return refused(invalid(concat("Idempotency-Key: want at most ", kNameBytesMax, " bytes"), ""),
                   "invalid");
  using State = IdempotencyMap::State;
  // What was signed once is taken once, whatever unsigned headers come with it: only an event that
  // is new by its signature may be new by its key. Both are remembered.
  const Sha256 sign = sha256_of({"signature", webhook_signature_digits(given)});
  auto begun = seen_.begin(sign, sign);
  IdempotencyMap::Begun by_key;
  if (begun.state == State::kNew && !key.empty()) {
    by_key = seen_.begin(sha256_of({"key", key}), sha256_of({request.body}));
    if (by_key.state == State::kOtherBody)
      return refused(invalid("Idempotency-Key belongs to an event with another body", ""),
                     "invalid");
  }
  const bool fresh = begun.state == State::kNew && by_key.state == State::kNew;
  if (!fresh) {
    log_.log(telemetry::Level::kInfo, "webhook_duplicate", request.request_id,
             {{"id", event->id}, {"type", event->type}});
    // Another thread may hold the first one for a moment: its answer would be this one.
    if (const auto& answer = begun.answer ? begun.answer : by_key.answer) {
      begun.lease.publish(*answer);
      return {{.body = *answer}, "duplicate"};
    }
  }
  std::string body = R"({"success":true,"id":)";
  telemetry::append_json_string(body, event->id);
  body += R"(,"received_at":)";
  telemetry::append_json_string(body, utc_text(static_cast<int64_t>(now)));
  body += '}';
  begun.lease.publish(body);
  if (!fresh) return {{.body = std::move(body)}, "duplicate"};
  log_.log(telemetry::Level::kInfo, "webhook_event", request.request_id,
           {{"id", event->id}, {"type", event->type}, {"bytes", request.body.size()}});
  by_key.lease.publish(body);
  return {{.body = std::move(body)}, "accepted"};
}

}  // namespace sis::api
