// What stands before the router: whether the API is on, key, then rate limit, then the route. On
// the routes of the inference API the rate limit comes after what is wrong with the request itself:
// there the route asks for it, see api::Client::admit().
//
// Runs on the connection's I/O thread, whatever thread the counter answers on, and does not block.
// Whoever passes is left with the request as an api::Client. /, health, readiness and metrics are
// open; every other path, known or not, wants a key when keys are configured, so that nobody learns
// without one which paths there are. Outlives the exchanges that came through it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "net/http_server.h"
#include "serve/admission/rate_counter.h"
#include "serve/admission/rate_in_flight.h"
#include "serve/server/access_rules.h"
#include "telemetry/log.h"

namespace sis::server {

// Any thread.
class FrontDoorObserver {
 public:
  virtual ~FrontDoorObserver() = default;
  // A request was turned away here.
  virtual void on_refusal(int status, Duration latency) = 0;
  // One was refused by a limit of its client's, here or by the route that asked.
  virtual void on_limit() = 0;
};

class FrontDoor {
 public:
  FrontDoor(admission::RateCounter& counter, const Clock& clock, FrontDoorObserver& observer,
            telemetry::Logger log, net::Handler next)
      : counter_(&counter),
        clock_(clock),
        observer_(observer),
        log_(std::move(log)),
        next_(std::move(next)),
        rules_(std::make_shared<const AccessRules>()) {}

  void handle(std::shared_ptr<net::Exchange> exchange);
  // Whether the body of a request with this head is worth reading: false when handle() is going to
  // turn its client away. Any thread.
  bool wants_body(const net::HttpRequest& head) const;

  // Counts elsewhere from now on; before the first request.
  void use_counter(admission::RateCounter& counter) { counter_ = &counter; }
  // Requests that come from now on are judged by these; what clients have used up stays used. Any
  // thread.
  void set_rules(AccessRules rules);
  // Shared: a request keeps the rules it came under.
  std::shared_ptr<const AccessRules> rules() const {
    const std::lock_guard lock(mutex_);
    return rules_;
  }

 private:
  class Visitor;
  using Exchange = std::shared_ptr<net::Exchange>;

  struct Identity {
    const admission::ApiKey* key = nullptr;     // in the rules; null: none is needed here
    std::optional<Error> error = std::nullopt;  // kUnauthenticated, or kForbidden to this key
  };
  static Identity identify(const net::HttpRequest& request, std::string_view path,
                           const AccessRules& rules);
  void turn_away_unknown(const Exchange& exchange, const AccessRules& rules,
                         std::string_view message);
  void refuse(const Exchange& exchange, const Error& error, std::string_view client);
  void let_in(const Exchange& exchange, const std::shared_ptr<Visitor>& visitor);

  admission::RateCounter* counter_;
  const Clock& clock_;
  FrontDoorObserver& observer_;
  const telemetry::Logger log_;
  const net::Handler next_;
  admission::InFlight in_flight_;
  mutable std::mutex mutex_;
  std::shared_ptr<const AccessRules> rules_;  // guarded by mutex_; itself immutable
};

}  // namespace sis::server
