// Load for OpenAI-style POST /v1/chat/completions: request bodies, streamed or whole answers.
//
// A pool of requests is built ahead: an optional system message and one user message whose text is
// given, taken from a list, or made up. With `distinct`, six words that no other request has stand
// as far in front as may be, so that no prefix cache reaches past them: at the start of the first
// message, or right behind the shared prefix if there is one. chat_judge.h tells what a right
// answer is.
//
// Chats may also come from files (chat_input.h), as lists of messages or as whole bodies, which are
// sent as they are.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/chat_input.h"
#include "perf/load/request_pool.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct ChatOptions {
  net::Url url;
  std::string path = "/v1/chat/completions";
  std::string model;
  std::string api_key;
  std::string system;  // empty: no system message
  TextSource prompts{.text = "Hello, how are you?"};
  int64_t shared_prefix_words = 0;  // made-up words in front of every prompt, the same
  int prefix_groups = 1;            // for all of a group; groups take turns
  const std::vector<ChatInput>* inputs = nullptr;  // in place of prompts; read by create() only
  bool distinct = false;
  uint64_t salt = 0;  // distinct prompts of two runs differ if their salts do
  uint64_t seed = 1;
  int64_t max_tokens = 128;
  std::optional<LengthSpec> output_lengths;  // of max_tokens, one draw per request
  double temperature = 0.7, top_p = 0.9;
  bool stream = true;
  bool ignore_eos = false;  // an extension of many servers: generate max_tokens whatever comes
  std::string extra;        // JSON object merged into the body, see check_extra(); may be empty
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known: no more are built
};

class ChatWorkload final : public Workload {
 public:
  static Result<std::unique_ptr<ChatWorkload>> create(const ChatOptions& options);

  std::string_view request(uint64_t index, std::string& scratch) const override;
  std::unique_ptr<Judge> make_judge() const override;
  size_t pool_size() const { return pool_.size(); }
  bool streams() const { return stream_; }  // whole bodies may say other than the options

 private:
  struct Prebuilt {
    std::string bytes;
    size_t tag = 0;  // where the distinct number is written
  };
  uint64_t salt_ = 0;
  Status add_request(const ChatOptions& options, std::string body, size_t tag);

  int choices_ = 1;  // of each answer
  bool stream_ = true;
  size_t pool_bytes_ = 0;
  std::vector<Prebuilt> pool_;
};

// Extra fields: a JSON object, merged into the body as a merge patch (RFC 7396: null takes a field
// out). `model`, `messages` and `stream` are not for it; `n` is a whole number 1..128.
Status check_extra(std::string_view text);

}  // namespace sis::perf
