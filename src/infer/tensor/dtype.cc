#include "infer/tensor/dtype.h"

namespace sis {

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kBf16:
      return "bf16";
    case DType::kF16:
      return "f16";
    case DType::kI8:
      return "int8";
    case DType::kI32:
      return "int32";
    case DType::kI64:
      return "int64";
    case DType::kI4:
      return "int4";
    case DType::kF8E4M3:
      return "f8_e4m3";
  }
  return "?";
}

namespace {

// By table: workers treat subnormals as zero, so these values cannot be computed by shifting.
struct F8Values {
  float of[256];
  constexpr F8Values() : of() {
    for (int i = 0; i < 256; ++i) {
      const int exponent = i >> 3 & 15, mantissa = i & 7;
      float value = static_cast<float>(exponent == 0 ? mantissa : mantissa + 8) * 0x1p-9f;
      for (int e = 1; e < exponent; ++e) value *= 2;
      if ((i & 0x7F) == 0x7F) value = __builtin_nanf("");
      of[i] = i < 128 ? value : -value;
    }
  }
};
constexpr F8Values kF8Values;

}  // namespace

f8e4m3::operator float() const { return kF8Values.of[bits]; }

f16::operator float() const {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 0x1F;
  uint32_t mantissa = bits & 0x3FF;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | mantissa << 13);
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 0x1.0p-24f;
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

f16::f16(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  const uint32_t sign = u >> 16 & 0x8000;
  const uint32_t magnitude = u & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) {
    bits = static_cast<uint16_t>(sign | 0x7E00);
  } else if (magnitude >= 0x477FF000) {  // rounds past the largest half
    bits = static_cast<uint16_t>(sign | 0x7C00);
  } else if (magnitude < 0x38800000) {  // subnormal half: let the adder round
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000));
  } else {
    const uint32_t odd = magnitude >> 13 & 1;
    bits = static_cast<uint16_t>(sign | (magnitude - 0x38000000 + 0xFFF + odd) >> 13);
  }
}

}  // namespace sis
