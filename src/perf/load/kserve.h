// Load for servers of the Open Inference Protocol: POST /v2/models/M/infer with tensors.
//
// Requests are built ahead, one for each step of the data, used in turn; steps of several streams
// follow one another. Tensors travel as raw bytes behind the JSON (binary tensor data extension,
// with Inference-Header-Content-Length) or as JSON lists. Every answer is checked: status, every
// asked output once, with the model's type, and as many elements as its shape says; expected
// outputs, where the data has them, byte by byte.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/kserve_model.h"
#include "perf/load/tensor_data.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct KServeOptions {
  net::Url url;
  std::string model, version;  // version may be empty: the server's choice
  std::vector<std::pair<std::string, std::string>> headers;
  KServeModel metadata;                       // see fetch_kserve_model()
  std::shared_ptr<const TensorData> data;     // null: made-up values
  bool zeros = false;                         // made-up values are 0 or empty instead of random
  size_t string_bytes = 128;                  // of made-up BYTES elements
  std::string string_text;                    // not empty: every made-up BYTES element is this
  std::map<std::string, TensorShape> shapes;  // of inputs whose sizes the model leaves open
  int64_t batch = 1;                          // elements per request
  bool binary = true, binary_outputs = true;
  std::vector<std::string> outputs;  // names to ask for; empty: all of the model's
  nlohmann::ordered_json parameters = nlohmann::ordered_json::object();  // of every request
  uint64_t seed = 1;
  bool keep_alive = true;
  uint64_t requests = 0;  // of the run, if known: no more are built
};

class KServeWorkload final : public Workload {
 public:
  // Errors: data that does not fit the model's inputs, naming the place in the file; a batch above
  // the model's; over 1 GiB of requests; a model of sequences, whose order no pool can keep.
  static Result<std::unique_ptr<KServeWorkload>> create(const KServeOptions& options);

  std::string_view request(uint64_t index, std::string&) const override {
    return pool_[index % pool_.size()];
  }
  std::unique_ptr<Judge> make_judge() const override;
  size_t pool_size() const { return pool_.size(); }

 private:
  std::vector<std::string> pool_;
  std::vector<KServeTensor> outputs_;
  // For each request of the pool, raw bytes by output; empty: not compared.
  std::vector<std::map<std::string, std::string>> expected_;
  int64_t batch_ = 1;
};

}  // namespace sis::perf
