// Which server and which of its models a command measures: --base-url, --model-name, --api-key.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/bench/flags.h"

namespace sis::perf {

struct ListedModel {
  std::string id;
  bool embeds = false;  // the list gives it a vector size
};

struct Server {
  net::Url url;
  std::string prefix;  // of API paths: "/v1", or "" when the URL ends in it
};

struct ServerFlags {
  std::string base_url = "http://localhost:8000";
  std::vector<std::string> models;
  std::string api_key;

  // `default_model` says in words what is measured without --models.
  void add_to(FlagSet& flags, const std::string& default_model);
  Result<Server> resolve(const FlagSet& flags) const;
  // For routes that are not below /v1: the URL without a /v1 at its end.
  static net::Url root_of(const Server& server);

  // What GET /v1/models names, in its order; an empty list is an error. Blocks.
  Result<std::vector<ListedModel>> list_models(const Server& server, Duration timeout,
                                               bool verify_tls) const;
};

}  // namespace sis::perf
