#include "perf/load/tensor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/load/json_file.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "raw tensors are little-endian");

struct TypeRow {
  TensorType type;
  const char* name;
  size_t bytes;
};
constexpr TypeRow kTypes[] = {
    {TensorType::kBool, "BOOL", 1},     {TensorType::kUint8, "UINT8", 1},
    {TensorType::kUint16, "UINT16", 2}, {TensorType::kUint32, "UINT32", 4},
    {TensorType::kUint64, "UINT64", 8}, {TensorType::kInt8, "INT8", 1},
    {TensorType::kInt16, "INT16", 2},   {TensorType::kInt32, "INT32", 4},
    {TensorType::kInt64, "INT64", 8},   {TensorType::kFp16, "FP16", 2},
    {TensorType::kBf16, "BF16", 2},     {TensorType::kFp32, "FP32", 4},
    {TensorType::kFp64, "FP64", 8},     {TensorType::kBytes, "BYTES", 0},
};

template <class T>
void append_value(std::string& raw, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  raw.append(bytes, sizeof(T));
}

template <class T>
T value_at(std::string_view raw, size_t element) {
  T value;
  std::memcpy(&value, raw.data() + element * sizeof(T), sizeof(T));
  return value;
}

// IEEE 754 binary16, round to nearest even.
uint16_t half_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00;   // NaN
  if (magnitude >= 0x477FF000) return sign | 0x7C00;  // rounds to infinity
  if (magnitude < 0x33000001) return sign;            // rounds to zero
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  uint32_t mantissa = (magnitude & 0x7FFFFF) | 0x800000;
  const int shift = exponent < -14 ? 13 - 14 - exponent : 13;  // subnormal results keep fewer bits
  const uint32_t half = uint32_t{1} << (shift - 1);
  const bool odd = mantissa >> shift & 1;
  mantissa += half - 1 + (odd ? 1 : 0);
  mantissa >>= shift;
  if (exponent < -14) return static_cast<uint16_t>(sign | mantissa);
  // The leading bit carries into the exponent, also when rounding made it one longer.
  return static_cast<uint16_t>(sign | ((static_cast<uint32_t>(exponent + 14) << 10) + mantissa));
}

uint16_t bfloat_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

std::optional<double> float_of(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  if (text == "NaN" || text == "-NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity" || text == "Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity" || text == "-Inf") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

template <class T>
bool append_whole(std::string& raw, const Json& value) {
  if (value.is_boolean()) {
    append_value<T>(raw, value.get<bool>() ? 1 : 0);
    return true;
  }
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<T>::max())) return false;
    append_value(raw, static_cast<T>(number));
    return true;
  }
  if (value.is_number_integer()) {
    const auto number = value.get<int64_t>();  // negative: others are unsigned
    if (!std::is_signed_v<T> || number < static_cast<int64_t>(std::numeric_limits<T>::min()))
      return false;
    append_value(raw, static_cast<T>(number));
    return true;
  }
  return false;
}

bool append_element(TensorType type, const Json& value, std::string& raw) {
  switch (type) {
    case TensorType::kBool:
      if (value.is_boolean())
        raw += value.get<bool>() ? '\1' : '\0';
      else if (value.is_number_integer() && (value == 0 || value == 1))
        raw += value == 1 ? '\1' : '\0';
      else
        return false;
      return true;
    case TensorType::kUint8:
      return append_whole<uint8_t>(raw, value);
    case TensorType::kUint16:
      return append_whole<uint16_t>(raw, value);
    case TensorType::kUint32:
      return append_whole<uint32_t>(raw, value);
    case TensorType::kUint64:
      return append_whole<uint64_t>(raw, value);
    case TensorType::kInt8:
      return append_whole<int8_t>(raw, value);
    case TensorType::kInt16:
      return append_whole<int16_t>(raw, value);
    case TensorType::kInt32:
      return append_whole<int32_t>(raw, value);
    case TensorType::kInt64:
      return append_whole<int64_t>(raw, value);
    case TensorType::kFp16:
    case TensorType::kBf16:
    case TensorType::kFp32:
    case TensorType::kFp64: {
      const auto number = float_of(value);
      if (!number) return false;
      if (type == TensorType::kFp64)
        append_value(raw, *number);
      else if (type == TensorType::kFp32)
        append_value(raw, static_cast<float>(*number));
      else if (type == TensorType::kFp16)
        append_value(raw, half_bits(static_cast<float>(*number)));
      else
        append_value(raw, bfloat_bits(static_cast<float>(*number)));
      return true;
    }
    case TensorType::kBytes:
      if (!value.is_string()) return false;
      append_string_element(raw, value.get_ref<const std::string&>());
      return true;
  }
  return false;
}

Status append_elements(TensorType type, const Json& values, size_t& count, std::string& raw) {
  if (values.is_array()) {
    for (const auto& value : values) SIS_TRY(append_elements(type, value, count, raw));
    return {};
  }
  if (!append_element(type, values, raw))
    return Error{Code::kInvalidArgument,
                 concat("element ", count, ": want ", tensor_type_name(type), ", found ",
                        json_shown(values))};
  ++count;
  if (raw.size() > kTensorBytesMax)
    return Error{Code::kTooLarge, concat("over ", kTensorBytesMax >> 20, " MiB")};
  return {};
}

template <class T>
void append_numbers(std::string& out, std::string_view raw) {
  for (size_t i = 0; i < raw.size() / sizeof(T); ++i) {
    if (i > 0) out += ',';
    out += fmt::format("{}", value_at<T>(raw, i));
  }
}

template <class T>
bool append_floats(std::string& out, std::string_view raw) {
  for (size_t i = 0; i < raw.size() / sizeof(T); ++i) {
    const T value = value_at<T>(raw, i);
    if (!std::isfinite(value)) return false;
    if (i > 0) out += ',';
    out += fmt::format("{}", value);
  }
  return true;
}

}  // namespace

std::optional<TensorType> find_tensor_type(std::string_view name) {
  for (const TypeRow& row : kTypes)
    if (name == row.name) return row.type;
  return std::nullopt;
}

const char* tensor_type_name(TensorType type) { return kTypes[static_cast<size_t>(type)].name; }

size_t tensor_type_bytes(TensorType type) { return kTypes[static_cast<size_t>(type)].bytes; }

std::string shape_text(const TensorShape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

std::optional<int64_t> element_count(const TensorShape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size > 0 && count > static_cast<int64_t>(kTensorBytesMax) / size) return std::nullopt;
    count *= size;
  }
  return count;
}

Result<std::string> tensor_bytes(TensorType type, const Json& values) {
  std::string raw;
  size_t count = 0;
  SIS_TRY(append_elements(type, values, count, raw));
  return raw;
}

Result<int64_t> raw_elements(TensorType type, std::string_view raw) {
  if (type != TensorType::kBytes) {
    const size_t bytes = tensor_type_bytes(type);
    if (raw.size() % bytes != 0)
      return Error{Code::kInvalidArgument,
                   concat(raw.size(), " bytes are no whole number of ", tensor_type_name(type),
                          " elements of ", bytes, " bytes")};
    return static_cast<int64_t>(raw.size() / bytes);
  }
  int64_t count = 0;
  for (size_t at = 0; at < raw.size(); ++count) {
    if (raw.size() - at < 4)
      return Error{Code::kInvalidArgument,
                   concat("BYTES element ", count, ": its length is cut off at byte ", raw.size())};
    uint32_t length;
    std::memcpy(&length, raw.data() + at, 4);
    if (length > raw.size() - at - 4)
      return Error{Code::kInvalidArgument, concat("BYTES element ", count, ": says ", length,
                                                  " bytes, ", raw.size() - at - 4, " are left")};
    at += 4 + length;
  }
  return count;
}

Result<std::string> tensor_json(TensorType type, std::string_view raw) {
  SIS_TRY(raw_elements(type, raw));
  std::string out = "[";
  const auto raw_only = [&](const char* what) {
    return Error{Code::kInvalidArgument, concat(what, " can only travel as binary data")};
  };
  switch (type) {
    case TensorType::kBool:
      for (size_t i = 0; i < raw.size(); ++i)
        out += concat(i > 0 ? "," : "", raw[i] != 0 ? "true" : "false");
      break;
    case TensorType::kUint8:
      append_numbers<uint8_t>(out, raw);
      break;
    case TensorType::kUint16:
      append_numbers<uint16_t>(out, raw);
      break;
    case TensorType::kUint32:
      append_numbers<uint32_t>(out, raw);
      break;
    case TensorType::kUint64:
      append_numbers<uint64_t>(out, raw);
      break;
    case TensorType::kInt8:
      append_numbers<int8_t>(out, raw);
      break;
    case TensorType::kInt16:
      append_numbers<int16_t>(out, raw);
      break;
    case TensorType::kInt32:
      append_numbers<int32_t>(out, raw);
      break;
    case TensorType::kInt64:
      append_numbers<int64_t>(out, raw);
      break;
    case TensorType::kFp16:
      return raw_only("FP16");
    case TensorType::kBf16:
      return raw_only("BF16");
    case TensorType::kFp32:
      if (!append_floats<float>(out, raw)) return raw_only("FP32 that is not finite");
      break;
    case TensorType::kFp64:
      if (!append_floats<double>(out, raw)) return raw_only("FP64 that is not finite");
      break;
    case TensorType::kBytes:
      for (size_t at = 0; at < raw.size();) {
        uint32_t length;
        std::memcpy(&length, raw.data() + at, 4);
        const std::string_view text = raw.substr(at + 4, length);
        if (!is_utf8(text)) return raw_only("BYTES that are not UTF-8");
        out += concat(at > 0 ? "," : "", Json(text).dump());
        at += 4 + length;
      }
      break;
  }
  return out + "]";
}

std::string random_tensor(TensorType type, int64_t elements, Rng& rng, size_t string_bytes) {
  std::string raw;
  for (int64_t i = 0; i < elements; ++i) {
    switch (type) {
      case TensorType::kBool:
        raw += static_cast<char>(rng.below(2));
        break;
      case TensorType::kFp16:
        append_value(raw, half_bits(static_cast<float>(rng.normal())));
        break;
      case TensorType::kBf16:
        append_value(raw, bfloat_bits(static_cast<float>(rng.normal())));
        break;
      case TensorType::kFp32:
        append_value(raw, static_cast<float>(rng.normal()));
        break;
      case TensorType::kFp64:
        append_value(raw, rng.normal());
        break;
      case TensorType::kBytes: {
        std::string text(string_bytes, ' ');
        for (char& c : text) c = static_cast<char>('a' + rng.below(26));
        append_string_element(raw, text);
        break;
      }
      default:  // whole numbers; the low byte comes first
        raw += static_cast<char>(rng.below(128));
        raw.append(tensor_type_bytes(type) - 1, '\0');
    }
  }
  return raw;
}

std::string zero_tensor(TensorType type, int64_t elements) {
  const size_t bytes = type == TensorType::kBytes ? 4 : tensor_type_bytes(type);  // empty strings
  return std::string(static_cast<size_t>(elements) * bytes, '\0');
}

void append_string_element(std::string& raw, std::string_view text) {
  append_value(raw, static_cast<uint32_t>(text.size()));
  raw += text;
}

size_t json_object_bytes(std::string_view body) {
  if (!body.starts_with('{')) return 0;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return 0;
}

}  // namespace sis::perf
