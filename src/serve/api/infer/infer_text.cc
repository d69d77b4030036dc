#include "serve/api/infer/infer_text.h"

#include <fmt/format.h>

#include <utility>

#include "serve/api/openai/chat_text.h"
#include "serve/api/plain_errors.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

using telemetry::append_json_string;

class InferPrinter final : public AnswerPrinter {
 public:
  InferPrinter(InferHead head, const Clock& clock, std::function<void(std::string)> on_result)
      : head_(std::move(head)), clock_(clock), on_result_(std::move(on_result)) {}

  void prompt(size_t, std::vector<tasks::TokenLogprobs>) override {}  // never asked for
  void delta(std::string& out, int32_t, const tasks::Delta& delta) override {
    if (!delta.content.empty()) token(out, delta.content, nullptr);
  }
  void finish(std::string& out, int32_t, tasks::FinishReason reason) override {
    token(out, "", finish_word(reason));
  }
  void usage(std::string&, const tasks::Usage&) override {}
  void done(std::string& out) override { out += "event: done\ndata: {}\n\n"; }
  void error(std::string& out, const Error& error) override {
    out += "event: error\ndata: {\"error\":";
    append_json_string(out, plain_error_message(error));
    out += "}\n\n";
  }

  std::string whole(const std::vector<GatheredChoice>& choices,
                    const tasks::Usage& usage) override {
    std::string result = infer_result(choices.front().content, usage);
    std::string body = infer_body(head_, result, /*cached=*/false, clock_.now());
    on_result_(result);
    result_ = std::move(result);
    return body;
  }
  std::string kept(const std::string&) const override { return result_; }
  std::string again(const std::string& kept) const override {
    on_result_(kept);
    return infer_body(head_, kept, /*cached=*/true, clock_.now());
  }

 private:
  static void token(std::string& out, std::string_view text, const char* reason) {
    out += "event: token\ndata: {\"text\":";
    append_json_string(out, text);
    out += R"(,"finish_reason":)";
    if (reason) {
      append_json_string(out, reason);
    } else {
      out += "null";
    }
    out += "}\n\n";
  }

  const InferHead head_;
  const Clock& clock_;
  const std::function<void(std::string)> on_result_;
  std::string result_;
};

}  // namespace

std::string infer_result(const std::string& output, const tasks::Usage& usage) {
  std::string result = R"("output":)";
  append_json_string(result, output);
  result += R"(,"usage":)";
  append_usage(result, usage);
  return result;
}

std::string infer_body(const InferHead& head, std::string_view result, bool cached, TimePoint now) {
  std::string body = R"({"id":)";
  append_json_string(body, head.id);
  body += R"(,"model":)";
  append_json_string(body, head.model);
  body += ',';
  body += result;
  body +=
      fmt::format(R"(,"latency_ms":{:.2f},"cached":{}}})", to_ms(now - head.received_at), cached);
  return body;
}

std::unique_ptr<AnswerPrinter> infer_printer(InferHead head, const Clock& clock,
                                             std::function<void(std::string)> on_result) {
  return std::make_unique<InferPrinter>(std::move(head), clock, std::move(on_result));
}

}  // namespace sis::api
