#include "serve/api/errors.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

// Clients give up on their own when they are to wait for longer.
constexpr Duration kWorthWaiting = std::chrono::seconds(120);

struct Wire {
  const char* type;
  const char* code;  // null: none
};

Wire wire_of(int status) {
  switch (status) {
    case 401:
      return {"invalid_request_error", "invalid_api_key"};
    case 403:
      return {"permission_error", nullptr};
    case 408:
      return {"timeout_error", nullptr};
    case 429:
      return {"rate_limit_error", "rate_limit_exceeded"};
    case 500:
      return {"server_error", nullptr};
    case 503:
      return {"server_error", "server_is_overloaded"};
    case 504:
      return {"timeout_error", nullptr};
    default:
      return status >= 500 ? Wire{"server_error", nullptr} : Wire{"invalid_request_error", nullptr};
  }
}

net::HttpResponse render(int status, const std::string& message, const std::string& param,
                         std::string_view code) {
  const Wire wire = wire_of(status);
  net::HttpResponse response{.status = status};
  std::string& out = response.body;
  const auto or_null = [&out](std::string_view text) {
    if (text.empty())
      out += "null";
    else
      telemetry::append_json_string(out, text);
  };
  out += R"({"error":{"message":)";
  telemetry::append_json_string(out, message);
  out += R"(,"type":)";
  telemetry::append_json_string(out, wire.type);
  out += R"(,"param":)";
  or_null(param);
  out += R"(,"code":)";
  or_null(!code.empty() ? code : wire.code ? std::string_view(wire.code) : std::string_view());
  out += R"(},"detail":)";
  telemetry::append_json_string(out, message);
  out += '}';
  return response;
}

}  // namespace

int http_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kUnauthenticated:
      return 401;
    case Code::kForbidden:
      return 403;
    case Code::kTooLarge:
      return 413;
    case Code::kRateLimited:
      return 429;
    case Code::kOverloaded:
      return 429;
    case Code::kUnavailable:
      return 503;
    case Code::kDeadline:
      return 504;
    case Code::kCancelled:
      return 499;
    case Code::kInternal:
      return 500;
  }
  return 500;
}

Error model_not_loaded(std::string_view name) {
  return Error{
      Code::kNotFound,
      concat("model ", in_quotes(name), " is not loaded; GET /v1/models lists those that are"),
      "model", "model_not_found"};
}

net::HttpResponse error_response(const Error& error, Duration fallback) {
  auto response = render(http_status(error.code), error.message, error.param, error.reason);
  const bool passes = error.code == Code::kRateLimited || error.code == Code::kOverloaded ||
                      error.code == Code::kUnavailable;
  const Duration retry_after = !passes                                ? Duration::zero()
                               : error.retry_after > Duration::zero() ? error.retry_after
                                                                      : fallback;
  if (retry_after > Duration::zero()) {
    const double seconds = to_seconds(retry_after);
    response.headers.emplace_back(
        "Retry-After", concat(std::max<int64_t>(1, static_cast<int64_t>(std::ceil(seconds)))));
    response.headers.emplace_back("retry-after-ms",
                                  concat(static_cast<int64_t>(std::ceil(seconds * 1000))));
    if (retry_after > kWorthWaiting) response.headers.emplace_back("x-should-retry", "false");
  }
  return response;
}

net::HttpResponse status_response(int status, const std::string& message) {
  return render(status, message, "", "");
}

}  // namespace sis::api
