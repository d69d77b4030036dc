// How fast encoder attention and the row-wise steps run, as a share of what the machine's units can
// do.
//
//   attention_bench [--smoke] [--isa LEVEL] [--seed N] [--rounds N]
//
// For every shape: one core alone in its thread's CPU time, p50 and p10 of the rounds (neighbours
// that take turns on the core do not count, but leave cold caches behind: p10 shows it without),
// and the whole team on the wall clock. FLOP are those of the definition, 4 * tokens^2 * head_dim
// per head; the exponentials count nothing. Shares are of what the multipliers do on registers, the
// best of five tries right after. A batch holds at least 1024 tokens.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "base/rng.h"
#include "bench_options.h"
#include "infer/kernels/peak.h"
#include "infer/ops/encoder_ops.h"

namespace sis {
namespace {

using bench::cpu_s;
using bench::Options;
using bench::percentile;
using bench::wall_s;

// Seconds of one call, from rounds of at least 0.5 ms each.
struct Timing {
  double p10 = 0, p50 = 0;
};
template <class Fn>
Timing time_calls(const Options& options, double (*clock)(), const Fn& fn) {
  fn();
  double begin = clock();
  fn();
  const double once = std::max(clock() - begin, 1e-7);
  const int calls = options.smoke ? 1 : std::max(1, static_cast<int>(5e-4 / once));
  std::vector<double> rounds;
  for (int r = 0; r < (options.smoke ? 2 : options.rounds); ++r) {
    begin = clock();
    for (int i = 0; i < calls; ++i) fn();
    rounds.push_back((clock() - begin) / calls);
  }
  return {percentile(rounds, 10), percentile(rounds, 50)};
}

struct Team {
  explicit Team(int workers, Isa isa) : team({.workers = workers}), context{team, workspace, isa} {}
  ThreadTeam team;
  Workspace workspace;
  ops::Context context;
};

double peak_flops(const Options& options, Team& team, DType dtype) {
  std::vector<double> rates;
  for (int r = 0; r < (options.smoke ? 1 : 5); ++r)
    rates.push_back(kernels::measure_peak_flops(team.team, dtype, options.isa));
  return *std::max_element(rates.begin(), rates.end());
}

template <class T>
void attention_row(const Options& options, Team& one, Team& all, const char* type, int tokens,
                   int heads, int head_dim) {
  const int sequences = options.smoke ? 2 : std::max(1, 1024 / tokens);
  const int64_t rows = int64_t{sequences} * tokens, width = int64_t{heads} * head_dim;
  Rng rng(options.seed);
  const int64_t stride = Workspace::padded_stride(3 * width, sizeof(T));
  const int64_t out_stride = Workspace::padded_stride(width, sizeof(T));
  std::vector<T> qkv_data(static_cast<size_t>(rows * stride)),
      out_data(static_cast<size_t>(rows * out_stride));
  // Normal numbers; a table of them is enough, the values only have to be of ordinary size.
  std::vector<T> table(1 << 16);
  for (T& x : table) x = T(static_cast<float>(rng.normal()));
  for (T& x : qkv_data) x = table[rng.next() >> 48];
  const Mat<const T> qkv(qkv_data.data(), rows, 3 * width, stride);
  const Mat<T> out(out_data.data(), rows, width, out_stride);
  std::vector<int32_t> offsets;
  for (int s = 0; s <= sequences; ++s) offsets.push_back(s * tokens);

  const auto call = [&](Team& team) {
    ops::attention(team.context, qkv, offsets, heads, head_dim,
                   1.0f / std::sqrt(static_cast<float>(head_dim)), out);
  };
  const double flop = 4.0 * tokens * tokens * head_dim * heads * sequences;
  const Timing core = time_calls(options, cpu_s, [&] { call(one); });
  const double core_peak = peak_flops(options, one, kDTypeOf<T>);
  const Timing team = time_calls(options, wall_s, [&] { call(all); });
  const double team_peak = peak_flops(options, all, kDTypeOf<T>);
  std::printf(
      "attention %-4s %2dx%-2d tokens %4d x%-2d  core p50 %6.3f p10 %6.3f TFLOP/s (p10 is %4.1f %% "
      "of "
      "%4.2f)  team p50 %6.3f TFLOP/s (%4.1f %% of %4.2f)  core p10 %8.2f us/sequence\n",
      type, heads, head_dim, tokens, sequences, flop / core.p50 / 1e12, flop / core.p10 / 1e12,
      100 * flop / core.p10 / core_peak, core_peak / 1e12, flop / team.p50 / 1e12,
      100 * flop / team.p50 / team_peak, team_peak / 1e12, 1e6 * core.p10 / sequences);
  std::fflush(stdout);
}

void layer_norm_row(const Options& options, Team& one, Team& all, int64_t rows, int64_t cols) {
  Rng rng(options.seed);
  std::vector<float> x(static_cast<size_t>(rows * cols)), gamma(static_cast<size_t>(cols), 1.0f),
      beta(gamma);
  std::vector<bf16> low(x.size());
  for (float& v : x) v = static_cast<float>(rng.uniform());
  const Mat<float> m(x.data(), rows, cols);
  const auto call = [&](Team& team) {
    ops::layer_norm(team.context, m, gamma, beta, 1e-5f, m, {low.data(), rows, cols, cols});
  };
  const double bytes = static_cast<double>(rows * cols) * (4 + 4 + 2);
  const Timing core = time_calls(options, cpu_s, [&] { call(one); });
  const Timing team = time_calls(options, wall_s, [&] { call(all); });
  std::printf(
      "layer_norm f32+bf16 %5lldx%-4lld  core p50 %6.1f p10 %6.1f GB/s  team p50 %6.1f GB/s\n",
      static_cast<long long>(rows), static_cast<long long>(cols), bytes / core.p50 / 1e9,
      bytes / core.p10 / 1e9, bytes / team.p50 / 1e9);
}

int run(const Options& options) {
  Team one(1, options.isa), all(0, options.isa);
  flush_denormals();
  bench::print_machine(options, available_cores());
  const std::vector<int> lengths =
      options.smoke ? std::vector<int>{16, 80} : std::vector<int>{16, 64, 128, 512, 2048};
  for (const auto& [heads, head_dim] : {std::pair(16, 64), std::pair(12, 32)})
    for (const int tokens : lengths)
      attention_row<bf16>(options, one, all, "bf16", tokens, heads, head_dim);
  for (const int tokens : {lengths.front(), options.smoke ? 80 : 512})
    attention_row<float>(options, one, all, "f32", tokens, 16, 64);
  for (const int64_t cols : {384, 1024}) {
    layer_norm_row(options, one, all, 16, cols);
    layer_norm_row(options, one, all, options.smoke ? 64 : 512, cols);
    if (!options.smoke) layer_norm_row(options, one, all, 65536, cols);
  }
  return 0;
}

}  // namespace
}  // namespace sis

int main(int argc, char** argv) {
  sis::bench::Options options{.rounds = 51};
  if (!sis::bench::parse(argc, argv, "attention_bench", options)) return 2;
  return sis::run(options);
}
