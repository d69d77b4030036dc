#include "infer/weights/stored_type.h"

#include "base/check.h"

namespace sis::weights {
namespace {

struct Row {
  StoredType type;
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};

constexpr Row kRows[] = {
    {StoredType::kF32, "F32", 32, DType::kF32},
    {StoredType::kF16, "F16", 16, DType::kF16},
    {StoredType::kBf16, "BF16", 16, DType::kBf16},
    {StoredType::kF64, "F64", 64, {}},
    {StoredType::kF8E4M3, "F8_E4M3", 8, DType::kF8E4M3},
    {StoredType::kF8E5M2, "F8_E5M2", 8, {}},
    {StoredType::kF8E8M0, "F8_E8M0", 8, {}},
    {StoredType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8, {}},
    {StoredType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8, {}},
    {StoredType::kF6E2M3, "F6_E2M3", 6, {}},
    {StoredType::kF6E3M2, "F6_E3M2", 6, {}},
    {StoredType::kF4, "F4", 4, {}},
    {StoredType::kBool, "BOOL", 8, {}},
    {StoredType::kI8, "I8", 8, DType::kI8},
    {StoredType::kU8, "U8", 8, {}},
    {StoredType::kI16, "I16", 16, {}},
    {StoredType::kU16, "U16", 16, {}},
    {StoredType::kI32, "I32", 32, DType::kI32},
    {StoredType::kU32, "U32", 32, {}},
    {StoredType::kI64, "I64", 64, DType::kI64},
    {StoredType::kU64, "U64", 64, {}},
    {StoredType::kC64, "C64", 64, {}},
};

const Row& row_of(StoredType type) {
  for (const Row& row : kRows)
    if (row.type == type) return row;
  SIS_CHECK(false, "stored type ", static_cast<int>(type), " has no row");
  return kRows[0];
}

}  // namespace

std::optional<StoredType> stored_type_of(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.type;
  return {};
}

std::string_view stored_type_name(StoredType type) { return row_of(type).name; }
int stored_type_bits(StoredType type) { return row_of(type).bits; }
std::optional<DType> dtype_of(StoredType type) { return row_of(type).dtype; }

bool is_float_weight(StoredType type) {
  return type == StoredType::kF32 || type == StoredType::kF16 || type == StoredType::kBf16;
}

}  // namespace sis::weights
