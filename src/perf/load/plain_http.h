// Load for any HTTP server: the same request over and over, right when its status is as expected.
#pragma once

#include <string>

#include "base/result.h"
#include "net/http_client.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct PlainHttpOptions {
  net::Url url;
  net::FetchRequest request;  // method, headers, body; its target is the URL's
  int expected_status = 0;    // 0: any 2xx or 3xx
  bool keep_alive = true;
};

class PlainHttpWorkload final : public Workload {
 public:
  static Result<std::unique_ptr<PlainHttpWorkload>> create(const PlainHttpOptions& options);

  std::string_view request(uint64_t, std::string&) const override { return bytes_; }
  std::unique_ptr<Judge> make_judge() const override;
  bool head_requests() const override { return head_; }

 private:
  std::string bytes_;
  int expected_status_ = 0;
  bool head_ = false;
};

}  // namespace sis::perf
