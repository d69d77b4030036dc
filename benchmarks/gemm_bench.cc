// Linear layers of encoders against oneDNN's matrix products, on the same threads in the same run.
//
//   gemm_bench [--smoke] [--decode] [--isa LEVEL] [--seed N] [--rounds N] [--threads N] [--loud N]
//              [--only TEXT]
//
// --decode measures few rows against memory instead: gemm_decode.h.
// Ours does all a layer does: int8 quantises its rows, bias, GELU where N = 4 K, f32 residual where
// the layer ends a block, y in bf16 or f32. oneDNN is run twice: "bare", its product alone (bf16
// out or s32 out, rows already int8), and "fused" with the same bias, activation and residual (rows
// still already int8). Weights rotate through more than 64 MB of copies, as they do in a model, so
// they come from L3 or memory. Rounds alternate ours / bare / fused; ratios are medians of each
// round's ratio, so that a slow minute of the machine hits all alike. T = 1e12 operations (2 per
// multiply-add) per second, p50 [min max] over rounds. "peak" is the rate of AMX products on
// registers by all threads, measured beside each case; int8 runs twice the bf16 rate. "cpu" is the
// CPU time our rounds got of what they asked for: below 0.95 a neighbour was there, and the figures
// of several threads mean little. With --threads 1 every time is the thread's own CPU time, which a
// neighbour hardly moves.
// --loud N makes N channels of x 50 times louder.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "gemm_decode.h"
#include "gemm_onednn.h"
#include "infer/kernels/peak.h"
#include "infer/ops/linear.h"

namespace sis {
namespace {

struct Options {
  bool smoke = false;
  bool decode = false;
  Isa isa = detect_isa();
  uint64_t seed = 1;
  int rounds = 15;
  int threads = 2;
  int loud = 0;
  std::string only;
};

struct Shape {
  const char* name;
  int64_t in, out;
  bool gelu, residual;
};
constexpr Shape kShapes[] = {
    {"qwen3-0.6b qkv", 1024, 4096, false, false},
    {"qwen3-0.6b out", 2048, 1024, false, true},
    {"qwen3-0.6b gate_up", 1024, 6144, false, false},
    {"qwen3-0.6b down", 3072, 1024, false, true},
    {"bge-m3 qkv", 1024, 3072, false, false},
    {"bge-m3 out", 1024, 1024, false, true},
    {"bge-m3 up", 1024, 4096, true, false},
    {"bge-m3 down", 4096, 1024, false, true},
    {"minilm qkv", 384, 1152, false, false},
    {"minilm out", 384, 384, false, true},
    {"minilm up", 384, 1536, true, false},
    {"minilm down", 1536, 384, false, true},
};

double wall_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double seconds_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
double process_cpu_s() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }
double thread_cpu_s() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Operations per second of all threads on registers.
double register_peak(const Options& options, DType type, double (*clock)(), ThreadTeam& team) {
  if (type == DType::kI4) type = DType::kI8;  // what its products are
  if (options.isa < Isa::kAmx) return kernels::measure_peak_flops(team, type, options.isa);
  const auto loop = type == DType::kI8 ? kernels::peak::amx_int8 : kernels::peak::amx_bf16;
  std::vector<double> operations(static_cast<size_t>(team.workers()));
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const double begin = clock();
    team.run([&](int worker, int) {
      operations[static_cast<size_t>(worker)] = loop(options.smoke ? 200 : 20000);
    });
    double total = 0;
    for (double n : operations) total += n;
    best = std::max(best, total / (clock() - begin));
  }
  return best;
}

// Seconds per call over `calls` calls on rotating copies.
struct Timer {
  double (*clock)();
  int copies, next = 0;
  template <class Fn>
  double operator()(int calls, const Fn& fn) {
    const double begin = clock();
    for (int i = 0; i < calls; ++i, next = (next + 1) % copies) fn(next);
    return (clock() - begin) / calls;
  }
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        clock_(options.threads == 1 ? thread_cpu_s : wall_s),
        team_({.workers = options.threads}) {}

  void shape(const Shape& shape, DType type) {
    Rng rng(options_.seed);
    const std::vector<int64_t> rows_list =
        options_.smoke ? std::vector<int64_t>{33} : std::vector<int64_t>{32, 128, 512, 2048};
    const int64_t rows_max = rows_list.back();
    std::vector<float> weights(static_cast<size_t>(shape.in * shape.out));
    for (auto& w : weights)
      w = static_cast<float>(rng.normal()) * 0.02f * (type != DType::kBf16 ? 50.0f : 1.0f);
    std::vector<float> x(static_cast<size_t>(rows_max * shape.in));
    for (auto& v : x) v = static_cast<float>(rng.normal());
    for (int i = 0; i < options_.loud; ++i)
      for (int64_t r = 0; r < rows_max; ++r)
        x[static_cast<size_t>(r * shape.in + (i * 397 + 5) % shape.in)] *= 50;

    const int64_t bytes = type == DType::kI4 ? shape.in * shape.out * 9 / 16
                                             : shape.in * shape.out * dtype_bytes(type);
    const int copies = options_.smoke ? 2 : static_cast<int>((int64_t{72} << 20) / bytes + 1);
    const std::vector<float> bias(static_cast<size_t>(shape.out), 0.1f);
    const WeightView weight_view[] = {{weights.data(), DType::kF32, shape.out, shape.in}};
    const WeightView bias_view[] = {{bias.data(), DType::kF32, 1, shape.out}};
    std::vector<ops::Linear> layers;
    for (int i = 0; i < copies; ++i) {
      auto layer = ops::Linear::pack(weight_view, bias_view, type, options_.isa, team_);
      if (!layer.ok()) {
        std::fprintf(stderr, "%s\n", layer.error().message.c_str());
        std::exit(1);
      }
      layers.push_back(std::move(layer).value());
    }
    for (const int64_t rows : rows_list) one(shape, type, rows, weights, x, layers);
  }

 private:
  void one(const Shape& shape, DType type, int64_t rows, std::span<const float> weights,
           std::span<const float> x, const std::vector<ops::Linear>& layers) {
    const int copies = static_cast<int>(layers.size());
    Workspace data;
    Mat<bf16> low = data.take_mat<bf16>(rows, shape.in), y = data.take_mat<bf16>(rows, shape.out);
    Mat<float> stream = data.take_mat<float>(rows, shape.out);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < shape.in; ++c)
        low.at(r, c) = bf16(x[static_cast<size_t>(r * shape.in + c)]);
      std::fill_n(stream.row(r), shape.out, 0.0f);
    }
    ops::Context context{team_, workspace_, options_.isa};
    const auto ours = [&](int copy) {
      const auto& layer = layers[static_cast<size_t>(copy)];
      ops::Linear::Call call{shape.gelu ? ops::Activation::kGelu : ops::Activation::kNone};
      if (shape.residual) {
        call.residual = stream;
        layer.forward(context, low, call, stream);
      } else {
        layer.forward(context, low, call, y);
      }
    };
    // int4 is set beside oneDNN's int8.
    const DType other = type == DType::kI4 ? DType::kI8 : type;
    OneDnnProduct::Options plain{other,  rows,  shape.in,   shape.out,
                                 copies, false, shape.gelu, shape.residual};
    OneDnnProduct::Options with = plain;
    with.fused = true;
    OneDnnProduct bare(plain, weights, x), fused(with, weights, x);
    const auto run_bare = [&](int copy) { bare.run(copy); };
    const auto run_fused = [&](int copy) { fused.run(copy); };

    Timer timers[3] = {{clock_, copies}, {clock_, copies}, {clock_, copies}};
    const double once =
        std::max({timers[0](3, ours), timers[1](3, run_bare), timers[2](3, run_fused)});
    const int calls = options_.smoke ? 2 : std::max(2, static_cast<int>(6e-3 / once));
    std::vector<double> ours_s, bare_s, fused_s, to_bare, to_fused, cpu, peaks;
    for (int round = 0; round < (options_.smoke ? 2 : options_.rounds); ++round) {
      pause();
      peaks.push_back(register_peak(options_, type, clock_, team_));
      const double cpu_begin = process_cpu_s(), begin = wall_s();
      ours_s.push_back(timers[0](calls, ours));
      cpu.push_back((process_cpu_s() - cpu_begin) / (wall_s() - begin) / options_.threads);
      pause();  // our workers park
      bare_s.push_back(timers[1](calls, run_bare));
      fused_s.push_back(timers[2](calls, run_fused));
      to_bare.push_back(bare_s.back() / ours_s.back());
      to_fused.push_back(fused_s.back() / ours_s.back());
    }
    const double ops = 2.0 * static_cast<double>(rows * shape.in * shape.out) / 1e12;
    const auto range = [](const std::vector<double>& v) {
      return std::minmax_element(v.begin(), v.end());
    };
    const double peak = median(peaks) / 1e12;
    std::printf(
        "%-4s %-11s %5ld %5ld %5ld  %6.2f [%5.2f %5.2f] %4.0f%%  %6.2f [%5.2f %5.2f]  %6.2f [%5.2f "
        "%5.2f]  %5.2f %5.2f  %4.2f\n",
        dtype_name(type), shape.name, static_cast<long>(rows), static_cast<long>(shape.in),
        static_cast<long>(shape.out), ops / median(ours_s), ops / *range(ours_s).second,
        ops / *range(ours_s).first, peak > 0 ? 100 * ops / median(ours_s) / peak : 0,
        ops / median(bare_s), ops / *range(bare_s).second, ops / *range(bare_s).first,
        ops / median(fused_s), ops / *range(fused_s).second, ops / *range(fused_s).first,
        median(to_bare), median(to_fused), median(cpu));
    std::fflush(stdout);
  }

  // Long enough for the idle threads of either side to stop spinning.
  void pause() const {
    std::this_thread::sleep_for(std::chrono::milliseconds(options_.smoke ? 1 : 8));
  }

  Options options_;
  double (*clock_)();
  ThreadTeam team_;
  Workspace workspace_;
};

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "?";
}

std::optional<Options> parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--smoke") {
      o.smoke = true;
      continue;
    }
    if (flag == "--decode") {
      o.decode = true;
      continue;
    }
    if (i + 1 == argc) return std::nullopt;
    const char* value = argv[++i];
    if (flag == "--isa") {
      const auto isa = parse_isa(value);
      if (!isa || *isa > detect_isa()) return std::nullopt;
      o.isa = *isa;
    } else if (flag == "--seed") {
      o.seed = std::strtoull(value, nullptr, 10);
    } else if (flag == "--rounds") {
      o.rounds = std::clamp(std::atoi(value), 1, 1000);
    } else if (flag == "--threads") {
      o.threads = std::clamp(std::atoi(value), 1, available_cores());
    } else if (flag == "--loud") {
      o.loud = std::clamp(std::atoi(value), 0, 64);
    } else if (flag == "--only") {
      o.only = value;
    } else {
      return std::nullopt;
    }
  }
  return o;
}

int run(int argc, char** argv) {
  auto options = parse(argc, argv);
  if (!options) {
    std::fprintf(stderr,
                 "usage: gemm_bench [--smoke] [--decode] [--isa ref|avx2|avx512|avx512_bf16|amx, "
                 "up to this machine's] "
                 "[--seed N] [--rounds N] [--threads N] [--loud N] [--only TEXT]\n");
    return 2;
  }
  options->threads = std::min(options->threads, available_cores());
  // oneDNN's threads are OpenMP's, which reads its environment when the library is loaded.
  const std::string threads = std::to_string(options->threads);
  const char* set = std::getenv("OMP_NUM_THREADS");
  if (!set || threads != set) {
    setenv("OMP_NUM_THREADS", threads.c_str(), 1);
    execv("/proc/self/exe", argv);
    std::fprintf(stderr, "cannot start again with OMP_NUM_THREADS=%s\n", threads.c_str());
    return 1;
  }
  utsname system{};
  uname(&system);
  std::printf("gemm_bench  commit %s  seed %lu  rounds %d  threads %d of %d  isa %s  loud %d\n",
              SIS_COMMIT, static_cast<unsigned long>(options->seed), options->rounds,
              options->threads, available_cores(), isa_name(options->isa), options->loud);
  std::printf("machine     %s, %s %s, oneDNN %s\n", cpu_name().c_str(), system.sysname,
              system.release, onednn_version());
  if (options->decode || options->smoke)
    run_decode({.smoke = options->smoke,
                .isa = options->isa,
                .seed = options->seed,
                .rounds = options->rounds,
                .threads = options->threads,
                .only = options->only});
  if (options->decode) return 0;
  std::printf("%-4s %-11s %5s %5s %5s  %-20s %5s  %-20s  %-20s  %-11s  %s\n", "type", "layer",
              "rows", "K", "N", "ours T/s [min max]", "peak", "oneDNN bare T/s", "oneDNN fused T/s",
              "ours/ bare fused", "cpu");
  Bench bench(*options);
  for (const DType type : {DType::kBf16, DType::kI8, DType::kI4})
    for (const Shape& shape : kShapes) {
      if (options->smoke && shape.in != 384) continue;
      if (std::string(dtype_name(type)).append(" ").append(shape.name).find(options->only) ==
          std::string::npos)
        continue;
      bench.shape(shape, type);
    }
  return 0;
}

}  // namespace
}  // namespace sis

int main(int argc, char** argv) { return sis::run(argc, argv); }
