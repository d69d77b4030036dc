#include "infer/ops/decoder_ops.h"

#include <algorithm>

#include "base/check.h"
#include "infer/kernels/decoder_rows.h"
#include "infer/ops/kv_rows.h"
#include "infer/ops/over_rows.h"

namespace sis::ops {
namespace {

template <class T>
bool is_shape(const Mat<T>& m, int64_t rows, int64_t cols) {
  return m.rows == rows && m.cols == cols && m.stride >= cols;
}

void norm_rows(Context& context, const kernels::RmsNormArgs& args, size_t scales) {
  const Mat<const float>& x = args.x;
  SIS_CHECK(static_cast<int64_t>(scales) == x.cols, "cols=", x.cols, " scale=", scales);
  SIS_CHECK((!args.y.data || is_shape(args.y, x.rows, x.cols)) &&
                (!args.low.data || is_shape(args.low, x.rows, x.cols)),
            "x ", x.rows, "x", x.cols, " y ", args.y.rows, "x", args.y.cols, " low ", args.low.rows,
            "x", args.low.cols);
  const auto norm = choose(kernels::kRmsNorm, context.isa).fn;
  over_rows(context, x.rows, x.rows * x.cols,
            [&](int64_t begin, int64_t end) { norm(args, begin, end); });
}

template <class T>
void rotate(Context& context, const RotaryArgs& args, Mat<T> qkv) {
  const kernels::KvLayer cache = kv_layer(args.cache, args.layer);
  const int64_t rotated = 2 * static_cast<int64_t>(args.inverse_frequency.size());
  const auto norm_fits = [&](std::span<const float> norm) {
    return norm.empty() || static_cast<int64_t>(norm.size()) == cache.head_dim;
  };
  check_sequences<T>(args.sequences, cache, args.heads, qkv.rows);
  SIS_CHECK(qkv.cols == (int64_t{args.heads} + 2 * cache.kv_heads) * cache.head_dim &&
                qkv.stride >= qkv.cols,
            "qkv ", qkv.rows, "x", qkv.cols, " heads=", args.heads, " kv_heads=", cache.kv_heads,
            " head_dim=", cache.head_dim);
  SIS_CHECK(rotated <= cache.head_dim && norm_fits(args.q_norm) && norm_fits(args.k_norm),
            "head_dim=", cache.head_dim, " rotated=", rotated, " q_norm=", args.q_norm.size(),
            " k_norm=", args.k_norm.size());

  constexpr int64_t kBlock = kernels::kKvBlockTokens;
  int64_t total = 0, blocks = 0;
  for (const KvRows& s : args.sequences) {
    total += s.tokens;
    blocks += (int64_t{s.past} + s.tokens - 1) / kBlock - s.past / kBlock + 1;
  }
  const auto kernel = choose(kernels::kRotate<T>, context.isa).fn;
  // Rows [from, to) of all sequences in a row, cut where a block of the cache begins: the keys of
  // one block lie in the same lines.
  const auto part = [&](int64_t from, int64_t to) {
    int64_t at = 0;
    for (const KvRows& s : args.sequences) {
      const auto cut = [&](int64_t row) {
        if (row <= at) return int64_t{0};
        const int64_t position = s.past + row - at;
        return std::min<int64_t>(s.tokens, (position + kBlock - 1) / kBlock * kBlock - s.past);
      };
      const int64_t begin = cut(from), end = cut(to);
      at += s.tokens;
      if (begin >= end) continue;
      kernel({.qkv = qkv.row(s.row),
              .stride = qkv.stride,
              .position = s.past,
              .blocks = s.blocks,
              .cache = cache,
              .heads = args.heads,
              .q_norm = args.q_norm.empty() ? nullptr : args.q_norm.data(),
              .k_norm = args.k_norm.empty() ? nullptr : args.k_norm.data(),
              .eps = args.eps,
              .inverse_frequency = args.inverse_frequency.data(),
              .frequencies = static_cast<int32_t>(rotated / 2),
              .rope_factor = args.rope_factor},
             begin, end);
    }
  };
  if (total * qkv.cols <= kElementsAlone || blocks == 1 || context.team.workers() == 1)
    part(0, total);
  else
    context.team.run([&](int worker, int workers) {
      part(total * worker / workers, total * (worker + 1) / workers);
    });
}

}  // namespace

void embed_tokens(Context& context, std::span<const int32_t> ids, WeightView table, float factor,
                  Mat<float> h) {
  const auto tokens = static_cast<int64_t>(ids.size());
  SIS_CHECK(is_shape(h, tokens, table.cols), "ids=", tokens, " table ", table.rows, "x", table.cols,
            " h ", h.rows, "x", h.cols);
  SIS_CHECK(table.dtype == DType::kF32 || table.dtype == DType::kBf16 || table.dtype == DType::kF16,
            "table of ", dtype_name(table.dtype));
  for (int64_t t = 0; t < tokens; ++t)
    SIS_CHECK(ids[t] >= 0 && ids[t] < table.rows, "token ", t, ": id ", ids[t], " of ", table.rows);
  const kernels::EmbedTokensArgs args{ids.data(), table, factor, h};
  const auto embed = choose(kernels::kEmbedTokens, context.isa).fn;
  over_rows(context, tokens, tokens * h.cols,
            [&](int64_t begin, int64_t end) { embed(args, begin, end); });
}

void rms_norm(Context& context, Mat<const float> x, std::span<const float> scale, float eps,
              Mat<float> y, Mat<bf16> low) {
  norm_rows(context, {x, scale.data(), eps, y, low, false}, scale.size());
}
void add_rms_norm(Context& context, Mat<const float> x, std::span<const float> scale, float eps,
                  Mat<float> h) {
  SIS_CHECK(is_shape(h, x.rows, x.cols), "x ", x.rows, "x", x.cols, " h ", h.rows, "x", h.cols);
  norm_rows(context, {x, scale.data(), eps, h, {}, true}, scale.size());
}

void rotate_and_cache(Context& context, const RotaryArgs& args, Mat<float> qkv) {
  rotate(context, args, qkv);
}
void rotate_and_cache(Context& context, const RotaryArgs& args, Mat<bf16> qkv) {
  rotate(context, args, qkv);
}

}  // namespace sis::ops
