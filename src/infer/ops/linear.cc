#include "infer/ops/linear.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/check.h"
#include "infer/kernels/gemm_pack.h"
#include "infer/kernels/gemm_variants.h"

namespace sis::ops {
namespace {

constexpr int64_t kInMax = 1 << 20;
constexpr int64_t kInMaxInt8 = 1 << 17;  // 2^17 products of two int8 stay below 2^31
constexpr int64_t kOutMax = 1 << 24;

// Rows prepared at a time where all workers share them: bounds scratch, long enough to hide two
// barriers.
constexpr int64_t kSharedRows = 1024;
// Rows prepared at a time by a worker for itself: they stay in its L2, with small weights.
constexpr int64_t kOwnRows = 128;
// From so many rows of a residual stream per worker on, workers take rows of it.
constexpr int64_t kStreamRows = 256;
// Weights up to this size stay in every core's L2, so that workers take rows and meet only at the
// end.
constexpr int64_t kSmallWeightsBytes = 3 << 19;
// Up to this many elements each worker prepares all rows itself: cheaper than a barrier.
constexpr int64_t kCopyElements = 16 * 1024;

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

const gemm::GemmVariant& variant_for(DType compute, Isa isa) {
  isa = std::min(isa, detect_isa());
  switch (compute) {
    case DType::kF32:
      return choose(gemm::kF32Variants, isa);
    case DType::kBf16:
      return choose(gemm::kBf16Variants, isa);
    case DType::kI4:
      return choose(gemm::kInt4Variants, isa);
    default:
      return choose(gemm::kInt8Variants, isa);
  }
}

gemm::Act act_of(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return gemm::Act::kNone;
    case Activation::kGelu:
      return gemm::Act::kGelu;
    case Activation::kGeluTanh:
      return gemm::Act::kGeluTanh;
    case Activation::kRelu:
      return gemm::Act::kRelu;
    case Activation::kSilu:
      return gemm::Act::kSilu;
  }
  return gemm::Act::kNone;
}

Error invalid(std::string message) {
  return {Code::kInvalidArgument, "linear: " + std::move(message)};
}

// Rows are quantised and sums are integers.
bool is_quantised(DType compute) { return compute == DType::kI8 || compute == DType::kI4; }

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBf16 || dtype == DType::kF16 ||
         dtype == DType::kF8E4M3;
}

Status check_shapes(std::span<const WeightView> weights, std::span<const WeightView> biases,
                    DType compute, bool gated) {
  if (compute != DType::kF32 && compute != DType::kBf16 && !is_quantised(compute))
    return invalid(
        concat("cannot compute in ", dtype_name(compute), ", want f32, bf16, int8 or int4"));
  if (weights.empty()) return invalid("no weights");
  const int64_t in = weights[0].cols, in_max = is_quantised(compute) ? kInMaxInt8 : kInMax;
  int64_t out = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const WeightView& w = weights[i];
    if (w.empty() || !is_float(w.dtype))
      return invalid(concat("weight ", i, " of type ", dtype_name(w.dtype),
                            ", want f32, bf16, f16 or f8_e4m3 data"));
    if (w.cols != in || w.cols < 1 || w.rows < 1 || in > in_max || w.rows > kOutMax - out)
      return invalid(concat("weight ", i, " is [", w.rows, ", ", w.cols, "], want [1.., ", in,
                            "] with at most ", in_max, " columns and ", kOutMax, " rows in all"));
    out += w.rows;
  }
  if (gated && (weights.size() != 2 || weights[0].rows != weights[1].rows))
    return invalid(concat(weights.size(), " weights with ", weights[0].rows, " .. ",
                          weights.back().rows,
                          " rows, want two of one shape: a gate's and what it gates"));
  if (biases.empty()) return {};
  if (biases.size() != weights.size())
    return invalid(
        concat(biases.size(), " biases for ", weights.size(), " weights, want as many or none"));
  for (size_t i = 0; i < biases.size(); ++i) {
    const WeightView& b = biases[i];
    if (b.empty() || !is_float(b.dtype) || b.rows != 1 || b.cols != weights[i].rows)
      return invalid(concat("bias ", i, " is [", b.rows, ", ", b.cols, "] of type ",
                            dtype_name(b.dtype), ", want [1, ", weights[i].rows,
                            "] of f32, bf16, f16 or f8_e4m3 data"));
  }
  return {};
}

// Scratch that rows are prepared into.
struct Prepared {
  uint8_t* bytes;
  gemm::RowScale* row_scale;
  gemm::HighDigits* high;
};

// Rows [begin, end) of a product, as a product of their own.
gemm::Product slice(const gemm::Product& p, DType compute, int64_t begin, int64_t end) {
  gemm::Product part = p;
  part.rows = end - begin;
  part.x = static_cast<const uint8_t*>(p.x) + begin * p.x_stride * (compute == DType::kF32 ? 4 : 2);
  part.y = static_cast<uint8_t*>(p.y) + begin * p.y_stride * (p.y_bf16 ? 2 : 4);
  if (p.residual) part.residual = p.residual + begin * p.residual_stride;
  return part;
}

}  // namespace

struct Linear::Impl {
  static Result<Linear> pack(std::span<const WeightView> weights,
                             std::span<const WeightView> biases, DType compute, Isa isa,
                             ThreadTeam& team, WeightArena* arena, bool gated);

  WeightArena::Part memory;  // tiles, bias, scale, sums
  gemm::Weights weights;
  DType compute = DType::kF32;
  const gemm::GemmVariant* variant = nullptr;
  const gemm::Kernel* kernel = nullptr;

  int64_t tile_bytes() const {
    return weights.blocks * weights.k_tiles * 2 * gemm::half_bytes_of(compute);
  }

  Prepared take_prepared(Workspace& workspace, int64_t rows) const {
    Prepared p{workspace.take<uint8_t>(round_up(rows, gemm::kPanelRows) * weights.prepared_stride),
               nullptr, nullptr};
    if (is_quantised(compute)) {
      p.row_scale = workspace.take<gemm::RowScale>(rows);
      p.high = workspace.take<gemm::HighDigits>(rows);
    }
    return p;
  }

  void run(Context& context, const gemm::Product& product) const;
};

// Workers take columns where weights are large, as each then reads its own part of them from
// memory; they take rows where weights are small and rows are many. Many rows of a residual stream
// they take as well: what works on the stream row by row gives every worker the same rows, which
// then need not move from core to core. Results do not depend on the split.
void Linear::Impl::run(Context& context, const gemm::Product& product) const {
  const gemm::Kernel& kernel = *this->kernel;
  const Workspace::Scope scope(context.workspace);
  const int workers = context.team.workers();
  const int64_t rows = product.rows, blocks = weights.blocks;

  const bool small = tile_bytes() <= kSmallWeightsBytes || blocks < 4 * workers;
  const bool by_rows = small ? rows >= 2 * gemm::kPanelRows * workers
                             : product.residual && rows >= kStreamRows * workers;
  const bool own_copy =
      !kernel.prepare || by_rows || workers == 1 || rows * weights.in <= kCopyElements;
  const int64_t own_rows =
      by_rows ? round_up((rows + workers - 1) / workers, gemm::kPanelRows) : rows;
  const int64_t rows_max =
      !kernel.prepare ? rows : std::min(own_rows, small && by_rows ? kOwnRows : kSharedRows);
  const int copies = own_copy ? workers : 1;

  // Everything workers need is taken before they start.
  const int64_t scratch_bytes = round_up(kernel.scratch_bytes(weights), 64);
  uint8_t* scratch =
      scratch_bytes ? context.workspace.take<uint8_t>(scratch_bytes * workers) : nullptr;
  auto* prepared = context.workspace.take<Prepared>(copies);
  for (int i = 0; kernel.prepare && i < copies; ++i)
    prepared[i] = take_prepared(context.workspace, rows_max);
  const auto part_of = [&](int64_t begin, int64_t end, int copy) {
    gemm::Product part = slice(product, compute, begin, end);
    if (!kernel.prepare) return part;
    part.prepared = prepared[copy].bytes;
    part.row_scale = prepared[copy].row_scale;
    part.high = prepared[copy].high;
    return part;
  };

  if (own_copy) {
    const auto work = [&](int worker, int64_t row_begin, int64_t row_end, int64_t block_begin,
                          int64_t block_end) {
      for (int64_t begin = row_begin; begin < row_end; begin += rows_max) {
        const int64_t end = std::min(begin + rows_max, row_end);
        const gemm::Product part = part_of(begin, end, worker);
        if (kernel.prepare) kernel.prepare(part, 0, part.rows);
        kernel.multiply(part, 0, part.rows, block_begin, block_end,
                        scratch + worker * scratch_bytes);
      }
    };
    if (by_rows) {
      context.team.split(rows, gemm::kPanelRows, [&](int64_t begin, int64_t end, int worker) {
        work(worker, begin, end, 0, blocks);
      });
    } else {
      context.team.split(blocks, 1, [&](int64_t begin, int64_t end, int worker) {
        work(worker, 0, rows, begin, end);
      });
    }
    return;
  }

  for (int64_t begin = 0; begin < rows; begin += rows_max) {
    const gemm::Product part = part_of(begin, std::min(begin + rows_max, rows), 0);
    if (kernel.prepare)
      context.team.split(part.rows, gemm::kPanelRows, [&](int64_t first, int64_t last, int) {
        kernel.prepare(part, first, last);
      });
    context.team.split(blocks, 1, [&](int64_t first, int64_t last, int worker) {
      kernel.multiply(part, 0, part.rows, first, last, scratch + worker * scratch_bytes);
    });
  }
}

Linear::Linear() = default;
Linear::~Linear() = default;
Linear::Linear(Linear&&) noexcept = default;
Linear& Linear::operator=(Linear&&) noexcept = default;

Result<Linear> Linear::pack(std::span<const WeightView> weights, std::span<const WeightView> biases,
                            DType compute, Isa isa, ThreadTeam& team, WeightArena* arena) {
  return Impl::pack(weights, biases, compute, isa, team, arena, false);
}
Result<Linear> Linear::pack_gated(std::span<const WeightView> weights,
                                  std::span<const WeightView> biases, DType compute, Isa isa,
                                  ThreadTeam& team, WeightArena* arena) {
  return Impl::pack(weights, biases, compute, isa, team, arena, true);
}

Result<Linear> Linear::Impl::pack(std::span<const WeightView> weights,
                                  std::span<const WeightView> biases, DType compute, Isa isa,
                                  ThreadTeam& team, WeightArena* arena, bool gated) {
  SIS_TRY(check_shapes(weights, biases, compute, gated));
  auto impl = std::make_unique<Impl>();
  impl->compute = compute;
  impl->variant = &variant_for(compute, isa);
  gemm::Weights& w = impl->weights;
  w.in = weights[0].cols;
  int64_t rows = 0;
  for (const WeightView& view : weights) rows += view.rows;
  w.gated = gated;
  w.out = gated ? rows / 2 : rows;
  w.k_tiles = gemm::k_tiles_of(compute, w.in);
  w.prepared_stride = (w.k_tiles | 1) * gemm::kTileBytes;
  const int64_t block_columns = gated ? gemm::kBlockCols / 2 : gemm::kBlockCols;
  w.blocks = (w.out + block_columns - 1) / block_columns;
  impl->kernel = impl->variant->fn;
  if (w.in % impl->kernel->in_multiple != 0) impl->kernel = impl->kernel->other;

  const int64_t columns = w.blocks * gemm::kBlockCols, tile_bytes = impl->tile_bytes();
  const int64_t vectors = is_quantised(compute) ? 3 : 1;
  const int64_t bytes = tile_bytes + vectors * columns * 4;
  impl->memory = arena ? arena->take(bytes) : WeightArena::alone(bytes);
  uint8_t* base = impl->memory.data;
  auto* bias = reinterpret_cast<float*>(base + tile_bytes);
  gemm::PackTarget target{compute, w.in, w.out, w.k_tiles, gated, base};
  w.tiles = base;
  w.bias = bias;
  w.int4 = compute == DType::kI4;
  if (is_quantised(compute)) {
    target.scale = bias + columns;
    target.sums = reinterpret_cast<int32_t*>(bias + 2 * columns);
    w.scale = target.scale;
    w.sums = target.sums;
  }

  std::atomic<int64_t> bad{rows};  // the first row that is not finite
  std::vector<gemm::PackScratch> scratches(static_cast<size_t>(team.workers()));
  team.split(w.blocks, 1, [&](int64_t begin, int64_t end, int worker) {
    gemm::PackScratch& scratch = scratches[static_cast<size_t>(worker)];
    for (int64_t block = begin; block < end; ++block) {
      const int64_t row = gemm::pack_block(weights, target, block, scratch);
      if (row < 0) continue;
      for (int64_t seen = bad; row < seen && !bad.compare_exchange_weak(seen, row);) {
      }
    }
  });
  if (bad < rows) {
    int64_t row = bad;
    size_t i = 0;
    while (row >= weights[i].rows) row -= weights[i++].rows;
    return invalid(concat("weight ", i, " has a value in row ", row, " that is not finite in ",
                          compute == DType::kBf16 ? "bf16" : "f32"));
  }
  if (is_quantised(compute)) {
    double squares = 0, error_squares = 0;
    for (const auto& scratch : scratches) {
      squares += scratch.squares;
      error_squares += scratch.error_squares;
    }
    const double most = w.int4 ? kInt4RoundingMax : kInt8RoundingMax;
    if (error_squares > most * most * squares) {
      if (arena) arena->give_back(std::move(impl->memory));
      return pack(weights, biases, w.int4 ? DType::kI8 : DType::kBf16, isa, team, arena, gated);
    }
  }
  int64_t first = 0;  // column of this weight, where gated in the first block
  for (size_t i = 0; i < biases.size(); ++i) {
    for (int64_t c = 0; c < biases[i].cols; ++c) {
      const float value = biases[i].at(0, c);
      if (!std::isfinite(value)) return invalid(concat("bias ", i, " is not finite at ", c));
      const int64_t block = c / block_columns;
      bias[first + c + (gated ? block * block_columns : 0)] = value;
    }
    first += gated ? block_columns : biases[i].cols;
  }
  Linear linear;
  linear.impl_ = std::move(impl);
  return linear;
}

int64_t Linear::in() const { return impl_->weights.in; }
int64_t Linear::out() const { return impl_->weights.out; }
int64_t Linear::params() const { return in() * out() * (impl_->weights.gated ? 2 : 1); }
DType Linear::compute() const { return impl_->compute; }
int64_t Linear::bytes() const { return impl_->memory.bytes; }
const char* Linear::variant() const { return impl_->variant->name; }

namespace {

template <class X, class Y>
gemm::Product product_of(const gemm::Weights& w, Mat<const X> x, const Linear::Call& call,
                         Mat<Y> y) {
  SIS_CHECK(x.cols == w.in && y.cols == w.out && x.rows == y.rows, "x [", x.rows, ", ", x.cols,
            "], y [", y.rows, ", ", y.cols, "], want [rows, ", w.in, "] and [rows, ", w.out, "]");
  gemm::Product p;
  p.weights = w;
  p.x = x.data;
  p.x_stride = x.stride;
  p.rows = x.rows;
  p.act = act_of(call.activation);
  if (call.residual.data) {
    SIS_CHECK(!w.gated, "a residual for a gated product");
    SIS_CHECK(call.residual.rows == y.rows && call.residual.cols == y.cols, "residual [",
              call.residual.rows, ", ", call.residual.cols, "], want [", y.rows, ", ", y.cols, "]");
    p.residual = call.residual.data;
    p.residual_stride = call.residual.stride;
  }
  p.y = y.data;
  p.y_stride = y.stride;
  p.y_bf16 = sizeof(Y) == 2;
  return p;
}

}  // namespace

void Linear::forward(Context& context, Mat<const float> x, const Call& call, Mat<float> y) const {
  SIS_CHECK(impl_->compute == DType::kF32, "f32 x for weights in ", dtype_name(impl_->compute));
  if (x.rows > 0) impl_->run(context, product_of(impl_->weights, x, call, y));
}

void Linear::forward(Context& context, Mat<const bf16> x, const Call& call, Mat<float> y) const {
  SIS_CHECK(impl_->compute != DType::kF32, "bf16 x for weights in f32");
  if (x.rows > 0) impl_->run(context, product_of(impl_->weights, x, call, y));
}

void Linear::forward(Context& context, Mat<const bf16> x, const Call& call, Mat<bf16> y) const {
  SIS_CHECK(impl_->compute != DType::kF32, "bf16 x for weights in f32");
  if (x.rows > 0) impl_->run(context, product_of(impl_->weights, x, call, y));
}

}  // namespace sis::ops
