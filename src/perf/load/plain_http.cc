#include "perf/load/plain_http.h"

#include "base/strings.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

class StatusJudge final : public Judge {
 public:
  explicit StatusJudge(int expected) : expected_(expected) {}
  Judgement judge(uint64_t, const Answer& answer) override {
    const bool ok =
        expected_ != 0 ? answer.status == expected_ : answer.status >= 200 && answer.status < 400;
    if (ok) return {.ok = true, .items = 1};
    return {.status_fault = true,
            .error = concat("status ", answer.status, ": ", error_message(answer.body))};
  }

 private:
  int expected_;
};

}  // namespace

Result<std::unique_ptr<PlainHttpWorkload>> PlainHttpWorkload::create(
    const PlainHttpOptions& options) {
  auto workload = std::make_unique<PlainHttpWorkload>();
  net::FetchRequest request = options.request;
  bool has_agent = false;
  for (const auto& header : request.headers) has_agent |= iequals(header.first, "User-Agent");
  if (!has_agent) request.headers.emplace_back("User-Agent", "sis-bench");
  if (!options.keep_alive) request.headers.emplace_back("Connection", "close");
  SIS_ASSIGN(workload->bytes_, net::request_bytes(options.url, request));
  workload->expected_status_ = options.expected_status;
  workload->head_ = request.method == "HEAD";
  return workload;
}

std::unique_ptr<Judge> PlainHttpWorkload::make_judge() const {
  return std::make_unique<StatusJudge>(expected_status_);
}

}  // namespace sis::perf
