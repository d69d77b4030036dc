#include "serve/api/surface.h"

#include "base/strings.h"
#include "serve/api/errors.h"
#include "serve/api/plain_errors.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

enum class Surface : uint8_t { kOpenAi, kPlain, kKserve };

// `root` itself or anything below it.
bool is_below(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

Surface surface_of(std::string_view path) {
  if (is_below(path, "/v2") && !is_below(path, "/v2/rerank")) return Surface::kKserve;
  for (const char* root : {"/predict", "/predict_batch", "/models/info", "/v1/infer", "/webhooks"})
    if (is_below(path, root)) return Surface::kPlain;
  return Surface::kOpenAi;
}

std::string kserve_body(std::string_view message) {
  std::string body = R"({"error":)";
  telemetry::append_json_string(body, message);
  body += '}';
  return body;
}

}  // namespace

net::HttpResponse surface_error(std::string_view path, const Error& error) {
  auto response = error_response(error);
  switch (surface_of(path)) {
    case Surface::kKserve:
      response.body = kserve_body(error.message);
      break;
    case Surface::kPlain:
      response.body = R"({"error":)";
      telemetry::append_json_string(response.body,
                                    error.reason.empty() ? code_name(error.code) : error.reason);
      response.body += R"(,"detail":)";
      telemetry::append_json_string(response.body, error.message);
      response.body += '}';
      break;
    case Surface::kOpenAi:
      break;
  }
  return response;
}

net::HttpResponse surface_status(std::string_view path, int status, const std::string& message) {
  switch (surface_of(path)) {
    case Surface::kKserve:
      return {.status = status, .body = kserve_body(message)};
    case Surface::kPlain:
      return plain_status_response(status, message);
    case Surface::kOpenAi:
      break;
  }
  return status_response(status, message);
}

}  // namespace sis::api
