#include "infer/kernels/peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>

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

// As kStreams streams, one line of each in turn, a kilobyte ahead of them fetched. Which count is
// best depends on the CPU: four on Intel's cores with AMX, one on Zen 4 (1.2 to 1.3 times the
// other).
template <size_t kStreams>
uint64_t read_streams(const std::byte* data, size_t bytes) {
  constexpr size_t kAhead = 1024;
  const size_t part = bytes / kStreams / 64 * 64;
  uint64_t sums[kStreams] = {};
  for (size_t at = 0; at < part; at += 64)
    for (size_t stream = 0; stream < kStreams; ++stream) {
      const std::byte* const line = data + stream * part + at;
      __builtin_prefetch(line + kAhead);
      uint64_t words[8];
      std::memcpy(words, line, sizeof words);
      for (const uint64_t word : words) sums[stream] += word;
    }
  return std::accumulate(sums, sums + kStreams, uint64_t{0});
}

template <size_t kStreams>
double read_rate(ThreadTeam& team, std::span<const std::byte> data) {
  std::atomic<uint64_t> sink{0};
  const auto begin = std::chrono::steady_clock::now();
  team.split(static_cast<int64_t>(data.size()), 4096, [&](int64_t from, int64_t to, int) {
    sink += read_streams<kStreams>(data.data() + from, static_cast<size_t>(to - from));
  });
  return static_cast<double>(data.size()) /
         std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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

double measure_read_rate(ThreadTeam& team, std::span<const std::byte> data) {
  const size_t half = data.size() / 2;
  return std::max(read_rate<1>(team, data.first(half)), read_rate<4>(team, data.subspan(half)));
}

}  // namespace sis::kernels
