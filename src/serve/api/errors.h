// Errors on the wire: one status per Code, one body per API surface.
#pragma once

#include <string>

#include "base/result.h"
#include "net/http_server.h"

namespace sis::api {

int http_status(Code code);

// {"error":{"message","type","param","code"},"detail"}: read by OpenAI's SDKs and by clients of
// servers that only say `detail`. kOverloaded and kUnavailable carry Retry-After when `retry_after`
// is above zero.
net::HttpResponse error_response(const Error& error, Duration retry_after = Duration::zero());
// The same for statuses that no Code stands for (404 of a path, 405, 413, 431, ...).
net::HttpResponse status_response(int status, const std::string& message);

}  // namespace sis::api
