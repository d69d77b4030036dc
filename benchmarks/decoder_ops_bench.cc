// How fast the steps of decoders run, as a share of what memory and the multipliers can do.
//
//   decoder_ops_bench [--smoke] [--isa LEVEL] [--seed N] [--rounds N] [--only decode|prefill|rows]
//
// decode   One new token per sequence over a cache of about a gigabyte, whose blocks lie in random
//          order; every call takes the next layer, so that nothing is in any cache when it is read.
//          Bytes are keys, values and scales. Each round reads the whole pool plainly before and
//          after (measure_read_rate) and the share is of the mean of the two: neighbours come and
//          go.
// prefill  One sequence, the last `chunk` tokens of a context, FLOP of what the causal mask leaves:
//          4 * head_dim per query head and key seen. Shares are of what the multipliers do on
//          registers, the best of what was measured between the rounds.
// rows     Norms and rotation, GB/s of what they read and write.
//
// Each is done by one core alone in its thread's CPU time, where neighbours that take turns on the
// core do not count, and by the whole team on the wall clock; p50 (p10 .. p90) of the rounds.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "bench_options.h"
#include "infer/kernels/peak.h"
#include "infer/ops/decoder_ops.h"

namespace sis {
namespace {

using bench::cpu_s;
using bench::percentile;
using bench::wall_s;

struct Options : bench::Options {
  std::string only;

  bool wants(std::string_view part) const { return only.empty() || only == part; }
};

// Workers and the clock that is fair to them.
struct Team {
  const char* name;
  ThreadTeam team;
  Workspace workspace;
  ops::Context context;
  double (*clock)();

  Team(const char* name, int workers, Isa isa, double (*clock)())
      : name(name), team({.workers = workers}), context{team, workspace, isa}, clock(clock) {}
  template <class Fn>
  double time(const Fn& fn) const {
    const double begin = clock();
    fn();
    return clock() - begin;
  }
};

struct Bench {
  Options options;
  Team core{"core", 1, options.isa, cpu_s}, all{"team", 0, options.isa, wall_s};
  std::vector<float> normals;

  explicit Bench(const Options& options) : options(options) {
    Rng rng(options.seed);
    for (int i = 0; i < 1 << 14; ++i) normals.push_back(static_cast<float>(rng.normal()));
  }
  template <class T>
  void fill(T* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = T(normals[static_cast<size_t>(i * 7 % 16381)]);
  }
};

struct Shape {
  const char* model;
  int heads, kv_heads, head_dim;
  DType cache;
};

// A pool with ordinary numbers and unit scales in it.
Buffer make_pool(Bench& bench, const kernels::KvLayout& layout, int64_t blocks) {
  Buffer pool(static_cast<size_t>(blocks * layout.block_bytes()));
  std::vector<std::byte> head(static_cast<size_t>(layout.head_bytes()));
  const int64_t elements = 2 * layout.tile_bytes() / dtype_bytes(layout.dtype);
  if (layout.dtype == DType::kI8) {
    for (int64_t i = 0; i < elements; ++i)
      head[static_cast<size_t>(i)] = static_cast<std::byte>(i * 37 % 251 - 125);
    auto* scales = reinterpret_cast<float*>(head.data() + 2 * layout.tile_bytes());
    for (int j = 0; j < 64; ++j) scales[j] = 0.01f;
  } else if (layout.dtype == DType::kBf16) {
    bench.fill(reinterpret_cast<bf16*>(head.data()), elements);
  } else {
    bench.fill(reinterpret_cast<float*>(head.data()), elements);
  }
  const int64_t heads = blocks * layout.layers * layout.kv_heads;
  bench.all.team.split(heads, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t h = begin; h < end; ++h)
      std::memcpy(pool.data() + h * layout.head_bytes(), head.data(), head.size());
  });
  return pool;
}
std::vector<int32_t> scattered_blocks(uint64_t seed, int64_t count) {
  std::vector<int32_t> blocks(static_cast<size_t>(count));
  std::iota(blocks.begin(), blocks.end(), 0);
  Rng rng(seed);
  for (size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[rng.below(i)]);
  return blocks;
}

template <class T>
void decode(Bench& bench, const Shape& shape, int batch, int past) {
  const Options& options = bench.options;
  const int per_sequence = (past + 1 + 31) / 32;
  kernels::KvLayout layout{1, shape.kv_heads, shape.head_dim, shape.cache};
  const double pool_bytes = options.smoke ? 4e6 : 1.2e9;
  layout.layers = static_cast<int32_t>(std::clamp(
      pool_bytes / static_cast<double>(batch * per_sequence * layout.layer_bytes()), 1.0, 64.0));
  const Buffer pool = make_pool(bench, layout, int64_t{batch} * per_sequence);
  const auto blocks = scattered_blocks(options.seed, int64_t{batch} * per_sequence);
  std::vector<ops::KvRows> sequences;
  for (int s = 0; s < batch; ++s)
    sequences.push_back({blocks.data() + s * per_sequence, past, 1, s});
  const int64_t width = int64_t{shape.heads} * shape.head_dim;
  std::vector<T> q(static_cast<size_t>(batch * width)), out(q.size());
  bench.fill(q.data(), batch * width);
  const auto pass = [&](Team& team) {
    for (int32_t layer = 0; layer < layout.layers; ++layer)
      ops::cached_attention(team.context,
                            {.sequences = sequences,
                             .cache = {pool.data(), layout},
                             .layer = layer,
                             .heads = shape.heads,
                             .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim))},
                            Mat<const T>(q.data(), batch, width), Mat<T>(out.data(), batch, width));
  };
  // Whole steps of keys are read, of a block's tiles all of them.
  const double bytes =
      static_cast<double>(layout.layers) * batch * per_sequence * layout.layer_bytes();
  const std::span<const std::byte> all(pool.data(), pool.size());
  std::printf("decode  %-5s %-14s %2d/%-2d heads of %3d  batch %2d past %5d",
              dtype_name(shape.cache), shape.model, shape.heads, shape.kv_heads, shape.head_dim,
              batch, past);
  for (Team* team : {&bench.core, &bench.all}) {
    std::vector<double> rates, walls, shares;
    const auto read = [&] {
      return static_cast<double>(all.size()) /
             team->time([&] { kernels::measure_read_rate(team->team, all); });
    };
    if (team == &bench.core) pass(*team);
    for (int r = 0; r < (options.smoke ? 1 : options.rounds); ++r) {
      const double before = read();
      const double rate = bytes / team->time([&] { pass(*team); });
      const double wall = (before + read()) / 2;
      rates.push_back(rate);
      walls.push_back(wall);
      shares.push_back(100 * rate / wall);
    }
    std::printf("  %s %5.1f GB/s of %5.1f: %5.1f %% (%5.1f .. %5.1f) %8.1f us/layer", team->name,
                percentile(rates, 50) / 1e9, percentile(walls, 50) / 1e9, percentile(shares, 50),
                percentile(shares, 10), percentile(shares, 90),
                1e6 * bytes / percentile(rates, 50) / layout.layers);
  }
  std::printf("\n");
  std::fflush(stdout);
}

template <class T>
void prefill(Bench& bench, const Shape& shape, int context, int chunk) {
  const Options& options = bench.options;
  const kernels::KvLayout layout{1, shape.kv_heads, shape.head_dim, shape.cache};
  const int64_t count = (context + 31) / 32;
  const Buffer pool = make_pool(bench, layout, count);
  const auto blocks = scattered_blocks(options.seed, count);
  const ops::KvRows rows{blocks.data(), context - chunk, chunk, 0};
  const int64_t width = int64_t{shape.heads} * shape.head_dim;
  const int64_t stride = Workspace::padded_stride(width, sizeof(T));
  std::vector<T> q(static_cast<size_t>(chunk * stride)), out(q.size());
  bench.fill(q.data(), chunk * stride);
  double keys = 0;
  for (int i = context - chunk; i < context; ++i) keys += i + 1;
  const double flop = 4 * keys * shape.head_dim * shape.heads;
  const auto call = [&](Team& team) {
    ops::cached_attention(team.context,
                          {.sequences = {&rows, 1},
                           .cache = {pool.data(), layout},
                           .heads = shape.heads,
                           .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim))},
                          Mat<const T>(q.data(), chunk, width, stride),
                          Mat<T>(out.data(), chunk, width, stride));
  };
  std::printf("prefill %-5s %-14s %2d/%-2d heads of %3d  context %5d chunk %4d",
              dtype_name(shape.cache), shape.model, shape.heads, shape.kv_heads, shape.head_dim,
              context, chunk);
  for (Team* team : {&bench.core, &bench.all}) {
    std::vector<double> rates, peaks;
    call(*team);
    for (int r = 0; r < (options.smoke ? 1 : options.rounds); ++r) {
      const int calls = options.smoke ? 1 : std::max(1, static_cast<int>(1e10 / flop));
      rates.push_back(flop * calls / team->time([&] {
        for (int i = 0; i < calls; ++i) call(*team);
      }));
      peaks.push_back(kernels::measure_peak_flops(team->team, kDTypeOf<T>, options.isa));
    }
    const double peak = *std::max_element(peaks.begin(), peaks.end());
    std::printf("  %s %6.3f TFLOP/s of %5.2f: %4.1f %% (%4.1f .. %4.1f) %8.1f us", team->name,
                percentile(rates, 50) / 1e12, peak / 1e12, 100 * percentile(rates, 50) / peak,
                100 * percentile(rates, 10) / peak, 100 * percentile(rates, 90) / peak,
                1e6 * flop / percentile(rates, 50));
  }
  std::printf("\n");
  std::fflush(stdout);
}

template <class Fn>
void row_line(Bench& bench, const char* what, int64_t rows, int64_t cols, double bytes,
              const Fn& fn) {
  std::printf("%-22s %4lldx%-5lld", what, static_cast<long long>(rows),
              static_cast<long long>(cols));
  for (Team* team : {&bench.core, &bench.all}) {
    std::vector<double> times;
    const auto call = [&] { fn(team->context); };
    call();
    const double once = std::max(team->time(call), 1e-7);
    const int calls = bench.options.smoke ? 1 : std::max(1, static_cast<int>(2e-3 / once));
    for (int r = 0; r < (bench.options.smoke ? 1 : bench.options.rounds); ++r)
      times.push_back(team->time([&] {
        for (int i = 0; i < calls; ++i) call();
      }) / calls);
    std::printf("  %s %6.1f GB/s (%6.1f .. %6.1f) %8.2f us", team->name,
                bytes / percentile(times, 50) / 1e9, bytes / percentile(times, 90) / 1e9,
                bytes / percentile(times, 10) / 1e9, 1e6 * percentile(times, 50));
  }
  std::printf("\n");
  std::fflush(stdout);
}

void row_steps(Bench& bench, int64_t rows) {
  const int64_t hidden = 2048;
  const int heads = 16, kv_heads = 8, head_dim = 128;
  std::vector<float> x(static_cast<size_t>(rows * hidden)), scale(hidden, 1), h(x.size());
  std::vector<bf16> low(x.size());
  bench.fill(x.data(), rows * hidden);
  const Mat<const float> xm(x.data(), rows, hidden);
  const auto elements = static_cast<double>(rows * hidden);
  row_line(bench, "rms_norm f32 to bf16", rows, hidden, elements * 6, [&](ops::Context& context) {
    ops::rms_norm(context, xm, scale, 1e-6f, {}, Mat<bf16>(low.data(), rows, hidden));
  });
  row_line(bench, "add_rms_norm f32", rows, hidden, elements * 12, [&](ops::Context& context) {
    ops::add_rms_norm(context, xm, scale, 1e-6f, Mat<float>(h.data(), rows, hidden));
  });
  const int64_t cols = (heads + 2 * kv_heads) * head_dim;
  std::vector<bf16> qkv(static_cast<size_t>(rows * cols)), fresh(qkv.size());
  bench.fill(fresh.data(), rows * cols);
  std::vector<float> norm(head_dim, 1), frequency;
  for (int i = 0; i < head_dim / 2; ++i)
    frequency.push_back(static_cast<float>(std::pow(1e6, -2.0 * i / head_dim)));
  for (const DType dtype : {DType::kBf16, DType::kI8}) {
    const kernels::KvLayout layout{1, kv_heads, head_dim, dtype};
    // At prompts one sequence, at decoding one per row.
    for (const bool prompt : {true, false}) {
      const Buffer pool(static_cast<size_t>((rows + 1) * layout.block_bytes()));
      const auto blocks = scattered_blocks(1, rows + 1);
      std::vector<ops::KvRows> sequences;
      if (prompt)
        sequences.push_back({blocks.data(), 0, static_cast<int32_t>(rows), 0});
      else
        for (int32_t s = 0; s < rows; ++s) sequences.push_back({&blocks[s], s % 32, 1, s});
      const std::string name =
          std::string(prompt ? "prompt" : "decode") + " rotate to " + dtype_name(dtype);
      // Rotated queries stay bounded: they may be rotated again.
      std::copy(fresh.begin(), fresh.end(), qkv.begin());
      row_line(bench, name.c_str(), rows, cols,
               static_cast<double>(rows) *
                   (heads * head_dim * 4 + 2 * kv_heads * head_dim * (2 + dtype_bytes(dtype))),
               [&](ops::Context& context) {
                 ops::rotate_and_cache(context,
                                       {.sequences = sequences,
                                        .cache = {pool.data(), layout},
                                        .heads = heads,
                                        .q_norm = norm,
                                        .k_norm = norm,
                                        .eps = 1e-6f,
                                        .inverse_frequency = frequency},
                                       Mat<bf16>(qkv.data(), rows, cols));
               });
    }
  }
}

int run(const Options& options) {
  flush_denormals();
  Bench bench(options);
  bench::print_machine(options, available_cores());
  const bool smoke = options.smoke;
  const DType k8 = DType::kI8, k16 = DType::kBf16;
  if (options.wants("decode")) {
    for (const DType cache : {k16, k8}) {
      decode<bf16>(bench, {"qwen3-0.6b", 16, 8, 128, cache}, smoke ? 2 : 16, smoke ? 40 : 1000);
      decode<bf16>(bench, {"llama-3.2-1b", 32, 8, 64, cache}, smoke ? 2 : 16, smoke ? 40 : 1000);
      decode<bf16>(bench, {"qwen3-0.6b", 16, 8, 128, cache}, 1, smoke ? 70 : 2000);
      decode<bf16>(bench, {"one kv head", 8, 1, 128, cache}, 1, smoke ? 600 : 32000);
    }
    if (!smoke) decode<bf16>(bench, {"gemma-3-1b", 4, 1, 256, k16}, 8, 1000);
    if (!smoke) decode<bf16>(bench, {"qwen3-0.6b", 16, 8, 128, k16}, 32, 150);
    decode<float>(bench, {"qwen3-0.6b f32", 16, 8, 128, DType::kF32}, 2, smoke ? 40 : 1000);
  }
  if (options.wants("prefill")) {
    for (const DType cache : {k16, k8})
      for (const auto& [context, chunk] : {std::pair(512, 512), std::pair(2048, 128),
                                           std::pair(2048, 512), std::pair(2048, 2048)}) {
        const int keys = smoke ? context / 16 : context, rows = smoke ? chunk / 16 : chunk;
        prefill<bf16>(bench, {"qwen3-0.6b", 16, 8, 128, cache}, keys, rows);
      }
    prefill<bf16>(bench, {"llama-3.2-1b", 32, 8, 64, k16}, smoke ? 64 : 2048, smoke ? 8 : 512);
    prefill<bf16>(bench, {"gemma-3-1b", 4, 1, 256, k16}, smoke ? 64 : 2048, smoke ? 8 : 512);
    prefill<float>(bench, {"qwen3-0.6b f32", 16, 8, 128, DType::kF32}, smoke ? 64 : 1024,
                   smoke ? 8 : 128);
  }
  if (options.wants("rows"))
    for (const int64_t rows : {1, 32, smoke ? 40 : 512}) row_steps(bench, rows);
  return 0;
}

}  // namespace
}  // namespace sis

int main(int argc, char** argv) {
  sis::Options options;
  options.rounds = 9;
  const auto take_part = [&](const std::string& part) {
    options.only = part;
    return part == "decode" || part == "prefill" || part == "rows";
  };
  if (!sis::bench::parse(argc, argv, "decoder_ops_bench", options,
                         {{"--only", "decode|prefill|rows", take_part}}))
    return 2;
  return sis::run(options);
}
