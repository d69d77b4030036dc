#include "infer/ops/decoder_ops.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "infer/ops/decoder_test_pool.h"

namespace sis {
namespace {

const int kWidths[] = {1,  7,  8,  9,   15,  16,   17,   31,   33,
                       63, 64, 65, 127, 384, 1000, 1024, 1025, 4097};

template <class T>
constexpr double kStep = std::is_same_v<T, float> ? 0x1p-23 : 0x1p-7;
// What the fits of activations may be off.
template <class T>
constexpr double kFit = std::is_same_v<T, float> ? 2e-6 : 1e-5;

// Every level's RMS norm is the formula in double, to a few steps of f32; in place, with the bf16
// copy and without, and added to a stream.
TEST(RmsNorm, Formula) {
  for (const int cols : kWidths)
    for (const float spread : {1.0f, 1e-4f, 1e4f}) {
      Rng rng(kSeed);
      auto x = Guarded<float>::normal(rng, 5, cols, spread);
      auto stream = Guarded<float>::normal(rng, 5, cols);
      std::vector<float> scale;
      for (int c = 0; c < cols; ++c) scale.push_back(static_cast<float>(rng.normal()));
      const float eps = 1e-6f;
      for (const Isa isa : runnable()) {
        Guarded<float> in_place = x, sum = stream, y(5, cols);
        Guarded<bf16> low(5, cols), only_low(5, cols);
        ops::rms_norm(machine(isa), x.mat(), scale, eps, y.mat(), low.mat());
        ops::rms_norm(machine(isa), in_place.mat(), scale, eps, in_place.mat(), {});
        ops::rms_norm(machine(isa), x.mat(), scale, eps, {}, only_low.mat());
        ops::add_rms_norm(machine(isa), x.mat(), scale, eps, sum.mat());
        for (auto* m : {&in_place, &sum, &y}) EXPECT_TRUE(m->guards_intact()) << isa_name(isa);
        for (auto* m : {&low, &only_low}) EXPECT_TRUE(m->guards_intact()) << isa_name(isa);
        for (int r = 0; r < 5; ++r) {
          double squares = 0;
          for (int c = 0; c < cols; ++c) squares += double{x.at(r, c)} * x.at(r, c);
          for (int c = 0; c < cols; ++c) {
            const double want = x.at(r, c) * double{scale[c]} / std::sqrt(squares / cols + eps);
            ASSERT_NEAR(y.at(r, c), want, 1e-6 * std::abs(want) + 1e-30)
                << isa_name(isa) << " cols " << cols << " row " << r;
            ASSERT_EQ(in_place.at(r, c), y.at(r, c)) << isa_name(isa);
            ASSERT_EQ(low.at(r, c).bits, bf16(y.at(r, c)).bits) << isa_name(isa);
            ASSERT_EQ(only_low.at(r, c).bits, low.at(r, c).bits) << isa_name(isa);
            ASSERT_NEAR(sum.at(r, c), stream.at(r, c) + want, 1e-6 * (std::abs(want) + 4))
                << isa_name(isa);
          }
        }
      }
    }
}

// Tables of every float type, the last row at the end of a mapping.
template <class T>
void expect_embedding(DType dtype) {
  const int64_t cols = 37, vocab = 11;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::byte* const memory = static_cast<std::byte*>(
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(mprotect(memory + page, page, PROT_NONE), 0);
  const WeightView table{memory + page - vocab * cols * sizeof(T), dtype, vocab, cols};
  T* const values = reinterpret_cast<T*>(const_cast<void*>(table.data));
  Rng rng(kSeed);
  for (int64_t i = 0; i < vocab * cols; ++i) {
    const T value(static_cast<float>(rng.normal()));
    std::memcpy(values + i, &value, sizeof(T));
  }
  const std::vector<int32_t> ids{10, 0, 3, 10, 9};
  for (const Isa isa : runnable()) {
    Guarded<float> h(5, cols);
    ops::embed_tokens(machine(isa), ids, table, 3.5f, h.mat());
    EXPECT_TRUE(h.guards_intact());
    for (int64_t t = 0; t < 5; ++t)
      for (int64_t c = 0; c < cols; ++c)
        ASSERT_EQ(h.at(t, c), table.at(ids[t], c) * 3.5f) << isa_name(isa) << " row " << t;
  }
  munmap(memory, 2 * page);
}
TEST(EmbedTokens, EveryFloatType) {
  expect_embedding<float>(DType::kF32);
  expect_embedding<bf16>(DType::kBf16);
  expect_embedding<f16>(DType::kF16);
}

// --- rotation into the cache

struct Heads {
  int heads, kv_heads, head_dim, rotated;
  bool norms;
};

std::vector<float> frequencies(int rotated, double base) {
  std::vector<float> f;
  for (int i = 0; i < rotated / 2; ++i)
    f.push_back(static_cast<float>(1 / std::pow(base, 2.0 * i / rotated)));
  return f;
}

// A head by the formula, in double but for the angle, which is a product in f32.
std::vector<double> turn_plainly(std::vector<double> x, const std::vector<float>& norm, float eps,
                                 int position, const std::vector<float>& f, double factor) {
  const size_t half = f.size();
  double squares = 0;
  for (const double v : x) squares += v * v;
  if (!norm.empty())
    for (size_t d = 0; d < x.size(); ++d)
      x[d] *= norm[d] / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  for (size_t i = 0; i < half; ++i) {
    const double angle = static_cast<float>(position) * f[i];
    const double low = x[i], high = x[i + half];
    x[i] = (low * std::cos(angle) - high * std::sin(angle)) * factor;
    x[i + half] = (high * std::cos(angle) + low * std::sin(angle)) * factor;
  }
  return x;
}

// Two sequences, one of them at the far end of long contexts: queries come out rotated in place,
// keys and values in the blocks, everything else in the pool as it was.
template <class T>
void expect_rotation(const Heads& shape, DType cache_dtype, int past) {
  SCOPED_TRACE(testing::Message() << shape.heads << "/" << shape.kv_heads << " heads of "
                                  << shape.head_dim << " rotated " << shape.rotated << " cache "
                                  << dtype_name(cache_dtype) << " past " << past);
  const kernels::KvLayout layout{2, shape.kv_heads, shape.head_dim, cache_dtype};
  const int tokens[] = {37, 1}, pasts[] = {past, 5};
  Rng rng(kSeed);
  const int64_t cols = (shape.heads + 2 * shape.kv_heads) * int64_t{shape.head_dim};
  auto qkv = Guarded<T>::normal(rng, 40, cols);
  std::vector<float> q_norm, k_norm;
  if (shape.norms)
    for (int d = 0; d < shape.head_dim; ++d) {
      q_norm.push_back(1 + 0.3f * static_cast<float>(rng.normal()));
      k_norm.push_back(1 + 0.3f * static_cast<float>(rng.normal()));
    }
  const auto f = frequencies(shape.rotated, 1e4);
  // Only the blocks that new tokens lie in are real.
  std::vector<int32_t> blocks[2];
  for (int s = 0; s < 2; ++s)
    blocks[s].assign(static_cast<size_t>((pasts[s] + tokens[s] + 31) / 32), -1);
  for (int i = 0, last = (past + 36) / 32; last - i >= past / 32; ++i) blocks[0][last - i] = 1 + i;
  blocks[1][0] = 4;
  const ops::KvRows sequences[] = {
      {.blocks = blocks[0].data(), .past = past, .tokens = 37, .row = 1},
      {.blocks = blocks[1].data(), .past = 5, .tokens = 1, .row = 39}};

  for (const Isa isa : runnable()) {
    Pool pool(layout, 5), untouched(layout, 5);
    Guarded<T> got = qkv;
    ops::rotate_and_cache(machine(isa),
                          {.sequences = sequences,
                           .cache = pool.view(),
                           .layer = 1,
                           .heads = shape.heads,
                           .q_norm = q_norm,
                           .k_norm = k_norm,
                           .eps = 1e-6f,
                           .inverse_frequency = f,
                           .rope_factor = 1.25f},
                          got.mat());
    EXPECT_TRUE(got.guards_intact()) << isa_name(isa);
    std::vector<std::vector<char>> written(5, std::vector<char>(32));
    for (int s = 0; s < 2; ++s)
      for (int t = 0; t < tokens[s]; ++t) {
        const int row = sequences[s].row + t, position = pasts[s] + t, j = position % 32;
        const int block = blocks[s][position / 32];
        written[block][j] = 1;
        for (int h = 0; h < shape.heads + 2 * shape.kv_heads; ++h) {
          std::vector<double> x;
          for (int d = 0; d < shape.head_dim; ++d)
            x.push_back(qkv.value(row, h * shape.head_dim + d));
          const bool is_q = h < shape.heads, is_k = !is_q && h < shape.heads + shape.kv_heads;
          if (is_q || is_k) x = turn_plainly(x, is_q ? q_norm : k_norm, 1e-6f, position, f, 1.25);
          double top = 0;
          for (const double v : x) top = std::max(top, std::abs(v));
          for (int d = 0; d < shape.head_dim; ++d) {
            const double have =
                is_q ? got.value(row, h * shape.head_dim + d)
                     : pool.value(is_k, block, 1, (h - shape.heads) % shape.kv_heads, j, d);
            // Half a step of the stored type, and what f32 arithmetic on the way may lose.
            double off = 2e-6 * top;
            if (is_q ? std::is_same_v<T, bf16> : cache_dtype == DType::kBf16)
              off += 0x1p-8 * 1.02 * std::abs(x[d]);
            else if (!is_q && cache_dtype == DType::kI8)
              off += 0.502 * top / 127;
            ASSERT_NEAR(have, x[d], off)
                << isa_name(isa) << " row " << row << " head " << h << " dimension " << d;
          }
        }
      }
    // Elsewhere in the pool nothing changed.
    for (int b = 0; b < 5; ++b)
      for (int j = 0; j < 32; ++j)
        for (int layer = 0; layer < 2; ++layer) {
          if (layer == 1 && written[b][j]) continue;
          for (int h = 0; h < shape.kv_heads; ++h)
            for (int d = 0; d < shape.head_dim; ++d)
              for (const bool key : {false, true})
                ASSERT_EQ(pool.value(key, b, layer, h, j, d),
                          untouched.value(key, b, layer, h, j, d))
                    << isa_name(isa) << " block " << b << " place " << j;
        }
  }
}
TEST(RotateAndCache, Formula) {
  for (const Heads& shape :
       {Heads{2, 1, 64, 64, false}, Heads{3, 3, 16, 16, true}, Heads{2, 1, 72, 72, true},
        Heads{1, 1, 80, 20, false}, Heads{2, 2, 128, 128, true}, Heads{2, 1, 256, 256, true},
        Heads{1, 1, 34, 0, false}, Heads{1, 1, 2, 2, true},
        // Whole lines of bf16, in part or not turned; more than sixteen heads of a kind.
        Heads{20, 20, 64, 64, true}, Heads{6, 2, 96, 64, true}, Heads{2, 1, 96, 96, true},
        Heads{3, 1, 128, 64, false}, Heads{1, 1, 160, 0, true}}) {
    expect_rotation<float>(shape, DType::kF32, 0);
    expect_rotation<float>(shape, DType::kI8, 40);
    // Blocks from the beginning, from either half and from its last place.
    for (const int past : {0, 1, 16, 27, 31}) {
      expect_rotation<bf16>(shape, DType::kBf16, past);
      expect_rotation<bf16>(shape, DType::kI8, past);
    }
  }
  expect_rotation<float>({1, 1, 64, 64, false}, DType::kF32, 131072 - 37);
  expect_rotation<bf16>({4, 1, 128, 128, true}, DType::kBf16, 131072 - 37);
}

// What is not a number stays with its sequence: the cache holds finite values only, because blocks
// are handed on as they are.
TEST(RotateAndCache, NothingInfiniteIsCached) {
  const float kinds[] = {std::numeric_limits<float>::infinity(), std::nanf(""), -3.3895e38f,
                         -std::numeric_limits<float>::infinity()};
  for (const DType dtype : {DType::kBf16, DType::kI8})
    for (const int head_dim : {32, 48, 64, 128})
      for (const bool normed : {false, true})
        for (const int tokens : {4, 32})  // some places of a block and all
          for (const Isa isa : runnable()) {
            Pool pool({1, 1, head_dim, dtype}, 1);
            Guarded<bf16> qkv(tokens, 3 * head_dim);
            for (int t = 0; t < tokens; ++t)
              for (int c = 0; c < 3 * head_dim; ++c) qkv.at(t, c) = bf16(kinds[t % 4]);
            const std::vector<float> norm(normed ? head_dim : 0, 1);
            const auto f = frequencies(normed ? head_dim : 0, 1e4);
            const int32_t block = 0;
            const ops::KvRows rows{.blocks = &block, .past = 0, .tokens = tokens, .row = 0};
            ops::rotate_and_cache(machine(isa),
                                  {.sequences = {&rows, 1},
                                   .cache = pool.view(),
                                   .heads = 1,
                                   .q_norm = norm,
                                   .k_norm = norm,
                                   .inverse_frequency = f},
                                  qkv.mat());
            for (int j = 0; j < tokens; ++j)
              for (int d = 0; d < head_dim; ++d)
                for (const bool key : {false, true})
                  ASSERT_TRUE(std::isfinite(pool.value(key, 0, 0, 0, j, d)))
                      << isa_name(isa) << " " << dtype_name(dtype) << " head_dim " << head_dim
                      << (normed ? " normed" : "") << " place " << j << " of " << tokens;
          }
}

// A row's result, and the bytes it leaves in the cache, do not depend on who else is in the step,
// how the prompt is cut, which blocks it gets or how many workers there are.
template <class T>
void expect_same_rows_in_company(const Heads& shape, DType dtype) {
  SCOPED_TRACE(testing::Message() << shape.heads << "/" << shape.kv_heads << " heads of "
                                  << shape.head_dim << " rotated " << shape.rotated << " cache "
                                  << dtype_name(dtype));
  const int heads = shape.heads, kv_heads = shape.kv_heads, head_dim = shape.head_dim, tokens = 150;
  const kernels::KvLayout layout{1, kv_heads, head_dim, dtype};
  Rng rng(kSeed);
  auto qkv = Guarded<T>::normal(rng, tokens, (heads + 2 * kv_heads) * head_dim);
  const auto f = frequencies(shape.rotated, 1e6);
  std::vector<float> norm;
  for (int d = 0; shape.norms && d < head_dim; ++d)
    norm.push_back(1 + 0.3f * static_cast<float>(rng.normal()));
  const std::vector<int32_t> order{4, 0, 3, 1, 2};
  const std::vector<int> plan[] = {
      {150}, {1, 149}, {33, 31, 86}, {15, 2, 30, 17, 18, 33, 16, 19}, std::vector<int>(150, 1)};
  for (const Isa isa : runnable()) {
    Pool want(layout, 5);
    Guarded<T> want_q = qkv;
    for (size_t p = 0; p < std::size(plan); ++p) {
      Pool got(layout, 5);
      Guarded<T> q = qkv;
      Pool& pool = p == 0 ? want : got;
      Guarded<T>& rows = p == 0 ? want_q : q;
      int past = 0;
      for (const int count : plan[p]) {
        const ops::KvRows s{.blocks = order.data(), .past = past, .tokens = count, .row = 0};
        ops::rotate_and_cache(machine(isa, p % 2 ? 1 : 3),
                              {.sequences = {&s, 1},
                               .cache = pool.view(),
                               .heads = heads,
                               .q_norm = norm,
                               .k_norm = norm,
                               .eps = 1e-5f,
                               .inverse_frequency = f},
                              rows.mat().rows_between(past, past + count));
        past += count;
      }
      if (p == 0) continue;
      for (int t = 0; t < tokens; ++t)
        ASSERT_EQ(std::memcmp(&q.at(t, 0), &want_q.at(t, 0), heads * head_dim * sizeof(T)), 0)
            << isa_name(isa) << " plan " << p << " token " << t;
      ASSERT_EQ(std::memcmp(got.memory().data(), want.memory().data(), want.memory().size()), 0)
          << isa_name(isa) << " plan " << p;
    }
  }
}
TEST(RotateAndCache, CompanyDoesNotChangeABit) {
  for (const Heads& shape :
       {Heads{4, 2, 80, 80, true}, Heads{4, 2, 64, 64, false}, Heads{3, 1, 96, 64, true},
        Heads{20, 20, 64, 64, true}, Heads{6, 3, 128, 128, true}, Heads{2, 1, 128, 64, false},
        Heads{2, 1, 256, 256, true}}) {
    expect_same_rows_in_company<float>(shape, DType::kF32);
    expect_same_rows_in_company<bf16>(shape, DType::kBf16);
    expect_same_rows_in_company<bf16>(shape, DType::kI8);
  }
}

}  // namespace
}  // namespace sis
