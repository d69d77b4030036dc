// Streamed chat answers for tests.
#pragma once

#include <string>
#include <string_view>

#include "base/strings.h"

namespace sis::perf {

// One event with one choice; `delta` and `finish_reason` are JSON.
inline std::string chunk_event(std::string_view id, std::string_view delta,
                               std::string_view finish_reason = "null", int index = 0) {
  return concat(
      R"(data: {"id":")", id,
      R"(","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":)", index,
      R"(,"delta":)", delta, R"(,"finish_reason":)", finish_reason, "}],\"usage\":null}\n\n");
}

inline std::string role_event(std::string_view id, int index = 0) {
  return chunk_event(id, R"({"role":"assistant","content":""})", "null", index);
}
inline std::string text_event(std::string_view id, std::string_view text, int index = 0) {
  return chunk_event(id, concat(R"({"content":")", text, R"("})"), "null", index);
}
inline std::string finish_event(std::string_view id, int index = 0) {
  return chunk_event(id, "{}", R"("stop")", index);
}
inline std::string usage_event(std::string_view id, int prompt, int completion, int cached = 0) {
  return concat(R"(data: {"id":")", id, R"(","choices":[],"usage":{"prompt_tokens":)", prompt,
                R"(,"completion_tokens":)", completion,
                R"(,"prompt_tokens_details":{"cached_tokens":)", cached, "}}}\n\n");
}
inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

// A whole right answer of `pieces` pieces of content; usage tells 2 tokens for each.
inline std::string good_stream(std::string_view id, int pieces) {
  std::string out = role_event(id);
  for (int i = 0; i < pieces; ++i) out += text_event(id, "word ");
  return concat(out, finish_event(id), usage_event(id, 10, 2 * pieces, 4), kDoneEvent);
}

inline constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

// One HTTP chunk; an empty one ends the body.
inline std::string http_chunk(std::string_view body) {
  return fmt::format("{:x}\r\n{}\r\n", body.size(), body);
}

}  // namespace sis::perf
