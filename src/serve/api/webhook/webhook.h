// The route POST /webhooks/ingest: takes signed events from other systems.
//
// An event that is genuine is acknowledged, logged with its id and type, and counted; nothing else
// is done with it, and its payload is never logged. Sent again with the same signature, or signed
// anew under the same Idempotency-Key, it is acknowledged again and counted as a duplicate.
// Errors are {"error","detail"}. Any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/api/idempotency.h"
#include "telemetry/log.h"

namespace sis::api {

struct WebhookOptions {
  std::string secret;  // empty: no event can be genuine, every request is answered 503
  Duration timestamp_window = from_seconds(300);
  IdempotencyOptions idempotency;
  size_t body_bytes_max = 1 << 20;
  size_t check_inline_bytes_max = 16 << 10;  // larger bodies are checked on the prep pool
};

class WebhookRoute {
 public:
  // What became of a delivery: "accepted", "duplicate", "unauthorized", "invalid", "refused".
  using OnEvent = std::function<void(const char* result)>;

  // `unix_seconds` is the wall clock.
  WebhookRoute(WebhookOptions options, TaskPool& prep, const Clock& clock,
               std::function<double()> unix_seconds, OnEvent on_event, telemetry::Logger log);

  void ingest(std::shared_ptr<net::Exchange> exchange);

 private:
  struct Answered {
    net::HttpResponse response;
    const char* result;
  };
  void take(net::Exchange& exchange);
  Answered check(const net::HttpRequest& request);

  const WebhookOptions options_;
  TaskPool& prep_;
  const std::function<double()> unix_seconds_;
  const OnEvent on_event_;
  const telemetry::Logger log_;
  IdempotencyMap seen_;
};

}  // namespace sis::api
