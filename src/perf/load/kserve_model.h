// What a server of the Open Inference Protocol (KServe v2, Triton) says about a model.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/tensor.h"

namespace sis::perf {

struct KServeTensor {
  std::string name;
  TensorType type = TensorType::kFp32;
  TensorShape shape;  // -1: any size. With a batch size, as in metadata: the batch's size first
  bool optional = false;
};

struct KServeModel {
  std::string name;
  std::vector<KServeTensor> inputs, outputs;
  int64_t max_batch = 0;   // 0: shapes have no batch size of their own
  bool sequences = false;  // requests belong to sequences, in order
  bool decoupled = false;  // several answers per request; not over HTTP
};

// /v2/models/NAME or /v2/models/NAME/versions/VERSION, names escaped for a path.
std::string kserve_model_path(const std::string& name, const std::string& version);

// From the bodies of GET <model path> and GET <model path>/config; `config` may be null. Errors
// name the field.
Result<KServeModel> parse_kserve_model(const nlohmann::ordered_json& metadata,
                                       const nlohmann::ordered_json& config);

struct KServeServer {
  net::Url url;
  std::vector<std::pair<std::string, std::string>> headers;  // of every request
  Duration timeout = from_seconds(30);
  bool verify_tls = false;
};

// GET <path> as JSON; status other than 200 is an error with the server's own words. What a server
// `may_lack` is null where it says that it has no such thing (404, 405, 501). Blocks.
Result<nlohmann::ordered_json> get_json(const KServeServer& server, const std::string& path,
                                        bool may_lack = false);

// Asks the server; the configuration is an extension that need not exist (404). Blocks.
Result<KServeModel> fetch_kserve_model(const KServeServer& server, const std::string& name,
                                       const std::string& version);

}  // namespace sis::perf
