// Load of whole request bodies out of files, for any endpoint: perf_analyzer's OpenAI kind.
//
//   {"data": [{"payload": [{"model": "m", "messages": [...], "stream": true}]}, ...]}
//
// Bodies go out as they are, in turn. An answer is right when its status is below 400; one with
// status 200 that comes as server-sent events must hold events of JSON without `error` and end
// with [DONE].
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/workload.h"

namespace sis::perf {

inline constexpr size_t kPayloadsMax = 1'000'000;
inline constexpr size_t kPayloadBytesMax = size_t{1} << 30;  // of all requests

struct PayloadOptions {
  net::Url url;
  std::string endpoint;  // "v1/chat/completions"
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> bodies;
};

// The payloads of a file. Errors name the file and the place in it.
Result<std::vector<std::string>> read_payloads(const std::string& path);

class PayloadWorkload final : public Workload {
 public:
  static Result<std::unique_ptr<PayloadWorkload>> create(const PayloadOptions& options);

  std::string_view request(uint64_t index, std::string&) const override {
    return pool_[index % pool_.size()];
  }
  std::unique_ptr<Judge> make_judge() const override;

 private:
  std::vector<std::string> pool_;
};

}  // namespace sis::perf
