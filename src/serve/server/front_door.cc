#include "serve/server/front_door.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/api/request_trace.h"
#include "serve/api/surface.h"

namespace sis::server {
namespace {

using admission::ApiKey;
using admission::RateCharge;
using admission::RateClient;
using admission::RateVerdict;
using admission::RateWindow;

constexpr const char* kOpenPaths[] = {"/",      "/health", "/healthz", "/live",
                                      "/livez", "/ready",  "/readyz",  "/metrics"};
constexpr int64_t kBytesPerToken = 4;  // of an estimate; English text has about as many
// Their bodies are read before the rate limit is asked: 422 goes before 429.
constexpr const char* kReadFirst[] = {"/v1/infer", "/v1/infer/stream"};

std::string_view without_slashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool is_open(std::string_view path) {
  return std::find(std::begin(kOpenPaths), std::end(kOpenPaths), path) != std::end(kOpenPaths);
}

// The one Authorization header's token. Two headers could be read differently by two readers.
std::optional<std::string_view> token_of(const net::HttpRequest& request) {
  std::optional<std::string_view> token;
  int seen = 0;
  for (const auto& [name, value] : request.headers)
    if (iequals(name, "authorization") && ++seen == 1) token = admission::bearer_token(value);
  return seen == 1 ? token : std::nullopt;
}

bool has_authorization(const net::HttpRequest& request) {
  return !request.header("authorization").empty();
}

RateClient address_of(const net::HttpRequest& request, const AccessRules& rules) {
  std::vector<std::string_view> forwarded;
  if (!rules.proxies.empty())
    for (const auto& [name, value] : request.headers)
      if (iequals(name, "x-forwarded-for")) forwarded.push_back(value);
  return {RateClient::Kind::kAddress, admission::rate_name_of(admission::client_address(
                                          request.peer, forwarded, rules.proxies))};
}

bool is_read_first(const net::HttpRequest& request) {
  return request.method == "POST" && std::find(std::begin(kReadFirst), std::end(kReadFirst),
                                               request.path) != std::end(kReadFirst);
}

std::string span_text(Duration length) {
  if (length == std::chrono::minutes(1)) return "minute";
  if (length == std::chrono::hours(1)) return "hour";
  return concat(to_seconds(length), " s");
}

}  // namespace

// One request that knows its place: which key, which windows it was charged in.
class FrontDoor::Visitor final : public api::Client {
 public:
  Visitor(FrontDoor& door, std::shared_ptr<const AccessRules> rules, const ApiKey* key,
          RateClient client)
      : door_(door), rules_(std::move(rules)), key_(key), client_(std::move(client)) {}
  ~Visitor() override { leave(); }

  const std::string& name() const override {
    static const std::string none;
    return key_ ? key_->name : none;
  }
  int priority() const override { return key_ ? key_->priority : 0; }
  bool may_see_model(std::string_view model) const override {
    return !key_ || key_->may_use_model(model);
  }
  Status check_model(const std::string& model) const override {
    if (may_see_model(model)) return {};
    return Error{Code::kForbidden,
                 concat("key ", in_quotes(name()), " may not use model ", in_quotes(model)),
                 "model", "model_not_allowed"};
  }
  void admit(std::function<void(const Error*)> done) override {
    if (std::exchange(asked_, true)) return done(nullptr);
    if (!enter()) {
      door_.observer_.on_limit();
      const Error full{Code::kRateLimited,
                       concat("rate limit: ", *rules_->grant(key_).concurrent,
                              " requests at once; one has to end first"),
                       "", "rate_limit_exceeded", std::chrono::seconds(1)};
      return done(&full);
    }
    if (charges_ == 0) return done(nullptr);
    door_.counter_->take(client_, {charged_.data(), static_cast<size_t>(charges_)},
                         [this, done = std::move(done)](const RateVerdict& verdict) {
                           verdict_ = verdict;
                           settled_ = !verdict.allowed();  // refused: nothing was charged
                           judged_ = true;
                           if (verdict.allowed()) return done(nullptr);
                           door_.observer_.on_limit();
                           const Error error = refusal();
                           done(&error);
                         });
  }
  void used_tokens(int64_t tokens) override {
    if (settled_.exchange(true)) return;
    for (int i = tokens_from_; i < charges_; ++i) {
      const auto at = static_cast<size_t>(i);
      const RateCharge& charge = charged_[at];
      door_.counter_->settle(client_, *charge.window, verdict_.levels[at], charge.cost, tokens);
    }
    used_tokens_.store(tokens, std::memory_order_relaxed);
  }
  void used_tokens_so_far(int64_t tokens) override {
    const bool thought = tokens_from_ < charges_;
    if (thought && tokens > charged_[static_cast<size_t>(tokens_from_)].cost) used_tokens(tokens);
    settled_ = true;  // else the estimate stands
  }

  // An answer that is an error has cost no tokens.
  void on_head(net::HttpResponse& head) override {
    if (head.status >= 400) used_tokens(0);
    if (!judged_) return;
    const auto add = [&](const char* what, int64_t limit, int64_t remaining, Duration reset) {
      head.headers.emplace_back(concat("x-ratelimit-limit-", what), concat(limit));
      head.headers.emplace_back(concat("x-ratelimit-remaining-", what), concat(remaining));
      head.headers.emplace_back(concat("x-ratelimit-reset-", what), admission::reset_text(reset));
    };
    if (const int at = tightest(0, tokens_from_); at >= 0) {
      const auto& level = verdict_.levels[static_cast<size_t>(at)];
      add("requests", charged_[static_cast<size_t>(at)].window->limit, level.remaining,
          level.reset);
    }
    if (const int at = tightest(tokens_from_, charges_); at >= 0) {
      const RateCharge& charge = charged_[static_cast<size_t>(at)];
      const auto& level = verdict_.levels[static_cast<size_t>(at)];
      const int64_t used = used_tokens_.load(std::memory_order_relaxed);
      const int64_t limit = charge.window->limit;
      const int64_t back =
          used < 0 || !verdict_.allowed() ? 0 : std::min(charge.cost, limit) - used;
      add("tokens", limit, std::clamp<int64_t>(level.remaining + back, 0, limit), level.reset);
    }
  }
  void on_end() override { leave(); }

  // What admit() will charge; before it.
  void plan_charges(const net::HttpRequest& request, std::string_view path) {
    const Grant& grant = rules_->grant(key_);
    const EndpointRule* endpoint = rules_->endpoint(path);
    const auto charge = [this](const RateWindow& window, int64_t cost) {
      charged_[static_cast<size_t>(charges_++)] = {&window, cost};
    };
    for (const RateWindow& window : grant.windows.requests) charge(window, 1);
    if (endpoint)
      for (const RateWindow& window : endpoint->windows.requests) charge(window, 1);
    tokens_from_ = charges_;
    if (request.method == "POST") {
      const int64_t tokens = 1 + static_cast<int64_t>(request.body.size()) / kBytesPerToken;
      if (grant.windows.tokens) charge(*grant.windows.tokens, tokens);
      if (endpoint && endpoint->windows.tokens) charge(*endpoint->windows.tokens, tokens);
    }
  }

 private:
  // Takes a place among the client's requests in progress.
  bool enter() {
    const auto& most = rules_->grant(key_).concurrent;
    if (!most) return true;
    inside_ = door_.in_flight_.enter(client_, *most);
    return inside_;
  }
  Error refusal() const {
    const auto at = static_cast<size_t>(verdict_.refused_by);
    const RateWindow& window = *charged_[at].window;
    return {Code::kRateLimited,
            concat("rate limit: ", window.limit,
                   verdict_.refused_by < tokens_from_ ? " requests" : " tokens", " per ",
                   span_text(window.length), "; try again in ",
                   admission::reset_text(verdict_.retry_after)),
            "", "rate_limit_exceeded", verdict_.retry_after};
  }
  // Index of the window with the least left, -1 for none.
  int tightest(int from, int to) const {
    int best = -1;
    for (int i = from; i < to; ++i)
      if (best < 0 || verdict_.levels[static_cast<size_t>(i)].remaining <
                          verdict_.levels[static_cast<size_t>(best)].remaining)
        best = i;
    return best;
  }
  void leave() {
    if (inside_.exchange(false)) door_.in_flight_.leave(client_);
  }

  FrontDoor& door_;
  const std::shared_ptr<const AccessRules> rules_;  // what key_ and the windows lie in
  const ApiKey* const key_;
  const RateClient client_;
  std::array<RateCharge, admission::kRateWindowsMax> charged_{};
  int charges_ = 0, tokens_from_ = 0;    // tokens' windows are the last ones
  bool asked_ = false, judged_ = false;  // admit() was called; verdict_ is there
  RateVerdict verdict_;
  std::atomic<bool> inside_{false}, settled_{true};  // nothing charged is nothing to settle
  std::atomic<int64_t> used_tokens_{-1};
};

void FrontDoor::set_rules(AccessRules rules) {
  auto made = std::make_shared<const AccessRules>(std::move(rules));
  const std::lock_guard lock(mutex_);
  rules_.swap(made);
}

FrontDoor::Identity FrontDoor::identify(const net::HttpRequest& request, std::string_view path,
                                        const AccessRules& rules) {
  const auto unknown = [](std::string message) {
    return Identity{.error = Error{Code::kUnauthenticated, std::move(message)}};
  };
  if (is_open(path)) {
    if (path != "/metrics" || !rules.metrics_key) return {};
    const auto token = token_of(request);
    if (token && admission::same_hash(admission::sha256(*token), *rules.metrics_key)) return {};
    return unknown("want the key of METRICS_API_KEY");
  }
  if (!rules.needs_key(path)) return {};
  const ApiKey* key = nullptr;
  if (const auto token = token_of(request)) key = rules.keys.find(admission::sha256(*token));
  if (!key)
    return unknown(
        has_authorization(request)
            ? "incorrect API key: want `Authorization: Bearer <key>` with a key of this server"
            : "no API key: want `Authorization: Bearer <key>`");
  if (admission::is_expired(*key, std::time(nullptr)))
    return unknown(concat("key ", in_quotes(key->name), " has expired"));
  if (!key->may_use_route(path))
    return {key, Error{Code::kForbidden,
                       concat("key ", in_quotes(key->name), " may not use ", in_quotes(path)), "",
                       "route_not_allowed"}};
  return {.key = key};
}

bool FrontDoor::wants_body(const net::HttpRequest& head) const {
  const std::string_view path = without_slashes(head.path);
  const auto rules = this->rules();
  if (!rules->infer_off.empty() && is_infer_path(path)) return false;
  return !identify(head, path, *rules).error;
}

void FrontDoor::handle(std::shared_ptr<net::Exchange> exchange) {
  const net::HttpRequest& request = exchange->request();
  const std::string_view path = without_slashes(request.path);
  const auto rules = this->rules();
  if (!rules->infer_off.empty() && is_infer_path(path))
    return exchange->respond(api::surface_error(path, {Code::kNotFound, rules->infer_off}));
  const auto [key, error] = identify(request, path, *rules);
  if (error && error->code == Code::kUnauthenticated)
    return turn_away_unknown(exchange, *rules, error->message);
  if (error) return refuse(exchange, *error, key->name);
  if (is_open(path)) return next_(std::move(exchange));

  if (!key && rules->standing.is_unlimited() && !rules->endpoint(path))
    return next_(std::move(exchange));
  auto client = key ? RateClient{RateClient::Kind::kKey, key->name} : address_of(request, *rules);
  const auto visitor = std::make_shared<Visitor>(*this, rules, key, std::move(client));
  visitor->plan_charges(request, path);
  if (is_read_first(request)) return let_in(exchange, visitor);
  visitor->admit([this, exchange, visitor](const Error* refusal) {
    // The counter may answer on the one thread that talks to Redis.
    exchange->run_on_loop(
        [this, exchange, visitor, refused = refusal ? std::optional(*refusal) : std::nullopt] {
          if (exchange->cancelled()) return;  // the client has left meanwhile
          if (!refused) return let_in(exchange, visitor);
          exchange->request().companion = visitor;  // adds the limits to the answer
          refuse(exchange, *refused, visitor->name());
        });
  });
}

void FrontDoor::let_in(const Exchange& exchange, const std::shared_ptr<Visitor>& visitor) {
  exchange->request().companion = visitor;
  if (!visitor->name().empty()) api::RequestTrace::of(exchange)->set_client(visitor->name());
  next_(exchange);
}

// Guesses count against the address they come from.
void FrontDoor::turn_away_unknown(const Exchange& exchange, const AccessRules& rules,
                                  std::string_view message) {
  std::vector<RateCharge> charges;
  for (const RateWindow& window : rules.standing.windows.requests) charges.push_back({&window});
  const Error error{Code::kUnauthenticated, std::string(message)};
  if (charges.empty()) return refuse(exchange, error, "");
  counter_->take(address_of(exchange->request(), rules), charges,
                 [this, exchange, error](const RateVerdict& verdict) {
                   if (!verdict.allowed()) observer_.on_limit();
                   const Error said =
                       verdict.allowed()
                           ? error
                           : Error{Code::kRateLimited,
                                   "rate limit: too many requests without a valid key", "",
                                   "rate_limit_exceeded", verdict.retry_after};
                   exchange->run_on_loop([this, exchange, said] { refuse(exchange, said, ""); });
                 });
}

void FrontDoor::refuse(const Exchange& exchange, const Error& error, std::string_view client) {
  const net::HttpRequest& request = exchange->request();
  auto response = api::surface_error(request.path, error);
  if (error.code == Code::kUnauthenticated)
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
  observer_.on_refusal(response.status, clock_.now() - request.received_at);
  const auto trace = api::RequestTrace::of(exchange);
  trace->set_client(client);
  trace->end(
      response.status, clock_.now(), log_, "request_refused",
      {{"path", std::string_view(request.path).substr(0, 200)}, {"reason", code_name(error.code)}});
  exchange->respond(std::move(response));
}

}  // namespace sis::server
