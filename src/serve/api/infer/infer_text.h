// What /v1/infer answers, and the events of /v1/infer/stream.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "serve/api/openai/stream.h"

namespace sis::api {

// One request as its answer names it.
struct InferHead {
  std::string id;  // the request's, as in X-Request-ID
  std::string model;
  TimePoint received_at{};
};

// "output":...,"usage":{...}: what an answer says again when the request is repeated.
std::string infer_result(const std::string& output, const tasks::Usage& usage);
std::string infer_body(const InferHead& head, std::string_view result, bool cached, TimePoint now);

// `on_result` gets the infer_result() of a whole answer, computed or kept, before it is sent.
//
//   event: token  {"text","finish_reason": null or "stop" or "length"}
//   event: done   {}
//   event: error  {"error"}
std::unique_ptr<AnswerPrinter> infer_printer(InferHead head, const Clock& clock,
                                             std::function<void(std::string result)> on_result);

}  // namespace sis::api
