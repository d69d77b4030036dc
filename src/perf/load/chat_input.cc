#include "perf/load/chat_input.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "perf/load/base64.h"
#include "perf/load/json_file.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kImagesMax = 10'000;
constexpr size_t kImageBytesMax = size_t{64} << 20;  // of all of them

// What was read so far, bounded: every question repeats what was said before it, so a small file
// may make large requests.
struct Inputs {
  std::vector<ChatInput> list;
  size_t bytes = 0;  // of their messages and bodies

  Status add(const std::string& place, ChatInput input, size_t input_bytes) {
    if (list.size() >= kChatInputsMax)
      return Error{Code::kTooLarge, concat(place, ": over ", kChatInputsMax, " requests")};
    bytes += input_bytes;
    if (bytes > kChatBytesMax)
      return Error{Code::kTooLarge, concat(place, ": over ", kChatBytesMax >> 20,
                                           " MiB of messages in all requests")};
    list.push_back(std::move(input));
    return {};
  }
};

size_t json_bytes(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).size();
}

Error bad(const std::string& place, std::string_view want, const Json& found) {
  return Error{Code::kInvalidArgument,
               concat(place, ": want ", want, ", found ", json_shown(found))};
}

// ShareGPT's names of who speaks; others as they are, since servers may know more roles.
std::string role_of(const std::string& from) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "chatgpt" || from == "bing" || from == "bard" || from == "assistant")
    return "assistant";
  return from;
}

Result<Json> read_turn(const std::string& place, const Json& turn, const char* who,
                       const char* what) {
  if (!turn.is_object()) return bad(place, "an object", turn);
  const Json *from = json_member(turn, who), *value = json_member(turn, what);
  if (from == nullptr || !from->is_string())
    return bad(concat(place, ".", who), "a string", from == nullptr ? Json() : *from);
  // OpenAI's content may be a list of parts.
  const bool parts = value != nullptr && value->is_array() && std::string_view(what) == "content";
  if (!parts && (value == nullptr || !value->is_string()))
    return bad(concat(place, ".", what), "a string", value == nullptr ? Json() : *value);
  Json message = std::string_view(what) == "content" ? turn : Json::object();
  message["role"] = role_of(from->get<std::string>());
  message["content"] = *value;
  return message;
}

Status add_conversation(const std::string& place, const Json& list, bool sharegpt, ChatTurns turns,
                        Inputs& inputs) {
  if (!list.is_array()) return bad(place, "a list of turns", list);
  Json messages = Json::array();
  std::vector<size_t> questions;  // messages up to each
  std::vector<size_t> bytes;      // of the messages up to and with each
  for (size_t i = 0; i < list.size(); ++i) {
    SIS_ASSIGN(Json message, read_turn(concat(place, "[", i, "]"), list[i],
                                       sharegpt ? "from" : "role", sharegpt ? "value" : "content"));
    const bool question = message["role"] == "user";
    bytes.push_back((bytes.empty() ? 0 : bytes.back()) + json_bytes(message));
    messages.push_back(std::move(message));
    if (question) questions.push_back(messages.size());
  }
  if (questions.empty()) return {};
  if (turns == ChatTurns::kFirst) questions.resize(1);
  if (turns == ChatTurns::kLast) questions.erase(questions.begin(), questions.end() - 1);
  for (const size_t end : questions) {
    Json part = Json::array();
    for (size_t i = 0; i < end; ++i) part.push_back(messages[i]);
    SIS_TRY(inputs.add(place, {.messages = std::move(part)}, bytes[end - 1]));
  }
  return {};
}

Status add_payloads(const std::string& place, const Json& list, Inputs& inputs) {
  if (!list.is_array()) return bad(place, "a list of request bodies", list);
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string here = concat(place, "[", i, "]");
    if (!list[i].is_object()) return bad(here, "a request body", list[i]);
    if (const Json* stream = json_member(list[i], "stream");
        stream != nullptr && !stream->is_boolean())
      return bad(here + ".stream", "true or false", *stream);
    SIS_TRY(inputs.add(here, {.payload = list[i]}, json_bytes(list[i])));
  }
  return {};
}

Status add_entry(const std::string& place, const Json& entry, ChatTurns turns, Inputs& inputs) {
  if (entry.is_array()) {  // a stream of payloads
    for (size_t i = 0; i < entry.size(); ++i)
      SIS_TRY(add_entry(concat(place, "[", i, "]"), entry[i], turns, inputs));
    return {};
  }
  if (entry.is_object()) {
    if (const Json* list = json_member(entry, "conversations"))
      return add_conversation(place + ".conversations", *list, true, turns, inputs);
    if (const Json* list = json_member(entry, "conversation"))
      return add_conversation(place + ".conversation", *list, true, turns, inputs);
    if (const Json* list = json_member(entry, "messages"))
      return add_conversation(place + ".messages", *list, false, turns, inputs);
    if (const Json* list = json_member(entry, "payload"))
      return add_payloads(place + ".payload", *list, inputs);
  }
  return bad(place, "an object with 'conversations', 'messages' or 'payload'", entry);
}

Status add_document(const std::string& name, const Json& document, ChatTurns turns,
                    Inputs& inputs) {
  if (document.is_object() && document.contains("data")) {
    if (!document["data"].is_array())
      return bad(concat(name, ": data"), "a list", document["data"]);
    for (size_t i = 0; i < document["data"].size(); ++i)
      SIS_TRY(add_entry(concat(name, ": data[", i, "]"), document["data"][i], turns, inputs));
    return {};
  }
  if (document.is_array()) {
    for (size_t i = 0; i < document.size(); ++i)
      SIS_TRY(add_entry(concat(name, ": [", i, "]"), document[i], turns, inputs));
    return {};
  }
  return add_entry(name, document, turns, inputs);
}

Status add_lines(const std::string& name, std::string_view text, ChatTurns turns, Inputs& inputs) {
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    const std::string place = concat(name, ": line ", number);
    SIS_ASSIGN(const Json entry, parse_json_text(std::string(line), name, number));
    SIS_TRY(add_entry(place, entry, turns, inputs));
  }
  return {};
}

const char* image_type(const std::string& name) {
  static constexpr const char* kTypes[][2] = {{".png", "image/png"},
                                              {".jpg", "image/jpeg"},
                                              {".jpeg", "image/jpeg"},
                                              {".webp", "image/webp"},
                                              {".gif", "image/gif"}};
  const std::string lower = to_lower(name);
  for (const auto& [suffix, type] : kTypes)
    if (lower.ends_with(suffix)) return type;
  return nullptr;
}

}  // namespace

Result<std::vector<ChatInput>> parse_chat_input(std::string text, const std::string& name,
                                                ChatTurns turns) {
  Inputs inputs;
  if (name.ends_with(".jsonl")) {
    if (!is_utf8(text)) return Error{Code::kInvalidArgument, concat(name, ": want UTF-8")};
    SIS_TRY(add_lines(name, text, turns, inputs));
  } else {
    SIS_ASSIGN(const Json document, parse_json_text(std::move(text), name));
    SIS_TRY(add_document(name, document, turns, inputs));
  }
  if (inputs.list.empty())
    return Error{Code::kInvalidArgument, concat(name, ": want chats with a question, found none")};
  return std::move(inputs.list);
}

Result<std::vector<ChatInput>> read_chat_input(const std::string& path, ChatTurns turns) {
  SIS_ASSIGN(std::string text, read_file(path, kJsonFileBytesMax));
  return parse_chat_input(std::move(text), path, turns);
}

Result<std::vector<ChatInput>> read_image_chats(const std::string& path,
                                                const std::string& prompt) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    for (std::filesystem::directory_iterator it(path, error), end; !error && it != end;
         it.increment(error)) {
      if (!it->is_regular_file(error) || image_type(it->path().string()) == nullptr) continue;
      if (paths.size() == kImagesMax)
        return Error{Code::kTooLarge,
                     concat("folder ", in_quotes(path), ": over ", kImagesMax, " images")};
      paths.push_back(it->path());
    }
    if (error)
      return Error{Code::kInvalidArgument,
                   concat("folder ", in_quotes(path), ": cannot be read: ", error.message())};
    std::sort(paths.begin(), paths.end());
    if (paths.empty())
      return Error{Code::kInvalidArgument,
                   concat("folder ", in_quotes(path),
                          ": want images (.png, .jpg, .webp, .gif), found none")};
  } else {
    if (image_type(path) == nullptr)
      return Error{Code::kInvalidArgument,
                   concat(in_quotes(path), ": want a folder, or a .png, .jpg, .webp or .gif")};
    paths.emplace_back(path);
  }
  std::vector<ChatInput> inputs;
  size_t bytes = 0;
  for (const auto& each : paths) {
    SIS_ASSIGN(const std::string image, read_file(each, kImageBytesMax));
    bytes += image.size();
    if (bytes > kImageBytesMax)
      return Error{Code::kTooLarge,
                   concat(in_quotes(path), ": over ", kImageBytesMax >> 20, " MiB of images")};
    Json parts = Json::array();
    parts.push_back({{"type", "text"}, {"text", prompt}});
    parts.push_back({{"type", "image_url"},
                     {"image_url",
                      {{"url", concat("data:", image_type(each.string()), ";base64,",
                                      base64_encode(image))}}}});
    inputs.push_back({.messages = Json::array({{{"role", "user"}, {"content", parts}}})});
  }
  return inputs;
}

}  // namespace sis::perf
