// Load for OpenAI-style POST /v1/embeddings: request bodies and what a right answer looks like.
//
// A pool of requests is built ahead. With `distinct`, every text of every request begins with a
// number written as words, so that no cache of whole texts can help. Every answer is checked for
// its status and outer shape; the first ones and then every `check_every`-th are parsed whole: as
// many vectors as texts, in order, all of one size, all finite, base64 of the right length.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/request_pool.h"

namespace sis::perf {

enum class VectorEncoding : uint8_t {
  kDefault,
  kFloat,
  kBase64
};  // kDefault: the field is not sent

struct EmbeddingsOptions {
  net::Url url;
  std::string path = "/v1/embeddings";
  std::string model;
  std::string api_key;
  TextSource texts{.text = "hello world"};
  int batch = 1;  // texts per request
  VectorEncoding encoding = VectorEncoding::kDefault;
  bool distinct = false;
  uint64_t salt = 0;  // distinct texts of two runs differ if their salts do
  uint64_t seed = 1;
  bool keep_alive = true;
  uint64_t requests = 0;      // of the run, if known: no more are built
  uint64_t check_every = 64;  // 1: parse every answer whole
};

class EmbeddingsWorkload final : public PooledWorkload {
 public:
  static Result<std::unique_ptr<EmbeddingsWorkload>> create(const EmbeddingsOptions& options);
  std::unique_ptr<Judge> make_judge() const override;

 private:
  int batch_ = 1;
  uint64_t check_every_ = 64;
};

// prompt_tokens of the usage object, looked for at both ends of the body; -1 if not there.
int64_t find_prompt_tokens(std::string_view body);

}  // namespace sis::perf
