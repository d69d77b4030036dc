#include "serve/api/client.h"

#include <optional>
#include <thread>
#include <utility>

namespace sis::api {

std::string_view client_name(const net::HttpRequest& request) {
  const Client* client = client_of(request);
  return client ? std::string_view(client->name()) : std::string_view();
}

Status check_client_model(const net::HttpRequest& request, const std::string& model) {
  const Client* client = client_of(request);
  if (!client) return {};
  return client->check_model(model);
}

int client_priority(const net::HttpRequest& request) {
  const Client* client = client_of(request);
  return client ? client->priority() : 0;
}

void charge_client(const net::HttpRequest& request, int64_t tokens) {
  if (Client* client = client_of(request)) client->used_tokens(tokens);
}

void admit_client(const std::shared_ptr<net::Exchange>& exchange,
                  std::function<void(const Error* refusal)> done) {
  Client* client = client_of(exchange->request());
  if (!client) return done(nullptr);
  const auto here = std::this_thread::get_id();
  client->admit([exchange, here, done = std::move(done)](const Error* refusal) {
    if (std::this_thread::get_id() == here) return done(refusal);
    exchange->run_on_loop([done, refused = refusal ? std::optional(*refusal) : std::nullopt] {
      done(refused ? &*refused : nullptr);
    });
  });
}

void charge_client_so_far(const net::HttpRequest& request, int64_t tokens) {
  if (Client* client = client_of(request)) client->used_tokens_so_far(tokens);
}

}  // namespace sis::api
