#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

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
  float size = 1;    // of keys and values

  int heads() const { return kv_heads * group; }
  int64_t qkv_cols() const { return (heads() + 2 * kv_heads) * int64_t{head_dim}; }
};
std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.kv_heads << "x" << s.group << " heads of " << s.head_dim << ", cache "
             << dtype_name(s.cache) << (s.causal ? "" : ", both ways") << ", window " << s.window
             << ", spread " << s.spread << ", size " << s.size;
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
        qkv.at(t, c) = T((c < shape.heads() * shape.head_dim ? shape.spread : shape.size) *
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

// Windows shorter and longer than blocks, steps and spans; and attention both ways, where every
// token sees all that the step brings.
TEST(CachedAttention, WindowsAndBothWays) {
  for (const int window : {0, 1, 2, 31, 33, 64, 100})
    for (const bool causal : {true, false}) {
      expect_attention<bf16>({1, 2, 32, DType::kBf16, causal, window}, 150, 70);
      expect_attention<bf16>({1, 1, 16, DType::kI8, causal, window}, 0, 97);
      expect_attention<float>({2, 1, 16, DType::kF32, causal, window}, 130, 3);
    }
}

// More keys than a span, more rows than a call: partial results are merged.
TEST(CachedAttention, SeveralSpans) {
  expect_attention<bf16>({1, 4, 64, DType::kBf16}, 2100, 2);
  expect_attention<bf16>({1, 8, 32, DType::kI8}, 1000, 120);
  expect_attention<bf16>({1, 1, 32, DType::kI8}, 1020, 20);
  expect_attention<float>({1, 2, 16, DType::kF32}, 1000, 60);
  expect_attention<bf16>({1, 2, 32, DType::kBf16, true, 1030}, 2050, 40);
  expect_attention<bf16>({1, 2, 32, DType::kI8, false, 700}, 1000, 40);
}

// Scores in the hundreds leave one winner per row, wherever it lies.
TEST(CachedAttention, LargeScores) {
  for (const float spread : {4.0f, 20.0f}) {
    expect_attention<float>({1, 2, 64, DType::kF32, true, 0, spread}, 600, 20);
    expect_attention<float>({1, 1, 64, DType::kI8, true, 0, spread}, 100, 20);
    expect_attention<bf16>({1, 2, 64, DType::kBf16, true, 0, spread}, 600, 20);
  }
}
TEST(CachedAttention, EnormousScores) {
  for (const float spread : {3e4f, 3e18f, 1e36f})
    for (const Isa isa : runnable()) {
      const Shape shape{1, 2, 64, DType::kBf16, true, 0, spread};
      Sequence<bf16> s(shape, kSeed, 200);
      s.blocks = {0, 1, 2, 3, 4, 5, 6};
      Pool pool(layout_of(shape), 7);
      Guarded<bf16> out(200, 128);
      step<bf16>(machine(isa), shape, pool, {{&s, 0, 200, &out}});
      for (int t = 0; t < 200; ++t)
        for (int c = 0; c < 128; ++c)
          ASSERT_LE(std::abs(out.value(t, c)), 6.0f) << isa_name(isa) << " token " << t;
    }
}

std::vector<Isa> fast_levels() {
  auto levels = runnable();
  if (levels.size() > 1) levels.erase(levels.begin());
  return levels;
}

// A row is the same bits in one chunk, in several and token by token, in whichever blocks, with one
// worker and with several (which split long contexts among them).
template <class T>
void expect_same_in_chunks(const Shape& shape, int tokens, const std::vector<Isa>& levels) {
  SCOPED_TRACE(testing::Message() << shape << ", " << tokens << " tokens");
  Sequence<T> s(shape, kSeed, tokens);
  const int64_t width = int64_t{shape.heads()} * shape.head_dim;
  for (const Isa isa : levels) {
    Guarded<T> want(tokens, width);
    Rng rng(kSeed);
    for (const int chunk : {tokens, 50, 33, 128, 1}) {
      const int blocks = s.blocks_wanted() + 3;
      s.blocks = shuffled(rng, blocks);
      Pool pool(layout_of(shape), blocks);
      Guarded<T> got(tokens, width);
      for (int past = 0, turn = 0; past < tokens; past += chunk, ++turn)
        step<T>(machine(isa, chunk > 1 || turn % 32 == 31 ? 1 + turn % 3 : 1), shape, pool,
                {{&s, past, std::min(chunk, tokens - past), &got}});
      if (chunk == tokens) {
        want = got;
        continue;
      }
      for (int t = 0; t < tokens; ++t)
        ASSERT_TRUE(got.same_row(t, want, t))
            << isa_name(isa) << " chunks of " << chunk << " token " << t;
    }
  }
}
TEST(CachedAttention, ChunksDoNotChangeABit) {
  expect_same_in_chunks<bf16>({1, 1, 32, DType::kBf16}, 70, {Isa::kRef});
  for (const int window : {0, 45, 600}) {
    expect_same_in_chunks<bf16>({1, 4, 32, DType::kBf16, true, window}, 300, fast_levels());
    expect_same_in_chunks<bf16>({2, 3, 72, DType::kI8, true, window}, 200, fast_levels());
    expect_same_in_chunks<float>({2, 1, 16, DType::kF32, true, window}, 150, fast_levels());
    expect_same_in_chunks<float>({1, 3, 34, DType::kI8, true, window}, 90, fast_levels());
  }
  expect_same_in_chunks<bf16>({1, 8, 128, DType::kBf16, true, 0, 3}, 200, fast_levels());
  expect_same_in_chunks<bf16>({1, 2, 32, DType::kBf16}, 1100, {detect_isa()});
  expect_same_in_chunks<bf16>({1, 1, 64, DType::kI8}, 1100, {detect_isa()});
}

// Also where numbers are so large or so small that some way of multiplying them must give up.
TEST(CachedAttention, ChunksDoNotChangeABitOfExtremes) {
  const std::pair<float, float> sizes[] = {{1e-38f, 1}, {1e-30f, 1e-36f}, {1, 1e-37f},
                                           {6e6f, 1},   {1e8f, 1e5f},     {1, 5e5f},
                                           {1, 1e9f},   {1e30f, 1},       {1e-20f, 1e30f}};
  for (const auto& [spread, size] : sizes)
    expect_same_in_chunks<bf16>({1, 4, 64, DType::kI8, true, 0, spread, size}, 140, fast_levels());
}

// The same beside sixteen other sequences, some at their prompts and some further on.
template <class T>
void expect_same_in_company(const Shape& shape, const std::vector<Isa>& levels) {
  SCOPED_TRACE(testing::Message() << shape);
  const int64_t width = int64_t{shape.heads()} * shape.head_dim;
  std::vector<Sequence<T>> all;
  std::vector<int> pasts;
  int blocks = 0;
  for (int i = 0; i < 17; ++i) {
    const int tokens = i == 5 ? 1300 : 1 + i * 37 % 200;
    pasts.push_back(i % 4 == 3 ? 0 : i % 4 == 2 ? tokens / 2 : tokens - 1);
    all.emplace_back(shape, kSeed + static_cast<uint64_t>(i), tokens);
    for (int b = 0; b < all.back().blocks_wanted(); ++b) all.back().blocks.push_back(blocks++);
  }
  for (const Isa isa : levels)
    for (const int workers : {1, 2, 3}) {
      Pool pool(layout_of(shape), blocks);
      std::vector<Guarded<T>> alone, together;
      std::vector<Piece<T>> pieces;
      for (auto& s : all) {
        alone.emplace_back(s.tokens, width);
        together.emplace_back(s.tokens, width);
      }
      for (size_t i = 0; i < all.size(); ++i) {
        const int count = all[i].tokens - pasts[i];
        if (pasts[i] > 0) step<T>(machine(isa), shape, pool, {{&all[i], 0, pasts[i], &alone[i]}});
        step<T>(machine(isa, 1), shape, pool, {{&all[i], pasts[i], count, &alone[i]}});
        pieces.push_back({&all[i], pasts[i], count, &together[i]});
      }
      step<T>(machine(isa, workers), shape, pool, pieces);
      for (size_t i = 0; i < all.size(); ++i)
        for (int t = pasts[i]; t < all[i].tokens; ++t)
          ASSERT_TRUE(together[i].same_row(t, alone[i], t))
              << isa_name(isa) << " workers " << workers << " sequence " << i << " token " << t;
    }
}
TEST(CachedAttention, CompanyDoesNotChangeABit) {
  expect_same_in_company<bf16>({1, 4, 64, DType::kBf16}, fast_levels());
  expect_same_in_company<bf16>({2, 2, 40, DType::kI8, true, 300}, fast_levels());
  expect_same_in_company<bf16>({1, 2, 32, DType::kBf16, false}, fast_levels());
  expect_same_in_company<float>({1, 2, 32, DType::kF32}, fast_levels());
}

// Rows of q and out that end where a mapping ends, a pool that does, and blocks before the window
// that are gone: none of it is touched.
TEST(CachedAttention, NothingIsReadBeyondItsEnd) {
  const Shape shape{1, 3, 40, DType::kBf16, true, 20};
  const kernels::KvLayout layout = layout_of(shape);
  const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  const auto map_before_nothing = [&](int64_t bytes) {
    const int64_t room = (bytes + page - 1) / page * page;
    auto* const memory =
        static_cast<std::byte*>(mmap(nullptr, static_cast<size_t>(room + page),
                                     PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(memory, MAP_FAILED);
    EXPECT_EQ(mprotect(memory + room, static_cast<size_t>(page), PROT_NONE), 0);
    return memory + room - bytes;
  };
  std::byte* const pool = map_before_nothing(2 * layout.block_bytes());
  bf16* const q = reinterpret_cast<bf16*>(map_before_nothing(2 * shape.qkv_cols() * 2));
  bf16* const out = reinterpret_cast<bf16*>(map_before_nothing(2 * 120 * 2));
  const int32_t gone = 1 << 24;
  const int32_t blocks[] = {gone, -gone, 0, 1}, gone_but_last[] = {gone, -gone, gone, 1};
  for (const Isa isa : runnable()) {
    for (const int past : {96, 126}) {
      const ops::KvRows rows{
          .blocks = past == 96 ? blocks : gone_but_last, .past = past, .tokens = 2, .row = 0};
      for (int i = 0; i < 2 * shape.qkv_cols(); ++i) q[i] = bf16(1.0f + static_cast<float>(i % 3));
      ops::KvView view{pool, layout};
      ops::rotate_and_cache(machine(isa), {.sequences = {&rows, 1}, .cache = view, .heads = 3},
                            Mat<bf16>(q, 2, shape.qkv_cols()));
      ops::cached_attention(
          machine(isa),
          {.sequences = {&rows, 1}, .cache = view, .heads = 3, .scale = 0.1f, .window = 20},
          Mat<const bf16>(q, 2, shape.qkv_cols()), Mat<bf16>(out, 2, 120));
      for (int i = 0; i < 240; ++i) EXPECT_TRUE(std::isfinite(to_float(out[i]))) << isa_name(isa);
    }
  }
}

// A sequence whose numbers ran over leaves its blocks to others, who must not notice.
TEST(CachedAttention, BlocksOfRuinedSequencesServeOthers) {
  for (const DType dtype : {DType::kBf16, DType::kI8})
    for (const Isa isa : runnable()) {
      const Shape shape{1, 2, 32, dtype};
      Sequence<bf16> ruined(shape, kSeed, 64), s(shape, kSeed + 1, 40);
      ruined.blocks = s.blocks = {0, 1};
      for (int t = 0; t < 64; ++t)
        for (int64_t c = 0; c < shape.qkv_cols(); ++c)
          ruined.qkv.at(t, c) = bf16(c % 2 ? std::nanf("") : INFINITY);
      Guarded<bf16> want(40, 64), got(40, 64), scrap(64, 64);
      Pool clean(layout_of(shape), 2), used(layout_of(shape), 2);
      step<bf16>(machine(isa), shape, clean, {{&s, 0, 40, &want}});
      step<bf16>(machine(isa), shape, used, {{&ruined, 0, 64, &scrap}});
      step<bf16>(machine(isa), shape, used, {{&s, 0, 40, &got}});
      for (int t = 0; t < 40; ++t) ASSERT_TRUE(got.same_row(t, want, t)) << isa_name(isa);
    }
}

TEST(CachedAttention, NoSequences) {
  const Shape shape{};
  Pool pool(layout_of(shape), 1);
  Guarded<bf16> q(0, 64), out(0, 64);
  ops::cached_attention(machine(detect_isa()), {.cache = pool.view(), .heads = 1}, q.mat(),
                        out.mat());
}

}  // namespace
}  // namespace sis
