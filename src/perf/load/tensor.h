// Tensors as the Open Inference Protocol (KServe v2) moves them: types, raw bytes, JSON values.
//
// Raw bytes are little-endian, row by row, without padding; elements of BYTES are each preceded by
// their length in four bytes, those of BOOL are one byte (protocol: binary tensor data extension).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"

namespace sis::perf {

enum class TensorType : uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFp16,
  kBf16,
  kFp32,
  kFp64,
  kBytes,
};
using TensorShape = std::vector<int64_t>;

inline constexpr size_t kTensorBytesMax = size_t{1} << 30;

std::optional<TensorType> find_tensor_type(std::string_view name);  // "FP32"
const char* tensor_type_name(TensorType type);
size_t tensor_type_bytes(TensorType type);  // of one element; 0: BYTES

// "[2,3]"
std::string shape_text(const TensorShape& shape);
// The product; nothing when a size is negative or the product above kTensorBytesMax.
std::optional<int64_t> element_count(const TensorShape& shape);

// Raw bytes of a list, nested or flat, or of one value. Errors name the element: "element 3: want
// FP32, found the string 'x'". For floats the strings "NaN", "Infinity" and "-Infinity" count.
Result<std::string> tensor_bytes(TensorType type, const nlohmann::ordered_json& values);
// How many elements `raw` holds. Errors: a length that no whole number of elements has.
Result<int64_t> raw_elements(TensorType type, std::string_view raw);
// `raw` as a flat JSON list. Errors: FP16, BF16, floats that are not finite and BYTES that are not
// UTF-8 can only travel as raw bytes.
Result<std::string> tensor_json(TensorType type, std::string_view raw);

// Made-up elements: floats normal around 0, whole numbers 0..127, letters for BYTES.
std::string random_tensor(TensorType type, int64_t elements, Rng& rng, size_t string_bytes);
std::string zero_tensor(TensorType type, int64_t elements);
// One element of BYTES.
void append_string_element(std::string& raw, std::string_view text);

// Bytes of the JSON object that `body` begins with; raw tensors may follow it. 0: it begins with
// something else, or the object does not end.
size_t json_object_bytes(std::string_view body);

}  // namespace sis::perf
