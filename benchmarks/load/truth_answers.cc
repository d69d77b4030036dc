#include "truth_answers.h"

#include <fmt/format.h>

namespace sis::truth {
namespace {

constexpr std::string_view kChunkFront =
    R"({"id":"chatcmpl-truth","object":"chat.completion.chunk","created":1,"model":"truth",)";
constexpr int kPromptTokens = 7;

std::string event(std::string_view data) {
  const std::string text = fmt::format("data: {}\n\n", data);
  return fmt::format("{:x}\r\n{}\r\n", text.size(), text);
}

std::string choice(std::string_view delta, std::string_view finish) {
  return event(fmt::format(R"({}"choices":[{{"index":0,"delta":{},"finish_reason":{}}}]}})",
                           kChunkFront, delta, finish));
}

}  // namespace

std::string head(int status, std::string_view type, size_t body_bytes) {
  return fmt::format("HTTP/1.1 {} Truth\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n", status,
                     type, body_bytes);
}

std::string sse_start() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
         "chunked\r\n\r\n" +
         choice(R"({"role":"assistant","content":""})", "null");
}

std::string sse_piece(int number) {
  return choice(fmt::format(R"({{"content":" word{}"}})", number), "null");
}

std::string sse_end(int pieces) {
  return choice("{}", R"("stop")") +
         event(fmt::format(
             R"({}"choices":[],"usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}}})",
             kChunkFront, kPromptTokens, pieces, kPromptTokens + pieces)) +
         event("[DONE]") + "0\r\n\r\n";
}

}  // namespace sis::truth
