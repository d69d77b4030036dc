// Element types a safetensors file may name, more than we compute with.
//
// Source: the Dtype enum of the safetensors crate, plus the two FNUZ names some FP8 tools write. A
// type we cannot compute with is still checked against its bytes, so that a file with one odd
// tensor opens and only asking for that tensor fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "infer/tensor/dtype.h"

namespace sis::weights {

enum class StoredType : uint8_t {
  kF32,
  kF16,
  kBf16,
  kF64,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kF6E2M3,
  kF6E3M2,
  kF4,
  kBool,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kC64,
};

std::optional<StoredType> stored_type_of(
    std::string_view name);  // "BF16"; empty when nobody knows it
std::string_view stored_type_name(StoredType type);
int stored_type_bits(StoredType type);           // of one element: 4 to 64
std::optional<DType> dtype_of(StoredType type);  // empty when we have no such type
bool is_float_weight(StoredType type);           // F32, F16, BF16: values without scales

}  // namespace sis::weights
