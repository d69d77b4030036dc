// Errors of the routes that do not speak OpenAI's format.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "net/http_server.h"

namespace sis::api {

enum class ErrorShape : uint8_t {
  kOpenAi,   // {"error":{"message","type","param","code"},"detail"}; what is wrong is 400
  kPredict,  // {"error","detail"}; 422, and 400 where a limit of the server is exceeded
  kTei,      // {"error","error_type"}; 422, 424 for faults of the model, 429, 503
};

// The reason of an error that says: a limit of the server is exceeded.
inline constexpr const char* kLimitReason = "limit_exceeded";
// TEI answers "nothing to do" with 400, everything else it cannot read with 422.
inline constexpr const char* kEmptyReason = "empty_input";

// Carries Retry-After as error_response() does.
net::HttpResponse shaped_error(ErrorShape shape, const Error& error, Duration retry_after);
// For statuses that no Code stands for (415).
net::HttpResponse shaped_status(ErrorShape shape, int status, const std::string& message);

}  // namespace sis::api
