#include "perf/load/plain_http.h"

#include "base/strings.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

class PlainJudge final : public Judge {
 public:
  PlainJudge(int expected, const AnswerChecks& checks)
      : expected_(expected), checked_(!checks.empty()), checker_(checks) {}
  Judgement judge(uint64_t, const Answer& answer) override {
    const bool ok =
        expected_ != 0 ? answer.status == expected_ : answer.status >= 200 && answer.status < 400;
    if (!ok) return wrong_status(answer);
    if (checked_)
      if (std::string why = checker_.check(answer.body); !why.empty())
        return {.error = std::move(why)};
    return {.ok = true, .items = 1};
  }

 private:
  int expected_;
  bool checked_;
  AnswerChecks::Checker checker_;
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
  if (options.templates) {
    SIS_ASSIGN(workload->template_, RequestTemplate::create(options.url, request, options.context));
  } else {
    SIS_ASSIGN(workload->bytes_, net::request_bytes(options.url, request));
  }
  workload->expected_status_ = options.expected_status;
  workload->checks_ = options.checks;
  workload->head_ = request.method == "HEAD";
  return workload;
}

std::unique_ptr<Judge> PlainHttpWorkload::make_judge() const {
  return std::make_unique<PlainJudge>(expected_status_, checks_);
}

}  // namespace sis::perf
