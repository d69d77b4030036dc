// Load for OpenAI-style POST /v1/completions: a text to go on with, streamed or whole answers.
//
// Requests are built ahead; with `distinct` every prompt begins with a number written as words, so
// that no prefix cache helps. chat_judge.h tells what a right answer is.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/request_pool.h"

namespace sis::perf {

struct CompletionsOptions {
  net::Url url;
  std::string path = "/v1/completions";
  std::string model;
  std::string api_key;
  TextSource prompts;
  int batch = 1;  // prompts per request
  bool distinct = false;
  uint64_t salt = 0, seed = 1;
  int64_t max_tokens = 128;
  std::optional<LengthSpec> output_lengths;  // of max_tokens, one draw per request
  double temperature = 0.7, top_p = 0.9;
  bool stream = true;
  bool ignore_eos = false;  // an extension of many servers: generate max_tokens whatever comes
  std::string extra;        // JSON object merged into the body; not model, prompt or stream
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known: no more are built
};

class CompletionsWorkload final : public PooledWorkload {
 public:
  static Result<std::unique_ptr<CompletionsWorkload>> create(const CompletionsOptions& options);
  std::unique_ptr<Judge> make_judge() const override;

 private:
  int choices_ = 1;  // of each answer
  bool stream_ = true;
};

// Extra fields: a JSON object, merged into the body as a merge patch (RFC 7396). `model`, `prompt`
// and `stream` are not for it; `n` is a whole number 1..128.
Status check_completions_extra(std::string_view text);

}  // namespace sis::perf
