#include "infer/kernels/peak.h"

#include <atomic>
#include <chrono>

namespace sis::kernels {
namespace {

using Loop = double (*)(int rounds);

Loop loop_of(DType dtype, Isa isa) {
  if (isa >= Isa::kAmx && dtype == DType::kBf16) return peak::amx_bf16;
  if (isa >= Isa::kAmx && dtype == DType::kI8) return peak::amx_int8;
  if (isa >= Isa::kAvx512Bf16 && dtype == DType::kBf16) return peak::avx512_bf16;
  if (isa >= Isa::kAvx512Bf16 && dtype == DType::kI8) return peak::avx512_vnni;
  if (isa >= Isa::kAvx512) return peak::avx512_f32;
  if (isa >= Isa::kAvx2) return dtype == DType::kI8 ? peak::avx2_int8 : peak::avx2_f32;
  return peak::ref_f32;
}

}  // namespace

namespace peak {

double ref_f32(int rounds) {
  volatile float sink = 0;
  float sums[8] = {};
  const float factor = 1.0f + static_cast<float>(sink);
  for (int r = 0; r < rounds; ++r)
    for (int i = 0; i < 8; ++i) sums[i] = sums[i] * factor + 1.0f;
  for (const float sum : sums) sink = sink + sum;
  return 2.0 * 8 * rounds;
}

}  // namespace peak

double measure_peak_flops(ThreadTeam& team, DType dtype, Isa isa) {
  const Loop loop = loop_of(dtype, isa);
  // Rounds for about 10 ms, found on one worker.
  int rounds = 1000;
  for (;;) {
    const auto begin = std::chrono::steady_clock::now();
    loop(rounds);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (seconds > 2e-3) {
      rounds = static_cast<int>(rounds * 10e-3 / seconds) + 1;
      break;
    }
    rounds *= 4;
  }
  std::atomic<double> total{0};
  team.run([&](int, int) {
    const auto begin = std::chrono::steady_clock::now();
    const double operations = loop(rounds);
    const double rate =
        operations /
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    for (double old = total; !total.compare_exchange_weak(old, old + rate);) {
    }
  });
  return total;
}

}  // namespace sis::kernels
