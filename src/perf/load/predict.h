// Load for text classification: POST /predict with one text, POST /predict_batch with several.
//
// A pool of requests is built ahead, as for embeddings. With `distinct`, every text begins with a
// number written as words, so that no cache of whole texts can help. Every answer is parsed: a
// label and a confidence from 0 to 1 for each text, in order.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/request_pool.h"

namespace sis::perf {

struct PredictOptions {
  net::Url url;
  std::string model;  // empty: the server's own choice
  std::string api_key;
  TextSource texts{.text = "hello world"};
  int batch = 1;  // texts per request; 1: /predict
  bool distinct = false;
  uint64_t salt = 0;  // distinct texts of two runs differ if their salts do
  uint64_t seed = 1;
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known: no more are built
};

class PredictWorkload final : public PooledWorkload {
 public:
  static Result<std::unique_ptr<PredictWorkload>> create(const PredictOptions& options);
  std::unique_ptr<Judge> make_judge() const override;

 private:
  int batch_ = 1;
};

}  // namespace sis::perf
