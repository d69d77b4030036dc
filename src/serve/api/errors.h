// Errors on the wire: one status per Code, one body per API surface.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_server.h"

namespace sis::api {

int http_status(Code code);

// kNotFound for a request that names no loaded model.
Error model_not_loaded(std::string_view name);

// {"error":{"message","type","param","code"},"detail"}: read by OpenAI's SDKs and by clients of
// servers that only say `detail`. Errors that pass carry Retry-After and retry-after-ms: when the
// error itself says, or after `fallback` when that is above zero; and x-should-retry: false when
// that is too far away to wait for.
net::HttpResponse error_response(const Error& error, Duration fallback = Duration::zero());
// The same for statuses that no Code stands for (404 of a path, 405, 413, 431, ...).
net::HttpResponse status_response(int status, const std::string& message);

}  // namespace sis::api
