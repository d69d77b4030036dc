// Load for any HTTP server: one request over and over, or one with places that differ each time
// (request_template.h). An answer is right when its status is as expected and its body passes the
// checks.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "net/http_client.h"
#include "perf/load/answer_checks.h"
#include "perf/load/request_template.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct PlainHttpOptions {
  net::Url url;
  net::FetchRequest request;  // method, headers, body; its target is the URL's
  int expected_status = 0;    // 0: any 2xx or 3xx
  bool keep_alive = true;
  bool templates = false;  // {{...}} in URL, header values and body are places
  TemplateContext context;
  AnswerChecks checks;
};

class PlainHttpWorkload final : public Workload {
 public:
  static Result<std::unique_ptr<PlainHttpWorkload>> create(const PlainHttpOptions& options);

  std::string_view request(uint64_t index, std::string& scratch) const override {
    return template_ ? template_->write(index, scratch) : std::string_view(bytes_);
  }
  std::unique_ptr<Judge> make_judge() const override;
  bool head_requests() const override { return head_; }

 private:
  std::string bytes_;
  std::optional<RequestTemplate> template_;
  int expected_status_ = 0;
  AnswerChecks checks_;
  bool head_ = false;
};

}  // namespace sis::perf
