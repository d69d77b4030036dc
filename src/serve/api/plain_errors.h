// Errors of the routes that are not OpenAI's: {"error": WORD, "detail": MESSAGE}.
//
// A request that is well-formed JSON but not what the route wants is 422 here, not 400, and what
// went wrong inside stays inside: kInternal says no more than that.
#pragma once

#include <string>

#include "base/result.h"
#include "net/http_server.h"

namespace sis::api {

// WORD is the error's reason, if it has one, else one that goes with the status. Errors that pass
// carry Retry-After and retry-after-ms, as error_response()'s do.
net::HttpResponse plain_error_response(const Error& error, Duration fallback = Duration::zero());
// What may be told of it.
const std::string& plain_error_message(const Error& error);
net::HttpResponse plain_status_response(int status, const std::string& message);

}  // namespace sis::api
