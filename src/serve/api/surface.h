// Errors in the words of the API a path belongs to, for what answers before a route is known.
#pragma once

#include <string_view>

#include "base/result.h"
#include "net/http_server.h"

namespace sis::api {

// /v2, but for /v2/rerank, which is Cohere's: {"error"}. /predict, /predict_batch, /models/info,
// /v1/infer and /webhooks:
// {"error","detail"}. Everything else as error_response(). Status and retry headers are the same
// everywhere.
net::HttpResponse surface_error(std::string_view path, const Error& error);
// The same for statuses that no Code stands for (404 of a path, 405, 413, 431, ...).
net::HttpResponse surface_status(std::string_view path, int status, const std::string& message);

}  // namespace sis::api
