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
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/texts.h"
#include "perf/load/workload.h"

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
  std::string text = "hello world";   // when neither of the next two is given
  std::vector<std::string> texts;     // used in order, over and over
  std::optional<LengthSpec> lengths;  // made-up texts
  int batch = 1;                      // texts per request
  VectorEncoding encoding = VectorEncoding::kDefault;
  bool distinct = false;
  uint64_t salt = 0;  // distinct texts of two runs differ if their salts do
  uint64_t seed = 1;
  bool keep_alive = true;
  uint64_t requests = 0;      // of the run, if known: no more are built
  uint64_t check_every = 64;  // 1: parse every answer whole
};

class EmbeddingsWorkload final : public Workload {
 public:
  static Result<std::unique_ptr<EmbeddingsWorkload>> create(const EmbeddingsOptions& options);

  std::string_view request(uint64_t index, std::string& scratch) const override;
  std::unique_ptr<Judge> make_judge() const override;
  size_t pool_size() const { return pool_.size(); }

 private:
  struct Prebuilt {
    std::string bytes;
    std::vector<size_t> tags;  // where distinct numbers are written
  };
  EmbeddingsOptions options_;
  std::vector<Prebuilt> pool_;
};

// prompt_tokens of the usage object, looked for at both ends of the body; -1 if not there.
int64_t find_prompt_tokens(std::string_view body);

}  // namespace sis::perf
