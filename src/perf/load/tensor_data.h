// Input data for tensor models, in the files perf_analyzer takes: a JSON document or a folder.
//
//   {"data": [{"PROMPT": {"content": ["hello"], "shape": [1]}, "LEN": [32]}, ...],
//    "validation_data": [{"OUTPUT": [...]}, ...]}
//
// `data` is a list of steps, or a list of lists: several streams. An input is a list, {"b64": raw
// bytes} or {"content": list or {"b64"}, "shape": [...]}; shapes are without the batch's size. The
// file does not tell types, so values stay as they are until the model's inputs are known. A folder
// holds one file per tensor, named like it: raw bytes, or for BYTES one element per line.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "perf/load/tensor.h"

namespace sis::perf {

struct DataTensor {
  std::string place;               // "a.json: data[0].PROMPT", for errors
  nlohmann::ordered_json values;   // null when `raw` is set
  std::optional<std::string> raw;  // of {"b64"} or a file
  bool text_lines = false;         // `raw` is a file: for BYTES its lines are the elements
  std::optional<TensorShape> shape;

  // The elements as raw bytes. Errors name the place.
  Result<std::string> bytes(TensorType type) const;
};

using DataStep = std::map<std::string, DataTensor>;
using DataStream = std::vector<DataStep>;

struct TensorData {
  std::vector<DataStream> streams;
  std::vector<DataStream> expected;  // outputs, as many as `streams` and their steps, or none

  size_t steps() const;  // of all streams
};

inline constexpr size_t kDataStepsMax = 1'000'000;

Result<TensorData> parse_tensor_data(std::string text, const std::string& name);
// A file, or a folder. Errors name the file and the JSON path or line.
Result<TensorData> read_tensor_data(const std::string& path);

}  // namespace sis::perf
