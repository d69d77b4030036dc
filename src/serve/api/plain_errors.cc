#include "serve/api/plain_errors.h"

#include "serve/api/errors.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

const char* word_of(int status) {
  switch (status) {
    case 307:
      return "moved";
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 408:
      return "request_timeout";
    case 409:
      return "conflict";
    case 413:
      return "too_large";
    case 415:
      return "unsupported_media_type";
    case 422:
      return "validation_error";
    case 429:
      return "overloaded";
    case 499:
      return "client_closed_request";
    case 503:
      return "unavailable";
    case 504:
      return "timeout";
    default:
      return status < 500 ? "invalid_request" : "internal_error";
  }
}

std::string body_of(std::string_view word, std::string_view message) {
  std::string body = R"({"error":)";
  telemetry::append_json_string(body, word);
  body += R"(,"detail":)";
  telemetry::append_json_string(body, message);
  body += '}';
  return body;
}

}  // namespace

const std::string& plain_error_message(const Error& error) {
  static const std::string inside = "the model failed; the server's log says more";
  return error.code == Code::kInternal ? inside : error.message;
}

net::HttpResponse plain_status_response(int status, const std::string& message) {
  return {.status = status, .body = body_of(word_of(status), message)};
}

net::HttpResponse plain_error_response(const Error& error, Duration fallback) {
  auto response = error_response(error, fallback);
  if (error.code == Code::kInvalidArgument) response.status = 422;
  const std::string_view word =
      error.reason.empty() ? std::string_view(word_of(response.status)) : error.reason;
  response.body = body_of(word, plain_error_message(error));
  return response;
}

}  // namespace sis::api
