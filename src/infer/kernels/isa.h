// Which instructions a kernel may use, and the one table per operation that picks a variant.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sis {

// Each level includes the ones before it.
enum class Isa : uint8_t {
  kRef,         // plain C++, runs anywhere, what tests compare with
  kAvx2,        // AVX2 + FMA + F16C
  kAvx512,      // F, BW, DQ, VL
  kAvx512Bf16,  // + AVX512_BF16 and AVX512_VNNI
  kAmx,         // + AMX tiles, bf16 and int8; AVX512_VBMI and AVX512_FP16
};

const char* isa_name(Isa isa);  // "ref", "avx2", "avx512", "avx512_bf16", "amx"
std::optional<Isa> parse_isa(std::string_view name);  // nullopt for an unknown name
// The best level of this machine, from CPUID, XCR0 and the kernel's leave to use tiles.
Isa detect_isa();
// Every thread that runs AMX kernels inherits the process's leave; detect_isa() asks for it once.

template <class Fn>
struct Variant {
  const char* name;
  Isa isa;
  Fn fn;
};

// Tables list the best variant first; the last runs anywhere. The first within `limit` wins.
template <class Fn, size_t N>
const Variant<Fn>& choose(const Variant<Fn> (&table)[N], Isa limit) {
  for (const auto& variant : table)
    if (variant.isa <= limit) return variant;
  return table[N - 1];
}

}  // namespace sis
