#include "perf/bench/server_flags.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

constexpr const char* kTryLater = "try again when it is ready";

// Servers that list their models from the start, and fill the list as they load, say so at /ready;
// others have no such page.
bool is_loading(const net::Url& root, net::FetchRequest request) {
  request.target = net::join_target(root, "/ready");
  const auto response = net::fetch(root, request);
  return response.ok() && response->status == 503;
}

}  // namespace

void ServerFlags::add_to(FlagSet& flags, const std::string& default_model) {
  flags.section("Server");
  flags.text({{"base-url", "url"}, {"BASE_URL"}}, &base_url, "URL", "where the server is");
  flags.custom(
      {{"models", "model-name", "model"}, {"MODEL_NAME", "MODELS"}}, "A,B", "",
      concat("models to measure, one after the other; default: ", default_model),
      [this](std::string_view text) -> Status {
        models = split_list(text);
        if (models.empty())
          return Error{Code::kInvalidArgument, concat("want model names, got ", in_quotes(text))};
        for (const auto& model : models)
          if (!is_utf8(model))
            return Error{Code::kInvalidArgument, concat(in_quotes(model), " is not UTF-8")};
        return {};
      });
  flags.text({{"api-key", "token"}, {"API_KEY", "API_TOKEN"}}, &api_key, "KEY",
             "sent as bearer token");
}

Result<Server> ServerFlags::resolve(const FlagSet& flags) const {
  auto url = net::parse_url(base_url);
  if (!url.ok())
    return prefixed(
        flags.source("base-url") == FlagSource::kEnvironment ? "BASE_URL" : "--base-url",
        url.error());
  // OpenAI clients are given URLs that end in /v1; both forms mean the same server.
  std::string_view path = std::string_view(url->target).substr(0, url->target.find('?'));
  while (path.ends_with('/')) path.remove_suffix(1);
  const char* prefix = path.ends_with("/v1") ? "" : "/v1";
  return Server{.url = std::move(*url), .prefix = prefix};
}

net::Url ServerFlags::root_of(const Server& server) {
  net::Url url = server.url;
  if (server.prefix.empty())
    url.target.resize(url.target.substr(0, url.target.find('?')).rfind("/v1"));
  return url;
}

Result<std::vector<ListedModel>> ServerFlags::list_models(const Server& server, Duration timeout,
                                                          bool verify_tls) const {
  net::FetchRequest request{.target = net::join_target(server.url, server.prefix + "/models"),
                            .timeout = timeout,
                            .verify_tls = verify_tls};
  request.headers = {{"Accept", "application/json"}, {"User-Agent", "sis-bench"}};
  if (!api_key.empty()) request.headers.emplace_back("Authorization", concat("Bearer ", api_key));
  SIS_ASSIGN(const net::FetchResponse response, net::fetch(server.url, request));
  const auto hint = concat("GET ", request.target, ": ");
  if (response.status == 503)
    return Error{Code::kUnavailable,
                 concat(hint, "status 503 (", error_message(response.body),
                        "): the server is still loading or takes no requests; ", kTryLater)};
  if (response.status != 200)
    return Error{Code::kUnavailable,
                 concat(hint, "status ", response.status, " (", error_message(response.body),
                        "); name the model with --models")};
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  const auto data = json.is_object() ? json.find("data") : json.end();
  if (!json.is_object() || data == json.end() || !data->is_array())
    return Error{Code::kUnavailable,
                 concat(hint, "want {\"data\": [...]}, got ", in_quotes(response.body),
                        "; name the model with --models")};
  std::vector<ListedModel> listed;
  for (const auto& model : *data) {
    if (!model.is_object() || !model.contains("id") || !model["id"].is_string()) continue;
    const auto size = model.find("embedding_dimensions");
    listed.push_back(
        {.id = model["id"].get<std::string>(), .embeds = size != model.end() && size->is_number()});
  }
  if (listed.empty() && is_loading(root_of(server), request))
    return Error{Code::kUnavailable,
                 concat(hint,
                        "the server lists no model yet and GET /ready says that it is still "
                        "loading; ",
                        kTryLater)};
  if (listed.empty())
    return Error{Code::kUnavailable,
                 concat(hint, "the server lists no model; name one with --models")};
  return listed;
}

}  // namespace sis::perf
