#include "infer/text/tokenizer/token_limits.h"

#include <algorithm>

#include "infer/text/tokenizer/token_limits_json.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace sis::text {

void pad(std::span<Encoding> batch, const Padding& padding) {
  size_t length = static_cast<size_t>(padding.length);
  if (length == 0)
    for (const Encoding& encoding : batch) length = std::max(length, encoding.ids.size());
  if (const auto multiple = static_cast<size_t>(padding.multiple_of); multiple > 0)
    length = (length + multiple - 1) / multiple * multiple;
  for (Encoding& encoding : batch) {
    const size_t before = encoding.ids.size();
    encoding.attention.assign(before, 1);
    if (before >= length) continue;
    const auto fill = [&](auto& values, auto value) {
      values.insert(padding.left ? values.begin() : values.end(), length - before, value);
    };
    if (!encoding.offsets.empty() || before == 0)
      fill(encoding.offsets, std::pair<int32_t, int32_t>(0, 0));
    fill(encoding.ids, padding.id);
    fill(encoding.type_ids, padding.type_id);
    fill(encoding.attention, uint8_t{0});
  }
}

namespace tok {
namespace {

// True for "Left".
Result<bool> read_direction(const JsonObject& object) {
  SIS_ASSIGN(const std::string_view direction, object.string("direction", "Right"));
  if (direction == "Left") return true;
  if (direction == "Right") return false;
  return Error{
      Code::kInvalidArgument,
      concat(object.path_of("direction"), ": want Left or Right, found ", in_quotes(direction))};
}

}  // namespace

Result<std::optional<Truncation>> read_truncation(const JsonObject& config) {
  if (!config.find("truncation")) return std::optional<Truncation>();
  SIS_ASSIGN(const JsonObject object, config.object("truncation"));
  Truncation out;
  SIS_ASSIGN(const int64_t tokens_max, object.integer("max_length", 0, INT32_MAX));
  SIS_ASSIGN(const int64_t stride, object.integer("stride", 0, INT32_MAX, 0));
  SIS_ASSIGN(const std::string_view strategy, object.string("strategy", "LongestFirst"));
  SIS_ASSIGN(out.left, read_direction(object));
  out.tokens_max = static_cast<int32_t>(tokens_max);
  out.stride = static_cast<int32_t>(stride);
  if (strategy == "OnlyFirst")
    out.strategy = Truncation::Strategy::kOnlyFirst;
  else if (strategy == "OnlySecond")
    out.strategy = Truncation::Strategy::kOnlySecond;
  else if (strategy != "LongestFirst")
    return Error{
        Code::kInvalidArgument,
        concat(object.path_of("strategy"), ": want LongestFirst, OnlyFirst or OnlySecond, found ",
               in_quotes(strategy))};
  return std::optional(out);
}

Result<std::optional<Padding>> read_padding(const JsonObject& config) {
  constexpr int64_t kLengthMax = 1 << 24;
  if (!config.find("padding")) return std::optional<Padding>();
  SIS_ASSIGN(const JsonObject object, config.object("padding"));
  Padding out;
  SIS_ASSIGN(const int64_t multiple_of, object.integer("pad_to_multiple_of", 0, kLengthMax, 0));
  SIS_ASSIGN(const int64_t id, object.integer("pad_id", 0, INT32_MAX));
  SIS_ASSIGN(const int64_t type_id, object.integer("pad_type_id", 0, INT32_MAX, 0));
  SIS_ASSIGN(const std::string_view token, object.string("pad_token"));
  SIS_ASSIGN(out.left, read_direction(object));
  std::string_view strategy;
  const auto element = object.find("strategy");
  if (element && element->get(strategy) == simdjson::SUCCESS) {
    if (strategy != "BatchLongest")
      return Error{Code::kInvalidArgument,
                   concat(object.path_of("strategy"),
                          ": want BatchLongest or {\"Fixed\": N}, found ", in_quotes(strategy))};
  } else {
    SIS_ASSIGN(const JsonObject fixed, object.object("strategy"));
    SIS_ASSIGN(const int64_t length, fixed.integer("Fixed", 0, kLengthMax));
    out.length = static_cast<int32_t>(length);
  }
  out.multiple_of = static_cast<int32_t>(multiple_of);
  out.id = static_cast<int32_t>(id);
  out.type_id = static_cast<int32_t>(type_id);
  out.token = token;
  return std::optional(out);
}

}  // namespace tok
}  // namespace sis::text
