// What all load on OpenAI-style servers has in common: the bytes of a POST, and what an error body
// says.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct JsonPost {
  net::Url url;
  std::string path;
  std::string api_key;  // sent as bearer token unless empty
  const char* accept = "application/json";
  bool keep_alive = true;
};

// Head and `body`; the body is the end of it. Errors: a key or path with control bytes.
Result<std::string> post_bytes(const JsonPost& post, std::string body);

// What an error body says, whatever its shape: {"error":{"message"}}, {"error":""}, {"detail"},
// plain text. In quotes, cut to 200 bytes.
std::string error_message(std::string_view body);
// Of an answer whose status alone is wrong: the status and what the body says.
Judgement wrong_status(const Answer& answer);

}  // namespace sis::perf
