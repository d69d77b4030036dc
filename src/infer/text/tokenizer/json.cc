#include "infer/text/tokenizer/json.h"

#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

constexpr int kDepthMax = 16;  // of elements inside elements (Sequence)

}  // namespace

Result<JsonObject> JsonObject::from(simdjson::dom::element element, std::string path, int depth) {
  if (depth > kDepthMax)
    return Error{Code::kInvalidArgument, concat(path, ": nested deeper than ", kDepthMax)};
  simdjson::dom::object object;
  if (element.get(object) != simdjson::SUCCESS)
    return Error{Code::kInvalidArgument,
                 concat(path, ": want an object, found ", json_kind(element))};
  return JsonObject(object, std::move(path), depth);
}

std::optional<simdjson::dom::element> JsonObject::find(std::string_view key) const {
  simdjson::dom::element element;
  if (object_.at_key(key).get(element) != simdjson::SUCCESS || element.is_null())
    return std::nullopt;
  return element;
}

std::string JsonObject::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : concat(path_, ".", key);
}

Error JsonObject::wrong(std::string_view key, std::string_view want) const {
  const auto element = find(key);
  return Error{Code::kInvalidArgument, concat(path_of(key), ": want ", want, ", found ",
                                              element ? json_kind(*element) : "nothing")};
}

Result<std::string_view> JsonObject::string(std::string_view key,
                                            std::optional<std::string_view> fallback) const {
  const auto element = find(key);
  if (!element && fallback) return *fallback;
  std::string_view value;
  if (!element || element->get(value) != simdjson::SUCCESS) return wrong(key, "a string");
  return value;
}

Result<bool> JsonObject::boolean(std::string_view key, std::optional<bool> fallback) const {
  const auto element = find(key);
  if (!element && fallback) return *fallback;
  bool value = false;
  if (!element || element->get(value) != simdjson::SUCCESS) return wrong(key, "a boolean");
  return value;
}

Result<int64_t> JsonObject::integer(std::string_view key, int64_t min, int64_t max,
                                    std::optional<int64_t> fallback) const {
  const auto element = find(key);
  if (!element && fallback) return *fallback;
  int64_t value = 0;
  if (!element || element->get(value) != simdjson::SUCCESS) return wrong(key, "an integer");
  if (value < min || value > max)
    return Error{Code::kInvalidArgument,
                 concat(path_of(key), ": want ", min, " to ", max, ", found ", value)};
  return value;
}

Result<std::string_view> JsonObject::insertion(std::string_view key) const {
  constexpr size_t kBytesMax = 1024;
  SIS_ASSIGN(const std::string_view text, string(key));
  if (text.size() > kBytesMax)
    return Error{Code::kInvalidArgument,
                 concat(path_of(key), ": ", text.size(), " bytes, want at most ", kBytesMax)};
  return text;
}

Result<char32_t> JsonObject::character(std::string_view key) const {
  SIS_ASSIGN(const std::string_view text, string(key));
  size_t bytes = 0;
  const char32_t c = text.empty() ? 0 : decode_utf8(text, 0, bytes);
  if (bytes == 0 || bytes != text.size())
    return Error{Code::kInvalidArgument,
                 concat(path_of(key), ": want one character, found ", in_quotes(text))};
  return c;
}

Result<JsonObject> JsonObject::object(std::string_view key) const {
  const auto element = find(key);
  if (!element) return wrong(key, "an object");
  return from(*element, path_of(key), depth_ + 1);
}

Result<JsonArray> JsonObject::array(std::string_view key) const {
  const auto element = find(key);
  simdjson::dom::array array;
  if (!element || element->get(array) != simdjson::SUCCESS) return wrong(key, "an array");
  return JsonArray(array, path_of(key), depth_ + 1);
}

}  // namespace sis::text::tok
