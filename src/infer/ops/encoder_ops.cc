#include "infer/ops/encoder_ops.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "infer/kernels/attention.h"
#include "infer/kernels/rowwise.h"
#include "infer/ops/over_rows.h"

namespace sis::ops {
namespace {

void check_offsets(std::span<const int32_t> offsets, int64_t tokens) {
  SIS_CHECK(!offsets.empty() && offsets.front() == 0 && offsets.back() == tokens, "offsets of ",
            tokens, " tokens");
}

template <class T>
bool same_shape(const Mat<T>& y, int64_t rows, int64_t cols) {
  return y.rows == rows && y.cols == cols && y.stride >= cols;
}

// --- attention

// Work of a block in units of one key: every block also pays for its queries, every head for
// packing.
int64_t block_cost(int64_t tokens) { return tokens + 48; }
constexpr int64_t kCostAlone = 2500;  // about 5 us with tiles

// Blocks of the whole batch are numbered sequence by sequence, head by head. Each worker takes a
// run of them of about equal cost, so that long and short sequences mix without any bookkeeping.
template <class T, class Table>
void attend(Context& context, const Table& table, Mat<const T> qkv,
            std::span<const int32_t> offsets, int heads, int head_dim, float scale, Mat<T> out) {
  const int64_t width = int64_t{heads} * head_dim;
  SIS_CHECK(heads > 0 && head_dim > 0 && head_dim <= kernels::kAttentionHeadDimMax, "heads=", heads,
            " head_dim=", head_dim);
  SIS_CHECK(scale > 0, "scale=", scale);
  SIS_CHECK(qkv.cols == 3 * width && qkv.stride >= qkv.cols && same_shape(out, qkv.rows, width),
            "qkv ", qkv.rows, "x", qkv.cols, " out ", out.rows, "x", out.cols, " heads=", heads,
            " head_dim=", head_dim);
  check_offsets(offsets, qkv.rows);

  const auto blocks_of = [&](int64_t tokens) {
    return (tokens + kernels::kAttentionQueries - 1) / kernels::kAttentionQueries * heads;
  };
  int64_t total = 0;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t tokens = offsets[s + 1] - offsets[s];
    SIS_CHECK(tokens >= 0, "offsets[", s, "]=", offsets[s], " then ", offsets[s + 1]);
    total += blocks_of(tokens) * block_cost(tokens);
  }
  if (total == 0) return;

  const bool alone = total <= kCostAlone || context.team.workers() == 1;
  Workspace::Scope scope(context.workspace);
  const auto scratch_bytes =
      static_cast<int64_t>(kernels::attention_scratch_bytes(head_dim) + 63) / 64 * 64;
  std::byte* const scratch =
      context.workspace.take<std::byte>(scratch_bytes * (alone ? 1 : context.team.workers()));
  const auto attention = choose(table, context.isa).fn;

  const auto part = [&](int worker, int workers) {
    // This worker's share of the cost, and then of the blocks: a block belongs where its cost
    // begins.
    const int64_t from = total * worker / workers, to = total * (worker + 1) / workers;
    int64_t at = 0;
    for (size_t s = 0; s + 1 < offsets.size() && at < to; ++s) {
      const int64_t tokens = offsets[s + 1] - offsets[s];
      const int64_t cost = block_cost(tokens), blocks = blocks_of(tokens);
      const int64_t end = at + blocks * cost;
      if (end > from) {
        const int64_t first = at >= from ? 0 : (from - at + cost - 1) / cost;
        const int64_t last = end <= to ? blocks : (to - at + cost - 1) / cost;
        if (first < last)
          attention({.qkv = qkv.row(offsets[s]),
                     .qkv_stride = qkv.stride,
                     .out = out.row(offsets[s]),
                     .out_stride = out.stride,
                     .tokens = static_cast<int>(tokens),
                     .heads = heads,
                     .head_dim = head_dim,
                     .scale = scale},
                    first, last, scratch + worker * scratch_bytes);
      }
      at = end;
    }
  };
  if (alone)
    part(0, 1);
  else
    context.team.run(part);
}

}  // namespace

void embed_layer_norm(Context& context, const EmbedArgs& args, Mat<float> y, Mat<bf16> y_low) {
  const auto tokens = static_cast<int64_t>(args.ids.size());
  const int64_t hidden = y.cols;
  SIS_CHECK(static_cast<int64_t>(args.positions.size()) == tokens && y.rows == tokens,
            "ids=", tokens, " positions=", args.positions.size(), " y.rows=", y.rows);
  SIS_CHECK(args.word.cols == hidden && args.position.cols == hidden &&
                (args.type.empty() || args.type.cols == hidden),
            "hidden=", hidden, " word=", args.word.cols, " position=", args.position.cols,
            " type=", args.type.cols);
  SIS_CHECK(static_cast<int64_t>(args.gamma.size()) == hidden &&
                static_cast<int64_t>(args.beta.size()) == hidden,
            "hidden=", hidden, " gamma=", args.gamma.size(), " beta=", args.beta.size());
  SIS_CHECK(!y_low.data || same_shape(y_low, tokens, hidden), "y_low ", y_low.rows, "x",
            y_low.cols);
  for (const WeightView* table : {&args.word, &args.position, &args.type})
    SIS_CHECK(table->empty() || table->dtype == DType::kF32 || table->dtype == DType::kBf16 ||
                  table->dtype == DType::kF16,
              "table of ", dtype_name(table->dtype));
  SIS_CHECK(args.types.empty() || static_cast<int64_t>(args.types.size()) == tokens, "ids=", tokens,
            " types=", args.types.size());
  for (const int32_t type : args.types)
    SIS_CHECK(type >= 0 && (args.type.empty() || type < args.type.rows), "type ", type, " of ",
              args.type.rows);
  for (int64_t t = 0; t < tokens; ++t)
    SIS_CHECK(args.ids[t] >= 0 && args.ids[t] < args.word.rows && args.positions[t] >= 0 &&
                  args.positions[t] < args.position.rows,
              "token ", t, ": id ", args.ids[t], " of ", args.word.rows, ", position ",
              args.positions[t], " of ", args.position.rows);

  const kernels::EmbedRowsArgs embed{args.ids.data(),
                                     args.positions.data(),
                                     args.types.empty() ? nullptr : args.types.data(),
                                     args.word,
                                     args.position,
                                     args.type,
                                     y};
  const kernels::LayerNormArgs norm{y, args.gamma.data(), args.beta.data(), args.eps, y, y_low};
  const auto embed_rows = choose(kernels::kEmbedRows, context.isa).fn;
  const auto norm_rows = choose(kernels::kLayerNorm, context.isa).fn;
  over_rows(context, tokens, tokens * hidden, [&](int64_t begin, int64_t end) {
    // A few rows at a time are still in the first-level cache when they are normalised.
    for (int64_t t = begin; t < end; t += kRowGrain) {
      const int64_t stop = std::min(end, t + kRowGrain);
      embed_rows(embed, t, stop);
      norm_rows(norm, t, stop);
    }
  });
}

void layer_norm(Context& context, Mat<const float> x, std::span<const float> gamma,
                std::span<const float> beta, float eps, Mat<float> y, Mat<bf16> y_low) {
  SIS_CHECK(same_shape(y, x.rows, x.cols) && (!y_low.data || same_shape(y_low, x.rows, x.cols)),
            "x ", x.rows, "x", x.cols, " y ", y.rows, "x", y.cols, " y_low ", y_low.rows, "x",
            y_low.cols);
  SIS_CHECK(
      static_cast<int64_t>(gamma.size()) == x.cols && static_cast<int64_t>(beta.size()) == x.cols,
      "cols=", x.cols, " gamma=", gamma.size(), " beta=", beta.size());
  const kernels::LayerNormArgs args{x, gamma.data(), beta.data(), eps, y, y_low};
  const auto norm_rows = choose(kernels::kLayerNorm, context.isa).fn;
  over_rows(context, x.rows, x.rows * x.cols,
            [&](int64_t begin, int64_t end) { norm_rows(args, begin, end); });
}

void attention(Context& context, Mat<const bf16> qkv, std::span<const int32_t> offsets, int heads,
               int head_dim, float scale, Mat<bf16> out) {
  attend(context, kernels::kAttentionBf16, qkv, offsets, heads, head_dim, scale, out);
}
void attention(Context& context, Mat<const float> qkv, std::span<const int32_t> offsets, int heads,
               int head_dim, float scale, Mat<float> out) {
  attend(context, kernels::kAttentionF32, qkv, offsets, heads, head_dim, scale, out);
}

void pool(Context& context, Mat<const float> x, std::span<const int32_t> offsets, Pooling pooling,
          Mat<float> out) {
  check_offsets(offsets, x.rows);
  const auto sequences = static_cast<int64_t>(offsets.size()) - 1;
  SIS_CHECK(same_shape(out, sequences, x.cols), "sequences=", sequences, " cols=", x.cols, " out ",
            out.rows, "x", out.cols);
  for (int64_t s = 0; s < sequences; ++s)
    SIS_CHECK(offsets[s + 1] > offsets[s], "sequence ", s, " has no tokens");

  if (pooling == Pooling::kCls || pooling == Pooling::kLast) {
    for (int64_t s = 0; s < sequences; ++s)
      std::copy_n(x.row(pooling == Pooling::kCls ? offsets[s] : offsets[s + 1] - 1), x.cols,
                  out.row(s));
    return;
  }
  const auto fold_rows = choose(kernels::kFoldRows, context.isa).fn;
  // Items are pieces of 128 columns of one sequence, so that a single long one is split as well.
  constexpr int64_t kColumns = 128;
  const int64_t pieces = (x.cols + kColumns - 1) / kColumns;
  over_rows(context, sequences * pieces, x.rows * x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end;) {
      const int64_t s = item / pieces, piece = item % pieces;
      const int64_t stop = std::min(pieces, piece + end - item);
      const int64_t tokens = offsets[s + 1] - offsets[s];
      kernels::FoldRowsArgs args{.x = x.rows_between(offsets[s], offsets[s + 1]),
                                 .out = out.row(s)};
      switch (pooling) {
        case Pooling::kMax:
          args.fold = kernels::Fold::kMax;
          break;
        case Pooling::kMeanSqrtLen:
          args.factor = 1.0f / std::sqrt(static_cast<float>(tokens));
          break;
        default:
          args.factor = 1.0f / static_cast<float>(tokens);
          break;
      }
      fold_rows(args, piece * kColumns, std::min(x.cols, stop * kColumns));
      item += stop - piece;
    }
  });
}

void l2_normalise(Context& context, Mat<float> x) {
  const auto normalise_rows = choose(kernels::kNormaliseRows, context.isa).fn;
  over_rows(context, x.rows, x.rows * x.cols,
            [&](int64_t begin, int64_t end) { normalise_rows(x, begin, end); });
}

}  // namespace sis::ops
