#include "infer/kernels/isa.h"

#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace sis {
namespace {

constexpr std::string_view kNames[] = {"ref", "avx2", "avx512", "avx512_bf16", "amx"};

#if defined(__x86_64__)
uint64_t xcr0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

Isa detect() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::kRef;
  const bool osxsave = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
  if (!osxsave || !fma || !f16c) return Isa::kRef;
  const uint64_t saved = xcr0();
  if ((saved & 0x6) != 0x6) return Isa::kRef;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return Isa::kRef;
  const uint32_t b7 = b, c7 = c, d7 = d;
  if (!(b7 >> 5 & 1)) return Isa::kRef;
  const bool avx512 = (b7 >> 16 & 1) && (b7 >> 17 & 1) && (b7 >> 30 & 1) && (b7 >> 31 & 1);
  if (!avx512 || (saved & 0xE0) != 0xE0) return Isa::kAvx2;
  uint32_t a1 = 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) a1 = a;
  if (!(c7 >> 11 & 1) || !(a1 >> 5 & 1)) return Isa::kAvx512;
  // AVX512_VBMI and AVX512_FP16 come with AMX, unless a hypervisor hides them.
  const bool amx =
      (d7 >> 22 & 1) && (d7 >> 24 & 1) && (d7 >> 25 & 1) && (c7 >> 1 & 1) && (d7 >> 23 & 1);
  if (!amx || (saved & 0x60000) != 0x60000) return Isa::kAvx512Bf16;
  // Linux hands out tile state on request (arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)).
  if (syscall(SYS_arch_prctl, 0x1023, 18) != 0) return Isa::kAvx512Bf16;
  return Isa::kAmx;
}
#else
Isa detect() { return Isa::kRef; }
#endif

}  // namespace

const char* isa_name(Isa isa) { return kNames[static_cast<int>(isa)].data(); }

std::optional<Isa> parse_isa(std::string_view name) {
  for (int i = 0; i < 5; ++i)
    if (kNames[i] == name) return static_cast<Isa>(i);
  return std::nullopt;
}

Isa detect_isa() {
  static const Isa isa = detect();
  return isa;
}

}  // namespace sis
