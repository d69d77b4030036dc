#include "serve/api/predict/error_shape.h"

#include "base/strings.h"
#include "serve/api/errors.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

int status_of(ErrorShape shape, const Error& error) {
  const int status = http_status(error.code);
  if (shape == ErrorShape::kOpenAi) return status;
  if (status == 400) {
    const bool limit = shape == ErrorShape::kPredict && error.reason == kLimitReason;
    const bool empty = shape == ErrorShape::kTei && error.reason == kEmptyReason;
    return limit || empty ? 400 : 422;
  }
  return shape == ErrorShape::kTei && status == 500 ? 424 : status;
}

const char* predict_title(int status) {
  switch (status) {
    case 400:
      return "Limit exceeded";
    case 404:
      return "Model not found";
    case 415:
      return "Unsupported media type";
    case 422:
      return "Validation error";
    case 429:
      return "Too many requests";
    case 503:
      return "Service unavailable";
    case 504:
      return "Timeout";
    default:
      return "Prediction failed";
  }
}

const char* tei_type(int status) {
  switch (status) {
    case 400:
      return "Empty";
    case 429:
      return "Overloaded";
    case 503:
      return "Unhealthy";
    case 424:
    case 504:
      return "Backend";
    default:
      return "Validation";
  }
}

std::string body_of(ErrorShape shape, int status, const std::string& message) {
  const bool tei = shape == ErrorShape::kTei;
  std::string out = R"({"error":)";
  telemetry::append_json_string(out, tei ? message : std::string(predict_title(status)));
  out += tei ? R"(,"error_type":)" : R"(,"detail":)";
  telemetry::append_json_string(out, tei ? std::string(tei_type(status)) : message);
  out += '}';
  return out;
}

}  // namespace

net::HttpResponse shaped_error(ErrorShape shape, const Error& error, Duration retry_after) {
  auto response = error_response(error, retry_after);
  if (shape == ErrorShape::kOpenAi) return response;
  response.status = status_of(shape, error);
  response.body = body_of(shape, response.status, error.message);
  return response;
}

net::HttpResponse shaped_status(ErrorShape shape, int status, const std::string& message) {
  auto response = status_response(status, message);
  if (shape != ErrorShape::kOpenAi) response.body = body_of(shape, status, message);
  return response;
}

}  // namespace sis::api
