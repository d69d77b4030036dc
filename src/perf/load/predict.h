// Load for text classification: POST /predict with one text, POST /predict_batch with several.
//
// A pool of requests is built ahead, as for embeddings. With `distinct`, every text begins with a
// number written as words, so that no cache of whole texts can help. Every answer is parsed: a
// label and a confidence from 0 to 1 for each text, in order.
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

struct PredictOptions {
  net::Url url;
  std::string model;  // empty: the server's own choice
  std::string api_key;
  std::string text = "hello world";   // when neither of the next two is given
  std::vector<std::string> texts;     // used in order, over and over
  std::optional<LengthSpec> lengths;  // made-up texts
  int batch = 1;                      // texts per request; 1: /predict
  bool distinct = false;
  uint64_t salt = 0;  // distinct texts of two runs differ if their salts do
  uint64_t seed = 1;
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known: no more are built
};

class PredictWorkload final : public Workload {
 public:
  static Result<std::unique_ptr<PredictWorkload>> create(const PredictOptions& options);

  std::string_view request(uint64_t index, std::string& scratch) const override;
  std::unique_ptr<Judge> make_judge() const override;

 private:
  struct Prebuilt {
    std::string bytes;
    std::vector<size_t> tags;  // where distinct numbers are written
  };
  Result<Prebuilt> build(const std::vector<std::string>& texts) const;

  PredictOptions options_;
  std::vector<Prebuilt> pool_;
};

}  // namespace sis::perf
