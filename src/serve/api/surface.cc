#include "serve/api/surface.h"

#include "base/strings.h"
#include "serve/api/errors.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

// `root` itself or anything below it.
bool is_below(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

}  // namespace

net::HttpResponse surface_error(std::string_view path, const Error& error) {
  auto response = error_response(error);
  if (is_below(path, "/v2") && !is_below(path, "/v2/rerank")) {
    response.body = R"({"error":)";
    telemetry::append_json_string(response.body, error.message);
    response.body += '}';
    return response;
  }
  for (const char* root : {"/predict", "/predict_batch", "/models/info", "/v1/infer", "/webhooks"})
    if (is_below(path, root)) {
      response.body = R"({"error":)";
      telemetry::append_json_string(response.body,
                                    error.reason.empty() ? code_name(error.code) : error.reason);
      response.body += R"(,"detail":)";
      telemetry::append_json_string(response.body, error.message);
      response.body += '}';
      return response;
    }
  return response;
}

}  // namespace sis::api
