// Chats from files, as chat requests.
//
//   ShareGPT      [{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", ...}]}]
//   messages      [{"messages": [{"role": ..., "content": ...}]}]
//   payload       {"data": [{"payload": [{a whole request body}]}]}, as perf_analyzer takes it: the
//                 bodies are sent as they are
//
// Also one such object per line (.jsonl). A folder of images makes one chat of each image.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace sis::perf {

struct ChatInput {
  nlohmann::ordered_json messages;  // an array; null in a payload
  nlohmann::ordered_json payload;   // a whole body; null otherwise
};

// Which turns of a conversation are asked: each is one request with all that was said before it.
enum class ChatTurns : uint8_t { kFirst, kLast, kAll };

inline constexpr size_t kChatInputsMax = 1'000'000;
inline constexpr size_t kChatBytesMax = size_t{512} << 20;  // of their messages together

// Errors name the file and the JSON path or line. Conversations without a question are left out;
// that none is left is an error.
Result<std::vector<ChatInput>> parse_chat_input(std::string text, const std::string& name,
                                                ChatTurns turns);
Result<std::vector<ChatInput>> read_chat_input(const std::string& path, ChatTurns turns);

// The images of a folder (.png, .jpg, .jpeg, .webp, .gif), or one file, each as a data URL with
// `prompt` beside it. At most 64 MiB together.
Result<std::vector<ChatInput>> read_image_chats(const std::string& path, const std::string& prompt);

}  // namespace sis::perf
