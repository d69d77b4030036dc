#include "perf/load/tensor_data.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "perf/load/base64.h"
#include "perf/load/json_file.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShapeSizesMax = 32;
constexpr size_t kFolderFilesMax = 1000;

Error bad(const std::string& place, std::string_view want, const Json& found) {
  return Error{Code::kInvalidArgument,
               concat(place, ": want ", want, ", found ", json_shown(found))};
}

Result<TensorShape> read_shape(const std::string& place, const Json& from) {
  if (!from.is_array() || from.size() > kShapeSizesMax)
    return bad(place, "a list of sizes like [1,3]", from);
  TensorShape shape;
  for (const auto& size : from) {
    if (!size.is_number_integer() || size < 0) return bad(place, "whole sizes from 0", size);
    shape.push_back(size.get<int64_t>());
  }
  if (!element_count(shape))
    return Error{Code::kTooLarge, concat(place, ": ", shape_text(shape), " has too many elements")};
  return shape;
}

Status read_base64(const std::string& place, const Json& from, DataTensor& tensor) {
  if (!from.is_string()) return bad(place, "base64 text", from);
  tensor.raw = base64_decode(from.get_ref<const std::string&>());
  if (!tensor.raw) return bad(place, "base64 text", from);
  return {};
}

Result<DataTensor> read_tensor(const std::string& place, const Json& from) {
  DataTensor tensor{.place = place};
  if (!from.is_object()) {
    tensor.values = from;
    return tensor;
  }
  const Json* content = &from;
  std::string content_place = place;
  if (const auto inner = from.find("content"); inner != from.end()) {
    content = &*inner;
    content_place += ".content";
  }
  for (const auto& [key, value] : from.items()) {
    if (key == "shape") {
      SIS_ASSIGN(tensor.shape, read_shape(place + ".shape", value));
    } else if (key != "content" && key != "b64") {
      return Error{Code::kInvalidArgument,
                   concat(place, ": want 'content', 'b64' or 'shape', found ", in_quotes(key))};
    }
  }
  if (content->is_object()) {
    const auto base64 = content->find("b64");
    if (base64 == content->end()) return bad(content_place, "a list or {\"b64\"}", *content);
    SIS_TRY(read_base64(content_place + ".b64", *base64, tensor));
  } else {
    tensor.values = *content;
  }
  return tensor;
}

Result<DataStep> read_step(const std::string& place, const Json& from) {
  if (!from.is_object() || from.empty()) return bad(place, "an object of tensors", from);
  DataStep step;
  for (const auto& [name, value] : from.items()) {
    SIS_ASSIGN(step[name], read_tensor(concat(place, ".", name), value));
  }
  return step;
}

Result<std::vector<DataStream>> read_streams(const std::string& place, const Json& from) {
  if (!from.is_array() || from.empty()) return bad(place, "a list of steps", from);
  std::vector<DataStream> streams;
  size_t steps = 0;
  const bool several = from.front().is_array();
  if (!several) streams.emplace_back();
  for (size_t i = 0; i < from.size(); ++i) {
    const std::string here = concat(place, "[", i, "]");
    if (!several) {
      SIS_ASSIGN(DataStep step, read_step(here, from[i]));
      streams.back().push_back(std::move(step));
    } else {
      if (!from[i].is_array() || from[i].empty())
        return bad(here, "a list of steps like the streams before", from[i]);
      streams.emplace_back();
      for (size_t k = 0; k < from[i].size(); ++k) {
        SIS_ASSIGN(DataStep step, read_step(concat(here, "[", k, "]"), from[i][k]));
        streams.back().push_back(std::move(step));
      }
    }
    steps += several ? from[i].size() : 1;
    if (steps > kDataStepsMax)
      return Error{Code::kTooLarge, concat(place, ": over ", kDataStepsMax, " steps")};
  }
  return streams;
}

// One element per line; the last line needs no end.
std::string lines_as_elements(std::string_view text) {
  std::string raw;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    append_string_element(raw, line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return raw;
}

Result<TensorData> read_folder(const std::string& path) {
  TensorData data;
  DataStep step;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->is_regular_file(error)) continue;
    if (step.size() == kFolderFilesMax)
      return Error{Code::kTooLarge, concat(path, ": over ", kFolderFilesMax, " files")};
    DataTensor tensor{.place = it->path().string(), .text_lines = true};
    SIS_ASSIGN(tensor.raw, read_file(it->path(), kJsonFileBytesMax));
    step[it->path().filename().string()] = std::move(tensor);
  }
  if (error)
    return Error{Code::kInvalidArgument, concat(path, ": cannot be read: ", error.message())};
  if (step.empty())
    return Error{Code::kInvalidArgument, concat(path, ": want a file for each tensor, found none")};
  data.streams.push_back({std::move(step)});
  return data;
}

}  // namespace

Result<std::string> DataTensor::bytes(TensorType type) const {
  if (!raw) {
    auto encoded = tensor_bytes(type, values);
    if (!encoded.ok()) return prefixed(place, encoded.error());
    return encoded;
  }
  if (text_lines && type == TensorType::kBytes) return lines_as_elements(*raw);
  if (const auto count = raw_elements(type, *raw); !count.ok())
    return prefixed(place, count.error());
  return *raw;
}

size_t TensorData::steps() const {
  size_t count = 0;
  for (const auto& stream : streams) count += stream.size();
  return count;
}

Result<TensorData> parse_tensor_data(std::string text, const std::string& name) {
  SIS_ASSIGN(const Json document, parse_json_text(std::move(text), name));
  if (!document.is_object() || !document.contains("data"))
    return bad(name, "an object with 'data'", document);
  TensorData data;
  SIS_ASSIGN(data.streams, read_streams(concat(name, ": data"), document["data"]));
  if (const auto expected = document.find("validation_data"); expected != document.end()) {
    SIS_ASSIGN(data.expected, read_streams(concat(name, ": validation_data"), *expected));
    bool same = data.expected.size() == data.streams.size();
    for (size_t i = 0; same && i < data.streams.size(); ++i)
      same = data.expected[i].size() == data.streams[i].size();
    if (!same)
      return Error{Code::kInvalidArgument,
                   concat(name, ": validation_data: want as many streams and steps as in data")};
  }
  return data;
}

Result<TensorData> read_tensor_data(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return read_folder(path);
  SIS_ASSIGN(std::string text, read_file(path, kJsonFileBytesMax));
  return parse_tensor_data(std::move(text), path);
}

}  // namespace sis::perf
