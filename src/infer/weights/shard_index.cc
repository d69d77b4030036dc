#include "infer/weights/shard_index.h"

#include <simdjson.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "infer/weights/json_reading.h"
#include "infer/weights/safetensors_header.h"

namespace sis::weights {
namespace {

namespace od = simdjson::ondemand;

Error bad(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }

// An index comes with a download, so a name in it must not lead out of the checkpoint's folder.
Status check_file_name(std::string_view file) {
  constexpr std::string_view kSuffix = ".safetensors";
  if (file.size() > 255)
    return bad(concat("file name of ", file.size(), " bytes, want at most 255"));
  if (file.find_first_of("/\\") != std::string_view::npos)
    return bad(concat("file ", in_quotes(file), ": want a plain file name, found a path"));
  if (std::ranges::any_of(file, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
    return bad(concat("file ", in_quotes(file), ": control characters in the name"));
  if (file.size() <= kSuffix.size() || !file.ends_with(kSuffix) || file.starts_with('.'))
    return bad(
        concat("file ", in_quotes(file), ": want a name ending in ", kSuffix, " and not hidden"));
  return {};
}

Result<ShardIndex> read_weight_map(od::value value) {
  od::object object;
  if (const auto fault = value.get_object().get(object); fault != simdjson::SUCCESS)
    return json_error("weight_map: want an object of tensor names to file names", fault);
  ShardIndex index;
  std::map<std::string, uint32_t, std::less<>> shard_of;
  for (auto element : object) {
    od::field field;
    std::string_view name, file;
    if (const auto fault = std::move(element).get(field); fault != simdjson::SUCCESS)
      return json_error("weight_map", fault);
    if (const auto fault = field.unescaped_key().get(name); fault != simdjson::SUCCESS)
      return json_error("weight_map: a tensor's name", fault);
    if (name.empty() || name.size() > kTensorNameBytesMax)
      return bad(concat("weight_map: tensor ", in_quotes(name), ": the name has ", name.size(),
                        " bytes, want 1 to ", kTensorNameBytesMax));
    if (const auto fault = field.value().get_string().get(file); fault != simdjson::SUCCESS)
      return json_error(concat("weight_map: tensor ", in_quotes(name), ": want a file name"),
                        fault);
    auto known = shard_of.find(file);
    if (known == shard_of.end()) {
      if (auto fine = check_file_name(file); !fine)
        return prefixed(concat("weight_map: tensor ", in_quotes(name)), std::move(fine).error());
      if (index.shards.size() == kShardsMax)
        return bad(concat("weight_map: more than ", kShardsMax, " files"));
      known = shard_of.emplace(std::string(file), static_cast<uint32_t>(index.shards.size())).first;
      index.shards.emplace_back(file);
    }
    index.entries.push_back({std::string(name), known->second});
  }
  std::ranges::sort(index.entries, {}, &ShardIndex::Entry::tensor);
  for (size_t i = 1; i < index.entries.size(); ++i)
    if (index.entries[i].tensor == index.entries[i - 1].tensor)
      return bad(concat("weight_map: tensor ", in_quotes(index.entries[i].tensor), " given twice"));
  if (index.entries.empty()) return bad("weight_map: want at least one tensor, found none");
  return index;
}

}  // namespace

Result<ShardIndex> parse_shard_index(std::string_view text) {
  if (text.size() > kIndexBytesMax)
    return Error{Code::kInvalidArgument,
                 concat(text.size(), " bytes, want at most ", kIndexBytesMax)};
  const simdjson::padded_string padded(text);
  od::parser parser;
  od::document document;
  od::object object;
  if (const auto fault = parser.iterate(padded).get(document); fault != simdjson::SUCCESS)
    return json_error("index", fault);
  if (const auto fault = document.get_object().get(object); fault != simdjson::SUCCESS)
    return json_error("index: want a JSON object", fault);
  std::optional<ShardIndex> index;
  for (auto element : object) {
    od::field field;
    std::string_view key;
    if (const auto fault = std::move(element).get(field); fault != simdjson::SUCCESS)
      return json_error("index", fault);
    if (const auto fault = field.unescaped_key().get(key); fault != simdjson::SUCCESS)
      return json_error("index: a key", fault);
    if (key != "weight_map") continue;
    if (index) return bad("weight_map given twice");
    SIS_ASSIGN(index, read_weight_map(field.value()));
  }
  if (!index) return bad("weight_map is missing");
  if (const char* rest = nullptr; document.current_location().get(rest) == simdjson::SUCCESS)
    return bad(concat("unexpected text after the JSON object, at byte ", rest - padded.data()));
  return *std::move(index);
}

}  // namespace sis::weights
