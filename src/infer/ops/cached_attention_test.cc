#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "infer/ops/decoder_ops.h"
#include "infer/ops/decoder_test_pool.h"

namespace sis {
namespace {

struct Shape {
  int kv_heads = 1, group = 1, head_dim = 64;
  DType cache = DType::kBf16;
  bool causal = true;
  int window = 0;
  float spread = 1;  // of the queries: large ones make one key win

  int heads() const { return kv_heads * group; }
  int64_t qkv_cols() const { return (heads() + 2 * kv_heads) * int64_t{head_dim}; }
};
std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.kv_heads << "x" << s.group << " heads of " << s.head_dim << ", cache "
             << dtype_name(s.cache) << (s.causal ? "" : ", both ways") << ", window " << s.window
             << ", spread " << s.spread;
}

// A sequence's queries, keys and values, and the blocks it lies in.
template <class T>
struct Sequence {
  Guarded<T> qkv;
  std::vector<int32_t> blocks;
  int tokens;

  Sequence(const Shape& shape, uint64_t seed, int tokens)
      : qkv(tokens, shape.qkv_cols()), tokens(tokens) {
    Rng rng(seed);
    for (int t = 0; t < tokens; ++t)
      for (int64_t c = 0; c < shape.qkv_cols(); ++c)
        qkv.at(t, c) = T((c < shape.heads() * shape.head_dim ? shape.spread : 1) *
                         static_cast<float>(rng.normal()));
  }
  int blocks_wanted() const { return (tokens + 31) / 32; }
};

// Puts tokens [past, past + count) into the cache and attends; rows go to out. Queries are as they
// are: neither norm nor rotation.
template <class T>
struct Piece {
  const Sequence<T>* sequence;
  int past, count;
  Guarded<T>* out;
};
template <class T>
void step(ops::Context& context, const Shape& shape, Pool& pool,
          const std::vector<Piece<T>>& pieces) {
  int64_t rows = 0;
  std::vector<ops::KvRows> sequences;
  for (const auto& p : pieces) {
    sequences.push_back({p.sequence->blocks.data(), p.past, p.count, static_cast<int32_t>(rows)});
    rows += p.count;
  }
  const int64_t width = int64_t{shape.heads()} * shape.head_dim;
  Guarded<T> qkv(rows, shape.qkv_cols()), out(rows, width);
  for (size_t i = 0; i < pieces.size(); ++i)
    for (int t = 0; t < pieces[i].count; ++t)
      for (int64_t c = 0; c < shape.qkv_cols(); ++c)
        qkv.at(sequences[i].row + t, c) =
            const_cast<Sequence<T>*>(pieces[i].sequence)->qkv.at(pieces[i].past + t, c);
  ops::rotate_and_cache(
      context, {.sequences = sequences, .cache = pool.view(), .heads = shape.heads()}, qkv.mat());
  ops::cached_attention(context,
                        {.sequences = sequences,
                         .cache = pool.view(),
                         .heads = shape.heads(),
                         .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim)),
                         .causal = shape.causal,
                         .window = shape.window},
                        qkv.mat(), out.mat());
  ASSERT_TRUE(out.guards_intact());
  for (size_t i = 0; i < pieces.size(); ++i)
    for (int t = 0; t < pieces[i].count; ++t)
      for (int64_t c = 0; c < width; ++c)
        pieces[i].out->at(pieces[i].past + t, c) = out.at(sequences[i].row + t, c);
}

kernels::KvLayout layout_of(const Shape& shape) {
  return {1, shape.kv_heads, shape.head_dim, shape.cache};
}
std::vector<int32_t> shuffled(Rng& rng, int count) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

// Rows [from, tokens) against the definition in double, on the keys and values as the cache holds
// them.
template <class T>
void expect_rows(Isa isa, const Shape& shape, Pool& pool, Sequence<T>& s, Guarded<T>& got,
                 int from) {
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  // bf16: the weights and the result are rounded. f32: scores of size spread carry errors of that
  // size times 2^-23.
  const double off = std::is_same_v<T, bf16> ? 0.016 : 1e-5 + 3e-6 * shape.spread;
  for (int h = 0; h < shape.kv_heads; ++h) {
    std::vector<float> keys, values;
    for (int j = 0; j < s.tokens; ++j)
      for (int d = 0; d < shape.head_dim; ++d) {
        keys.push_back(pool.value(true, s.blocks[j / 32], 0, h, j % 32, d));
        values.push_back(pool.value(false, s.blocks[j / 32], 0, h, j % 32, d));
      }
    for (int i = from; i < s.tokens; ++i)
      for (int g = 0; g < shape.group; ++g) {
        const int64_t column = (int64_t{h} * shape.group + g) * shape.head_dim;
        std::vector<double> weight(static_cast<size_t>(s.tokens)),
            sum(static_cast<size_t>(shape.head_dim));
        int begin = 0, end = shape.causal ? i + 1 : s.tokens;
        if (shape.window > 0) {
          begin = std::max(0, i - shape.window + 1);
          end = std::min(end, i + shape.window);
        }
        double top = -std::numeric_limits<double>::infinity(), total = 0;
        for (int j = begin; j < end; ++j) {
          double dot = 0;
          for (int d = 0; d < shape.head_dim; ++d)
            dot += double{s.qkv.value(i, column + d)} * keys[j * shape.head_dim + d];
          weight[j] = dot * scale;
          top = std::max(top, weight[j]);
        }
        for (int j = begin; j < end; ++j) {
          const double w = std::exp(weight[j] - top);
          total += w;
          for (int d = 0; d < shape.head_dim; ++d) sum[d] += w * values[j * shape.head_dim + d];
        }
        for (int d = 0; d < shape.head_dim; ++d)
          ASSERT_NEAR(got.value(i, column + d), sum[d] / total, off)
              << isa_name(isa) << " token " << i << " head " << h << "." << g << " dim " << d;
      }
  }
}

// A prompt after a given past, on every level.
template <class T>
void expect_attention(const Shape& shape, int past, int count) {
  SCOPED_TRACE(testing::Message() << shape << ", past " << past << " and " << count);
  Sequence<T> s(shape, kSeed, past + count);
  Rng rng(kSeed);
  s.blocks = shuffled(rng, s.blocks_wanted() + 2);
  for (const Isa isa : runnable()) {
    Pool pool(layout_of(shape), s.blocks_wanted() + 2);
    Guarded<T> out(s.tokens, int64_t{shape.heads()} * shape.head_dim);
    if (past > 0) step<T>(machine(isa), shape, pool, {{&s, 0, past, &out}});
    step<T>(machine(isa), shape, pool, {{&s, past, count, &out}});
    expect_rows(isa, shape, pool, s, out, past);
  }
}

TEST(CachedAttention, HeadWidthsAndGroups) {
  for (const int head_dim : {2, 16, 34, 64, 72, 80, 96, 128, 256})
    for (const int group : {1, 3, 4, 8}) {
      const int kv_heads = group == 1 ? 2 : 1;
      expect_attention<bf16>({kv_heads, group, head_dim, DType::kBf16}, 45, 9);
      expect_attention<bf16>({kv_heads, group, head_dim, DType::kI8}, 70, 1);
      expect_attention<float>({kv_heads, group, head_dim, DType::kF32}, 33, 2);
      expect_attention<float>({kv_heads, group, head_dim, DType::kI8}, 0, 40);
    }
}

TEST(CachedAttention, LengthsAroundBlocks) {
  for (const int past : {0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 96, 127, 128, 200})
    for (const int count : {1, 2, 17, 32, 67}) {
      expect_attention<bf16>({1, 2, 64, DType::kBf16}, past, count);
      expect_attention<bf16>({1, 3, 32, DType::kI8}, past, count);
      expect_attention<float>({1, 2, 32, DType::kF32}, past, count);
    }
}

}  // namespace
}  // namespace sis
