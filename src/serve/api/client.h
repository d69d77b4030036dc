// Who sent a request, as the front door found out before any route saw it.
//
// Routes only ask: which models the client may use, how soon it is to be served. They tell what its
// answer cost in tokens, so that the next request is judged by that instead of an estimate. Any
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_server.h"

namespace sis::api {

class Client : public net::Companion {
 public:
  // Of its API key; empty for one without.
  virtual const std::string& name() const = 0;
  virtual int priority() const = 0;  // higher goes first; 0 for most
  // kForbidden when its key is for other models.
  virtual Status check_model(const std::string& model) const = 0;
  virtual bool may_see_model(std::string_view model) const = 0;
  // Takes a place among the client's requests in progress and charges its rate limits, where the
  // front door has left that to the route. Calls `done` exactly once, before it returns or later on
  // another thread: with the refusal, or null. The request has to live until then.
  virtual void admit(std::function<void(const Error* refusal)> done) = 0;
  // Prompt and completion of the whole request. Before the end of the answer; the first call
  // counts.
  virtual void used_tokens(int64_t tokens) = 0;
  // The same when the answer has no end and so many are known of: at least what it was thought to
  // cost.
  virtual void used_tokens_so_far(int64_t tokens) = 0;
};

// Null where no front door stands.
inline Client* client_of(const net::HttpRequest& request) {
  return static_cast<Client*>(request.companion.get());  // nothing else makes companions
}

// The same for those who need not know whether there is one.
std::string_view client_name(const net::HttpRequest& request);  // "" without a key
Status check_client_model(const net::HttpRequest& request, const std::string& model);
void charge_client(const net::HttpRequest& request, int64_t tokens);
void charge_client_so_far(const net::HttpRequest& request, int64_t tokens);
int client_priority(const net::HttpRequest& request);
// `done` at once where the answer is known here, else on the connection's I/O thread.
void admit_client(const std::shared_ptr<net::Exchange>& exchange,
                  std::function<void(const Error* refusal)> done);

}  // namespace sis::api
