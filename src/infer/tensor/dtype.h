// Element types of tensors and their conversions.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace sis {

// Upper half of an IEEE f32.
struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    // Round to nearest even; a NaN stays one.
    bits = (u & 0x7FFFFFFF) > 0x7F800000
               ? static_cast<uint16_t>(u >> 16 | 0x40)
               : static_cast<uint16_t>((u + 0x7FFF + (u >> 16 & 1)) >> 16);
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

// IEEE half precision, storage only.
struct f16 {
  uint16_t bits = 0;
  f16() = default;
  explicit f16(float value);
  explicit operator float() const;
};

// OCP 8-bit float: 4 bits of exponent, 3 of mantissa, no infinities, up to 448. Storage only.
struct f8e4m3 {
  uint8_t bits = 0;
  explicit operator float() const;
};

// kI4 is two elements to a byte, packed as the layout that uses it says.
enum class DType : uint8_t { kF32, kBf16, kF16, kI8, kI32, kI64, kI4, kF8E4M3 };

// Of one element; 0 for kI4.
constexpr int64_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBf16:
    case DType::kF16:
      return 2;
    case DType::kI8:
    case DType::kF8E4M3:
      return 1;
    case DType::kI64:
      return 8;
    case DType::kI4:
      return 0;
  }
  return 0;
}
const char* dtype_name(DType dtype);  // "f32", "bf16", ...

template <class T>
inline constexpr DType kDTypeOf = DType::kF32;
template <>
inline constexpr DType kDTypeOf<bf16> = DType::kBf16;
template <>
inline constexpr DType kDTypeOf<f16> = DType::kF16;
template <>
inline constexpr DType kDTypeOf<f8e4m3> = DType::kF8E4M3;
template <>
inline constexpr DType kDTypeOf<int8_t> = DType::kI8;
template <>
inline constexpr DType kDTypeOf<int32_t> = DType::kI32;
template <>
inline constexpr DType kDTypeOf<int64_t> = DType::kI64;

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return static_cast<float>(x); }
inline float to_float(f16 x) { return static_cast<float>(x); }
inline float to_float(f8e4m3 x) { return static_cast<float>(x); }

}  // namespace sis
