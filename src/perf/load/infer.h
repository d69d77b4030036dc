// Load for POST /v1/infer and /v1/infer/stream: one prompt, one generated text.
//
// Requests are built ahead; with `distinct` every prompt begins with a number written as words, so
// that the response cache never hits. A whole answer is right with an id, the model and a text; it
// came from the cache when its field `cached` or the header X-Cache says so. A stream is right when
// its token events carry texts, one of them tells why it ended, `done` is last, and no error event
// came.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/request_pool.h"

namespace sis::perf {

struct InferOptions {
  net::Url url;
  std::string prefix = "/v1";  // of the path
  std::string model;
  std::string api_key;  // sent as bearer token unless empty
  TextSource prompts;
  std::string params;  // a JSON object, the request's `params`; empty: none
  bool stream = false;
  bool distinct = false;
  uint64_t salt = 0, seed = 1;
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known: no more are built
};

class InferWorkload final : public PooledWorkload {
 public:
  static Result<std::unique_ptr<InferWorkload>> create(const InferOptions& options);
  std::unique_ptr<Judge> make_judge() const override;
  std::string_view watched_header() const override { return "X-Cache"; }

 private:
  bool stream_ = false;
};

}  // namespace sis::perf
