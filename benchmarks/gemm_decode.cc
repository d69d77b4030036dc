#include "gemm_decode.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "base/rng.h"
#include "infer/ops/linear.h"

namespace sis {
namespace {

enum class Out : uint8_t { kBf16, kGated /* to half as many columns */, kResidual, kF32 };
struct Shape {
  const char* name;
  int64_t in, out;
  Out to;
};
struct Model {
  const char* name;
  Shape layer[4];
  Shape head;
};
constexpr Model kModels[] = {
    {"qwen3-0.6b",
     {{"qkv", 1024, 4096, Out::kBf16},
      {"o", 2048, 1024, Out::kResidual},
      {"gate_up", 1024, 6144, Out::kGated},
      {"down", 3072, 1024, Out::kResidual}},
     {"head", 1024, 151936, Out::kF32}},
    {"llama-1b",
     {{"qkv", 2048, 3072, Out::kBf16},
      {"o", 2048, 2048, Out::kResidual},
      {"gate_up", 2048, 16384, Out::kGated},
      {"down", 8192, 2048, Out::kResidual}},
     {"head", 2048, 128256, Out::kF32}},
};
constexpr Model kTiny = {"tiny",
                         {{"qkv", 64, 96, Out::kBf16},
                          {"o", 64, 64, Out::kResidual},
                          {"gate_up", 64, 128, Out::kGated},
                          {"down", 128, 64, Out::kResidual}},
                         {"head", 64, 1000, Out::kF32}};
constexpr int kShapes = 5;

// Wall time, or with one thread its own CPU time, which a neighbour hardly moves.
double seconds(int threads) {
  timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Reads all of `lines` * 64 bytes as `kStreams` streams, fetching `ahead` lines ahead (0: not).
template <int kStreams>
uint64_t read_streams(const uint64_t* data, int64_t lines, int64_t ahead) {
  using Line = uint64_t __attribute__((vector_size(16)));
  Line sum[4] = {};
  const int64_t each = lines / kStreams;
  for (int64_t i = 0; i < each; ++i)
    for (int s = 0; s < kStreams; ++s) {
      const uint64_t* line = data + (s * each + i) * 8;
      if (ahead) __builtin_prefetch(line + ahead * 8);
      for (int j = 0; j < 4; ++j) {
        Line part;
        std::memcpy(&part, line + j * 2, 16);
        sum[j] += part;
      }
    }
  const Line all = sum[0] + sum[1] + sum[2] + sum[3];
  return all[0] + all[1];
}

// The memory wall: the better of plain loads and of four streams fetched 1 KB ahead.
class MemoryProbe {
 public:
  MemoryProbe(int64_t bytes, int threads) : threads_(threads), buffer_(static_cast<size_t>(bytes)) {
    std::memset(buffer_.data(), 1, buffer_.size());
  }
  // Bytes per second over the next part of the buffer.
  double operator()(ThreadTeam& team) {
    return std::max(
        read(team, [](const uint64_t* p, int64_t n) { return read_streams<1>(p, n, 0); }),
        read(team, [](const uint64_t* p, int64_t n) { return read_streams<4>(p, n, 16); }));
  }

 private:
  template <class Read>
  double read(ThreadTeam& team, const Read& read) {
    const int64_t lines = static_cast<int64_t>(buffer_.size()) / 64 / kParts;
    const uint64_t* part = buffer_.as<uint64_t>() + part_ * lines * 8;
    part_ = (part_ + 1) % kParts;
    const double begin = seconds(threads_);
    team.split(lines, 64, [&](int64_t first, int64_t last, int) {
      volatile uint64_t sink = read(part + first * 8, last - first);
      (void)sink;
    });
    return static_cast<double>(lines * 64) / (seconds(threads_) - begin);
  }

  static constexpr int64_t kParts = 8;
  int threads_;
  int64_t part_ = 0;
  Buffer buffer_;
};

class DecodeBench {
 public:
  explicit DecodeBench(const DecodeOptions& options)
      : options_(options),
        team_({.workers = options.threads}),
        probe_(options.smoke ? 1 << 20 : int64_t{1} << 30, options.threads) {}

  void model(const Model& model, DType type) {
    std::vector<ops::Linear> layers;  // layer after layer, the head last
    int64_t bytes = 0;
    const auto add = [&](const Shape& shape) {
      const int64_t elements = shape.in * shape.out;
      const double begin = seconds(options_.threads);
      layers.push_back(pack(shape, type));
      pack_s_ = seconds(options_.threads) - begin;
      bytes += layers.back().bytes();
      return static_cast<double>(elements);
    };
    const int64_t wanted = options_.smoke ? 1 : int64_t{1200} << 20;
    // The head once, layers until the weights are many.
    std::vector<ops::Linear> head;
    add(model.head);
    const double head_gb = static_cast<double>(model.head.in * model.head.out * 2) / 1e9;
    std::printf("%-4s %-10s head packed from bf16 in %.2f s, %.2f GB/s read\n", dtype_name(type),
                model.name, pack_s_, head_gb / pack_s_);
    do {
      for (const Shape& shape : model.layer) add(shape);
    } while (bytes < wanted);
    std::rotate(layers.begin(), layers.begin() + 1, layers.end());
    std::printf("%-4s %-10s %zu layers, %.2f GB, %s\n", dtype_name(type), model.name,
                layers.size() / 4, static_cast<double>(bytes) / 1e9, layers[0].variant());
    for (const int64_t rows :
         options_.smoke ? std::vector<int64_t>{1} : std::vector<int64_t>{1, 2, 4, 8, 16, 32})
      this->rows(model, type, rows, layers, bytes);
  }

 private:
  ops::Linear pack(const Shape& shape, DType type) {
    if (source_.empty()) {
      Rng rng(options_.seed);
      for (int i = 0; i < (1 << 18); ++i) source_.emplace_back(static_cast<float>(rng.normal()));
    }
    const auto wanted = static_cast<size_t>(shape.in * shape.out);
    while (source_.size() < wanted)
      source_.insert(source_.end(), source_.begin(), source_.begin() + (1 << 18));
    const int64_t half = shape.out / 2;
    const WeightView whole[] = {{source_.data(), DType::kBf16, shape.out, shape.in}},
                     halves[] = {{source_.data(), DType::kBf16, half, shape.in},
                                 {source_.data() + half * shape.in, DType::kBf16, half, shape.in}};
    auto layer = shape.to == Out::kGated
                     ? ops::Linear::pack_gated(halves, {}, type, options_.isa, team_, &arena_)
                     : ops::Linear::pack(whole, {}, type, options_.isa, team_, &arena_);
    if (!layer.ok()) {
      std::fprintf(stderr, "%s\n", layer.error().message.c_str());
      std::exit(1);
    }
    return std::move(layer).value();
  }

  void rows(const Model& model, DType type, int64_t rows, const std::vector<ops::Linear>& layers,
            int64_t bytes) {
    Rng rng(options_.seed);
    Workspace data;
    struct Rows {
      Mat<bf16> x, y;
      Mat<float> stream;
    } of[kShapes];
    for (int s = 0; s < kShapes; ++s) {
      const Shape& shape = shape_of(model, s);
      of[s].x = data.take_mat<bf16>(rows, shape.in);
      of[s].y = data.take_mat<bf16>(rows, shape.to == Out::kGated ? shape.out / 2 : shape.out);
      of[s].stream = data.take_mat<float>(rows, shape.out);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < shape.in; ++c)
          of[s].x.at(r, c) = bf16(static_cast<float>(rng.normal()));
        std::fill_n(of[s].stream.row(r), shape.out, 0.0f);
      }
    }
    ops::Context context{team_, workspace_, options_.isa};
    std::vector<double> memory, steps, times[kShapes], shares;
    for (int round = 0; round < (options_.smoke ? 2 : options_.rounds + 1); ++round) {
      const double wall = probe_(team_);
      double step = 0;
      for (size_t i = 0; i < layers.size(); ++i) {
        const int s = i + 1 == layers.size() ? 4 : static_cast<int>(i % 4);
        const double begin = seconds(options_.threads);
        switch (shape_of(model, s).to) {
          case Out::kBf16:
            layers[i].forward(context, of[s].x, {}, of[s].y);
            break;
          case Out::kGated:
            layers[i].forward(context, of[s].x, {ops::Activation::kSilu}, of[s].y);
            break;
          case Out::kResidual:
            layers[i].forward(context, of[s].x, {ops::Activation::kNone, of[s].stream},
                              of[s].stream);
            break;
          case Out::kF32:
            layers[i].forward(context, of[s].x, {}, of[s].stream);
            break;
        }
        const double took = seconds(options_.threads) - begin;
        step += took;
        if (round > 0) times[s].push_back(took);
      }
      if (round == 0) continue;  // warm-up
      memory.push_back(wall);
      steps.push_back(step);
      shares.push_back(static_cast<double>(bytes) / step / wall);
    }
    const double wall = median(memory);
    std::printf("%-4s %-10s %4ld  %5.1f  %5.1f %3.0f%% ", dtype_name(type), model.name,
                static_cast<long>(rows), wall / 1e9,
                static_cast<double>(bytes) / median(steps) / 1e9, 100 * median(shares));
    for (int s = 0; s < kShapes; ++s) {
      const auto& layer = layers[s == 4 ? layers.size() - 1 : static_cast<size_t>(s)];
      const double rate = static_cast<double>(layer.bytes()) / median(times[s]);
      std::printf("  %5.1f %3.0f%%", rate / 1e9, 100 * rate / wall);
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  static const Shape& shape_of(const Model& model, int s) {
    return s == 4 ? model.head : model.layer[s];
  }

  DecodeOptions options_;
  ThreadTeam team_;
  MemoryProbe probe_;
  Workspace workspace_;
  std::vector<bf16> source_;
  ops::WeightArena arena_;
  double pack_s_ = 0;
};

}  // namespace

void run_decode(const DecodeOptions& options) {
  DecodeBench bench(options);
  std::printf(
      "%-4s %-10s %4s  %5s  %-10s  %-10s  %-10s  %-10s  %-10s  %-10s  GB/s and share of read\n",
      "type", "model", "rows", "read", "all layers", "qkv", "o", "gate_up", "down", "head");
  for (const DType type : {DType::kBf16, DType::kI8, DType::kI4}) {
    if (options.smoke) {
      bench.model(kTiny, type);
      continue;
    }
    for (const Model& model : kModels)
      if (std::string(dtype_name(type)).append(" ").append(model.name).find(options.only) !=
          std::string::npos)
        bench.model(model, type);
  }
}

}  // namespace sis
