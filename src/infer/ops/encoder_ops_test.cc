#include "infer/ops/encoder_ops.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "infer/kernels/attention.h"
#include "infer/kernels/rowwise.h"
#include "infer/ops/ops_test_parts.h"

namespace sis {
namespace {

constexpr uint64_t kSeed = 20240611;

std::vector<int32_t> offsets_of(const std::vector<int>& lengths) {
  std::vector<int32_t> offsets{0};
  for (const int n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}

template <class T>
constexpr float kTolerance = std::is_same_v<T, float> ? 2e-5f : 1.6e-2f;

// Attention in double precision, straight from the definition. Of long sequences only some rows are
// done (about a hundred and the last); the others are NaN.
template <class T>
std::vector<double> attend_plainly(Mat<const T> qkv, const std::vector<int32_t>& offsets, int heads,
                                   int head_dim, double scale) {
  const int64_t width = int64_t{heads} * head_dim;
  std::vector<double> out(static_cast<size_t>(qkv.rows * width), std::nan(""));
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t begin = offsets[s], tokens = offsets[s + 1] - begin;
    const int64_t step = tokens <= 150 ? 1 : std::max<int64_t>(7, tokens / 100);
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < tokens; ++i) {
        if (i % step != 0 && i + 1 != tokens) continue;
        std::vector<double> p, sum(static_cast<size_t>(head_dim));
        const T* const q = qkv.row(begin + i) + h * head_dim;
        double top = -std::numeric_limits<double>::infinity(), total = 0;
        for (int64_t j = 0; j < tokens; ++j) {
          const T* const k = qkv.row(begin + j) + width + h * head_dim;
          double dot = 0;
          for (int c = 0; c < head_dim; ++c) dot += double{to_float(q[c])} * to_float(k[c]);
          p.push_back(dot * scale);
          top = std::max(top, p.back());
        }
        for (int64_t j = 0; j < tokens; ++j) {
          const T* const v = qkv.row(begin + j) + 2 * width + h * head_dim;
          const double weight = std::exp(p[static_cast<size_t>(j)] - top);
          total += weight;
          for (int c = 0; c < head_dim; ++c) sum[static_cast<size_t>(c)] += weight * to_float(v[c]);
        }
        for (int c = 0; c < head_dim; ++c)
          out[static_cast<size_t>((begin + i) * width + h * head_dim + c)] =
              sum[static_cast<size_t>(c)] / total;
      }
  }
  return out;
}

// The levels worth running on sequences so long that the plain variant would take seconds.
std::vector<Isa> fast_levels() {
  auto levels = runnable();
  if (levels.size() > 1) levels.erase(levels.begin());
  return levels;
}

template <class T>
void expect_attention(const std::vector<int>& lengths, int heads, int head_dim, float spread) {
  SCOPED_TRACE(testing::Message() << "heads " << heads << " head_dim " << head_dim << " spread "
                                  << spread << " first length " << lengths[0] << " seed " << kSeed);
  Rng rng(kSeed);
  const auto offsets = offsets_of(lengths);
  const int64_t width = int64_t{heads} * head_dim;
  auto qkv = Guarded<T>::normal(rng, offsets.back(), 3 * width, spread);
  // Values stay of ordinary size, whatever the scores are.
  for (int64_t r = 0; r < offsets.back(); ++r)
    for (int64_t c = 2 * width; c < 3 * width; ++c)
      qkv.at(r, c) = T(static_cast<float>(rng.normal()));
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  const auto want = attend_plainly<T>(qkv.mat(), offsets, heads, head_dim, scale);
  for (const Isa isa : offsets.back() > 1000 ? fast_levels() : runnable()) {
    ops::Context& context = machine(isa);
    Guarded<T> got(offsets.back(), width);
    ops::attention(context, qkv.mat(), offsets, heads, head_dim, scale, got.mat());
    EXPECT_TRUE(got.guards_intact()) << isa_name(isa);
    double worst = 0;
    for (int64_t r = 0; r < offsets.back(); ++r)
      for (int64_t c = 0; c < width; ++c) {
        ASSERT_TRUE(std::isfinite(got.value(r, c)))
            << isa_name(isa) << " row " << r << " col " << c;
        const double wanted = want[static_cast<size_t>(r * width + c)];
        if (!std::isnan(wanted)) worst = std::max(worst, std::abs(got.value(r, c) - wanted));
      }
    // Scores of about spread^2 have rounding errors of that size times 2^-23, and those are
    // exponents.
    EXPECT_LT(worst, kTolerance<T> + 2e-6f * spread * spread) << isa_name(isa);
  }
}

// Every variant agrees with the definition at lengths around query blocks, spans and key blocks.
TEST(Attention, LengthsAroundBlockSizes) {
  expect_attention<bf16>({1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129}, 2, 64, 1);
  expect_attention<float>({1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129}, 2, 64, 1);
  expect_attention<bf16>({511, 512, 513, 577, 1, 1100}, 1, 64, 1);
  expect_attention<float>({511, 512, 513, 577, 1, 1100}, 1, 64, 1);
  expect_attention<bf16>({255, 256, 257, 300}, 1, 128, 1);
}

// Odd head widths and counts.
TEST(Attention, HeadWidths) {
  for (const int head_dim : {1,  2,  7,  8,  15,  16,  17,  31,  32,  33,  48,
                             63, 65, 80, 96, 100, 127, 128, 129, 200, 255, 256}) {
    expect_attention<bf16>({33, 1, 70}, head_dim < 64 ? 3 : 1, head_dim, 1);
    expect_attention<float>({33, 1, 70}, head_dim < 64 ? 3 : 1, head_dim, 1);
  }
}

// A group of query blocks, and several of them, share packed keys: more queries than one group
// holds.
TEST(Attention, MoreQueriesThanAGroup) { expect_attention<bf16>({1500}, 1, 32, 1); }

// Scores in the thousands leave one winner per row; no exponential may overflow or vanish
// altogether. With spread 6 the maximum keeps rising between spans, so that earlier sums have to
// shrink.
TEST(Attention, LargeScores) {
  for (const float spread : {3.0f, 6.0f, 30.0f, 3000.0f}) {
    expect_attention<float>({1, 40, 200, 600}, 2, 64, spread);
    if (spread <= 6) expect_attention<bf16>({1, 40, 200, 600}, 2, 64, spread);
  }
}
TEST(Attention, EveryVariantSurvivesEnormousScores) {
  for (const float spread : {30.0f, 3e4f, 3e8f}) {
    Rng rng(kSeed);
    const auto offsets = offsets_of({1, 100, 700});
    auto qkv = Guarded<bf16>::normal(rng, offsets.back(), 3 * 64, spread);
    for (int64_t r = 0; r < offsets.back(); ++r)
      for (int64_t c = 128; c < 192; ++c) qkv.at(r, c) = bf16(static_cast<float>(r % 7) - 3);
    for (const Isa isa : runnable()) {
      ops::Context& context = machine(isa);
      Guarded<bf16> got(offsets.back(), 64);
      ops::attention(context, qkv.mat(), offsets, 1, 64, 1.0f, got.mat());
      for (int64_t r = 0; r < offsets.back(); ++r)
        for (int64_t c = 0; c < 64; ++c)
          ASSERT_LE(std::abs(got.value(r, c)), 3.01f) << isa_name(isa) << " row " << r;
    }
  }
}

// Quiet keys first and loud ones later, or the other way round: sums taken without a maximum must
// go on with one, and later quiet keys must not be weighed as if nothing had been found before.
TEST(Attention, LoudnessChangesAlongTheSequence) {
  const int tokens = 1100, head_dim = 64;
  const auto offsets = offsets_of({tokens});
  for (const bool loud_first : {false, true}) {
    Rng rng(kSeed);
    auto qkv = Guarded<bf16>::normal(rng, tokens, 3 * head_dim);
    for (int r = 0; r < tokens; ++r)
      for (int c = head_dim; c < 2 * head_dim; ++c)
        qkv.at(r, c) = bf16(qkv.value(r, c) * ((r < 512) == loud_first ? 12.0f : 0.2f));
    const auto want = attend_plainly<bf16>(qkv.mat(), offsets, 1, head_dim, 0.125);
    for (const Isa isa : fast_levels()) {
      Guarded<bf16> got(tokens, head_dim);
      ops::attention(machine(isa), qkv.mat(), offsets, 1, head_dim, 0.125f, got.mat());
      for (int64_t r = 0; r < tokens; ++r)
        for (int64_t c = 0; c < head_dim; ++c) {
          const double wanted = want[static_cast<size_t>(r * head_dim + c)];
          if (std::isnan(wanted)) continue;
          ASSERT_NEAR(got.value(r, c), wanted, 0.025)
              << isa_name(isa) << " loud_first " << loud_first << " row " << r;
        }
    }
  }
}

// Equal scores mean the plain average, whether they are zero or far from it.
TEST(Attention, EqualScoresAverage) {
  for (const float level : {0.0f, 1.0f, 16.0f, -16.0f}) {
    for (const int tokens : {1, 31, 64, 333}) {
      Guarded<bf16> qkv(tokens, 3 * 32);
      for (int64_t r = 0; r < tokens; ++r)
        for (int64_t c = 0; c < 32; ++c) {
          qkv.at(r, c) = bf16(level);
          qkv.at(r, 32 + c) = bf16(16.0f);
          qkv.at(r, 64 + c) = bf16(static_cast<float>(r % 2 + c));
        }
      const double odd = (tokens / 2) / static_cast<double>(tokens);
      for (const Isa isa : runnable()) {
        ops::Context& context = machine(isa);
        Guarded<bf16> got(tokens, 32);
        ops::attention(context, qkv.mat(), offsets_of({tokens}), 1, 32, 1.0f, got.mat());
        for (int64_t r = 0; r < tokens; ++r)
          for (int64_t c = 0; c < 32; ++c)
            ASSERT_NEAR(got.value(r, c), c + odd, 0.004 * (c + 1))
                << isa_name(isa) << " level " << level;
      }
    }
  }
}

// A sequence's result is the same bits alone and among others, with one worker and with several.
template <class T>
void expect_same_alone(int heads, int head_dim, float spread) {
  Rng rng(kSeed + 1);
  const std::vector<int> lengths{5, 640, 1, 33, 64, 200, 16, 1030, 3};
  const auto offsets = offsets_of(lengths);
  const int64_t width = int64_t{heads} * head_dim;
  auto qkv = Guarded<T>::normal(rng, offsets.back(), 3 * width, spread);
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  for (const Isa isa : fast_levels()) {
    ops::Context& many = machine(isa, 3);
    ops::Context& one = machine(isa, 1);
    Guarded<T> together(offsets.back(), width), alone(offsets.back(), width);
    ops::attention(many, qkv.mat(), offsets, heads, head_dim, scale, together.mat());
    for (size_t s = 0; s < lengths.size(); ++s) {
      const Mat<const T> part = qkv.mat().rows_between(offsets[s], offsets[s + 1]);
      ops::attention(s % 2 ? one : many, part, offsets_of({lengths[s]}), heads, head_dim, scale,
                     alone.mat().rows_between(offsets[s], offsets[s + 1]));
    }
    for (int64_t r = 0; r < offsets.back(); ++r)
      ASSERT_EQ(
          std::memcmp(&together.at(r, 0), &alone.at(r, 0), static_cast<size_t>(width) * sizeof(T)),
          0)
          << isa_name(isa) << " row " << r << " head_dim " << head_dim;
  }
}
TEST(Attention, CompanyDoesNotChangeABit) {
  expect_same_alone<bf16>(3, 64, 1);
  expect_same_alone<bf16>(2, 64, 4);
  expect_same_alone<bf16>(5, 20, 1);
  expect_same_alone<float>(3, 32, 1);
}

// Scratch is reused from call to call and holds whatever the last one left: NaN there must not come
// through.
TEST(Attention, ScratchContentsDoNotMatter) {
  Rng rng(kSeed);
  const int tokens = 45, heads = 2, head_dim = 40;
  auto qkv = Guarded<bf16>::normal(rng, tokens, 3 * heads * head_dim);
  for (const auto& variant : kernels::kAttentionBf16) {
    if (variant.isa > detect_isa()) continue;
    Guarded<bf16> got[2] = {{tokens, heads * head_dim}, {tokens, heads * head_dim}};
    for (int i = 0; i < 2; ++i) {
      Buffer scratch(kernels::attention_scratch_bytes(head_dim));
      std::memset(scratch.data(), i ? 0xFF : 0, scratch.size());
      variant.fn({.qkv = qkv.mat().data,
                  .qkv_stride = qkv.mat().stride,
                  .out = got[i].mat().data,
                  .out_stride = got[i].mat().stride,
                  .tokens = tokens,
                  .heads = heads,
                  .head_dim = head_dim,
                  .scale = 0.2f},
                 0, 2 * heads, scratch.data());
    }
    for (int r = 0; r < tokens; ++r)
      for (int c = 0; c < heads * head_dim; ++c)
        ASSERT_EQ(got[0].at(r, c).bits, got[1].at(r, c).bits) << variant.name;
  }
}

// Scratch depends on the head's width only: 8192 tokens fit into what one token needs.
TEST(Attention, LongSequences) {
  EXPECT_LT(kernels::attention_scratch_bytes(64), size_t{2} << 20);
  EXPECT_LT(kernels::attention_scratch_bytes(256), size_t{2} << 20);
  expect_attention<bf16>({8192}, 1, 32, 1);
}

TEST(Attention, NoTokens) {
  ops::Context& context = machine(detect_isa());
  Guarded<bf16> qkv(0, 96), out(0, 32);
  ops::attention(context, qkv.mat(), offsets_of({}), 1, 32, 1.0f, out.mat());
  ops::attention(context, qkv.mat(), offsets_of({0, 0}), 1, 32, 1.0f, out.mat());
}

const int kWidths[] = {1,  7,  8,  9,   15,  16,   17,   31,   33,
                       63, 64, 65, 127, 384, 1000, 1024, 1025, 4097};

// Layer norm against the reference (sums in double); in place, with and without the bf16 copy,
// which must be the rounded f32 result exactly.
TEST(LayerNorm, EveryVariantMatchesReference) {
  for (const int cols : kWidths)
    for (const float mean : {0.0f, 100.0f}) {
      Rng rng(kSeed);
      const int64_t rows = 21;
      auto x = Guarded<float>::normal(rng, rows, cols, 2, mean);
      auto gamma = Guarded<float>::normal(rng, 1, cols, 1),
           beta = Guarded<float>::normal(rng, 1, cols, 1);
      const std::span<const float> g(gamma.mat().data, static_cast<size_t>(cols)),
          b(beta.mat().data, static_cast<size_t>(cols));
      Guarded<float> want(rows, cols);
      ops::Context& plain = machine(Isa::kRef);
      ops::layer_norm(plain, x.mat(), g, b, 1e-5f, want.mat(), {});
      for (const Isa isa : runnable()) {
        ops::Context& context = machine(isa);
        Guarded<float> y = x;
        Guarded<bf16> low(rows, cols);
        ops::layer_norm(context, y.mat(), g, b, 1e-5f, y.mat(), low.mat());
        EXPECT_TRUE(y.guards_intact() && low.guards_intact()) << isa_name(isa) << " cols " << cols;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < cols; ++c) {
            ASSERT_NEAR(y.value(r, c), want.value(r, c),
                        (mean > 0 ? 3e-4 : 2e-5) * (1 + std::abs(g[c])))
                << isa_name(isa) << " cols " << cols << " row " << r << " seed " << kSeed;
            ASSERT_EQ(low.at(r, c).bits, bf16(y.at(r, c)).bits)
                << isa_name(isa) << " " << y.at(r, c);
          }
      }
    }
}

// Equal values have no variance: the result is beta, not rounding noise blown up by 1 / sqrt(eps).
TEST(LayerNorm, ConstantRows) {
  for (const float value : {0.0f, 0.1f, -3.3f, 1e6f})
    for (const Isa isa : runnable()) {
      ops::Context& context = machine(isa);
      Guarded<float> x(1, 777), low_unused(1, 1);
      for (int64_t c = 0; c < 777; ++c) x.at(0, c) = value;
      const std::vector<float> gamma(777, 1.0f), beta(777, 0.25f);
      ops::layer_norm(context, x.mat(), gamma, beta, 1e-12f, x.mat(), {});
      for (int64_t c = 0; c < 777; ++c)
        ASSERT_NEAR(x.at(0, c), 0.25f, 0.02f) << isa_name(isa) << " " << value;
    }
}

// Rounding to bf16 is the same everywhere: ties to even, infinities and NaN kept.
TEST(LayerNorm, RoundsAlikeInAllVariants) {
  const std::vector<uint32_t> cases{0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF,
                                    0xBF808000, 0x7F7FFFFF, 0x7F800000, 0xFF800000,
                                    0x7F800001, 0x7FC00000, 0x00000000, 0x80800000,
                                    0x00800000, 0x3F7FFFFF, 0x477FE000, 0x42F6E979};
  // With factor 0 (eps = infinity) the result is beta itself.
  std::vector<float> beta, gamma(cases.size(), 1.0f);
  for (const uint32_t bits : cases) beta.push_back(std::bit_cast<float>(bits));
  for (const Isa isa : runnable()) {
    ops::Context& context = machine(isa);
    Guarded<float> x(1, static_cast<int64_t>(cases.size()));
    Guarded<bf16> low(1, static_cast<int64_t>(cases.size()));
    ops::layer_norm(context, x.mat(), gamma, beta, std::numeric_limits<float>::infinity(), x.mat(),
                    low.mat());
    for (size_t i = 0; i < cases.size(); ++i) {
      const bf16 want(beta[i]), got = low.at(0, static_cast<int64_t>(i));
      if (std::isnan(beta[i]))
        EXPECT_TRUE(std::isnan(to_float(got))) << isa_name(isa) << " " << std::hex << cases[i];
      else
        EXPECT_EQ(got.bits, want.bits) << isa_name(isa) << " " << std::hex << cases[i];
    }
  }
}

// Embedding tables of all types, ending exactly where a page without access begins and at odd
// addresses, as they lie in mapped files.
TEST(EmbedLayerNorm, TablesAtTheEndOfAMapping) {
  const size_t page = 4096, pages = 64;
  auto* memory = static_cast<char*>(mmap(nullptr, (pages + 1) * page, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(mprotect(memory + pages * page, page, PROT_NONE), 0);
  const int64_t vocab = 11;
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16})
    for (const int cols : {1, 5, 8, 16, 23, 40, 65, 384})
      for (const size_t shift : {size_t{0}, size_t{1}}) {  // 1: every element at an odd address
        Rng rng(kSeed);
        const size_t bytes = static_cast<size_t>(vocab * cols * dtype_bytes(dtype));
        char* const table = memory + pages * page - bytes - shift;
        for (int64_t i = 0; i < vocab * cols; ++i) {
          const auto x = static_cast<float>(rng.normal());
          char* const to = table + i * dtype_bytes(dtype);
          if (dtype == DType::kF32) {
            std::memcpy(to, &x, 4);
          } else {
            const uint16_t bits = dtype == DType::kBf16 ? bf16(x).bits : f16(x).bits;
            std::memcpy(to, &bits, 2);
          }
        }
        const WeightView view{table, dtype, vocab, cols};
        const std::vector<int32_t> ids{10, 0, 3, 10, 7}, positions{0, 1, 10, 3, 2};
        const std::vector<float> gamma(static_cast<size_t>(cols), 1.5f),
            beta(static_cast<size_t>(cols), 0.5f);
        for (const bool typed : {false, true}) {
          const ops::EmbedArgs args{
              .ids = ids,
              .positions = positions,
              .word = view,
              .position = view,
              .type = typed ? WeightView{table + (vocab - 1) * cols * dtype_bytes(dtype), dtype, 1,
                                         cols}
                            : WeightView{},
              .gamma = gamma,
              .beta = beta,
              .eps = 1e-5f};
          Guarded<float> want(5, cols);
          ops::Context& plain = machine(Isa::kRef);
          ops::embed_layer_norm(plain, args, want.mat(), {});
          for (const Isa isa : runnable()) {
            ops::Context& context = machine(isa);
            Guarded<float> got(5, cols);
            Guarded<bf16> low(5, cols);
            ops::embed_layer_norm(context, args, got.mat(), low.mat());
            EXPECT_TRUE(got.guards_intact() && low.guards_intact());
            for (int64_t r = 0; r < 5; ++r)
              for (int64_t c = 0; c < cols; ++c) {
                ASSERT_NEAR(got.value(r, c), want.value(r, c), 5e-5f)
                    << isa_name(isa) << " " << dtype_name(dtype) << " cols " << cols << " shift "
                    << shift;
                ASSERT_EQ(low.at(r, c).bits, bf16(got.at(r, c)).bits);
              }
          }
        }
      }
  munmap(memory, (pages + 1) * page);
}

// The embedding sums themselves, without the norm: exact, as the order of the additions is fixed.
TEST(EmbedRows, SumsAreExact) {
  Rng rng(kSeed);
  const int64_t cols = 77;
  auto word = Guarded<float>::normal(rng, 1, 9 * cols),
       position = Guarded<float>::normal(rng, 1, 9 * cols);
  const std::vector<int32_t> ids{8, 1}, positions{0, 8}, types{1, 0};
  for (const auto& variant : kernels::kEmbedRows) {
    if (variant.isa > detect_isa()) continue;
    Guarded<float> y(2, cols);
    variant.fn({.ids = ids.data(),
                .positions = positions.data(),
                .types = types.data(),
                .word = {word.mat().data, DType::kF32, 9, cols},
                .position = {position.mat().data, DType::kF32, 9, cols},
                .type = {word.mat().data, DType::kF32, 2, cols},
                .y = y.mat()},
               0, 2);
    for (int64_t t = 0; t < 2; ++t)
      for (int64_t c = 0; c < cols; ++c)
        ASSERT_EQ(y.at(t, c), word.at(0, ids[t] * cols + c) +
                                  position.at(0, positions[t] * cols + c) +
                                  word.at(0, types[t] * cols + c))
            << variant.name;
  }
}

// Rows of a layer norm and columns of a pool do not depend on how the work is split.
TEST(Rowwise, CompanyDoesNotChangeABit) {
  Rng rng(kSeed);
  const int64_t tokens = 900, cols = 391;
  auto x = Guarded<float>::normal(rng, tokens, cols);
  const std::vector<float> gamma(static_cast<size_t>(cols), 0.7f),
      beta(static_cast<size_t>(cols), 0.1f);
  const auto offsets = offsets_of({899, 1});
  for (const Isa isa : runnable()) {
    ops::Context& many = machine(isa, 3);
    ops::Context& one = machine(isa, 1);
    Guarded<float> y(tokens, cols), single(1, cols), pooled(2, cols), pooled_alone(2, cols);
    ops::layer_norm(many, x.mat(), gamma, beta, 1e-5f, y.mat(), {});
    for (const int64_t r : {int64_t{0}, int64_t{450}, tokens - 1}) {
      ops::layer_norm(one, x.mat().rows_between(r, r + 1), gamma, beta, 1e-5f, single.mat(), {});
      ASSERT_EQ(std::memcmp(&single.at(0, 0), &y.at(r, 0), static_cast<size_t>(cols) * 4), 0)
          << isa_name(isa);
    }
    ops::pool(many, x.mat(), offsets, ops::Pooling::kMean, pooled.mat());
    ops::pool(one, x.mat(), offsets, ops::Pooling::kMean, pooled_alone.mat());
    for (int64_t r = 0; r < 2; ++r)
      ASSERT_EQ(
          std::memcmp(&pooled.at(r, 0), &pooled_alone.at(r, 0), static_cast<size_t>(cols) * 4), 0)
          << isa_name(isa);
  }
}

TEST(Pool, EveryPoolingOfEveryVariant) {
  using enum ops::Pooling;
  for (const int cols : kWidths) {
    Rng rng(kSeed);
    const std::vector<int> lengths{1, 2, 17, 64};
    const auto offsets = offsets_of(lengths);
    auto x = Guarded<float>::normal(rng, offsets.back(), cols);
    for (const Isa isa : runnable())
      for (const auto pooling : {kCls, kMean, kMax, kLast, kMeanSqrtLen}) {
        ops::Context& context = machine(isa);
        Guarded<float> out(4, cols);
        ops::pool(context, x.mat(), offsets, pooling, out.mat());
        EXPECT_TRUE(out.guards_intact());
        for (int64_t s = 0; s < 4; ++s)
          for (int64_t c = 0; c < cols; ++c) {
            double sum = 0;
            float top = x.at(offsets[s], c);
            for (int64_t t = offsets[s]; t < offsets[s + 1]; ++t) {
              sum += x.at(t, c);
              top = std::max(top, x.at(t, c));
            }
            const double want = pooling == kCls    ? x.at(offsets[s], c)
                                : pooling == kLast ? x.at(offsets[s + 1] - 1, c)
                                : pooling == kMax  ? top
                                : pooling == kMean ? sum / lengths[s]
                                                   : sum / std::sqrt(lengths[s]);
            ASSERT_NEAR(out.value(s, c), want, 3e-6)
                << isa_name(isa) << " pooling " << static_cast<int>(pooling);
          }
      }
  }
}

// Rows get length 1 even where squares would overflow or vanish; zeros stay zeros.
TEST(L2Normalise, AllMagnitudes) {
  for (const int cols : kWidths)
    for (const float size : {1.0f, 1e-30f, 1e30f}) {
      Rng rng(kSeed);
      auto x = Guarded<float>::normal(rng, 3, cols, size);
      for (int64_t c = 0; c < cols; ++c) x.at(1, c) = 0;
      for (const Isa isa : runnable()) {
        ops::Context& context = machine(isa);
        Guarded<float> y = x;
        ops::l2_normalise(context, y.mat());
        EXPECT_TRUE(y.guards_intact());
        for (const int64_t r : {0, 2}) {
          double squares = 0, plain = 0;
          for (int64_t c = 0; c < cols; ++c) {
            squares += static_cast<double>(y.at(r, c)) * y.at(r, c);
            plain += static_cast<double>(x.at(r, c)) * x.at(r, c);
          }
          ASSERT_NEAR(squares, 1.0, 1e-5) << isa_name(isa) << " cols " << cols << " size " << size;
          ASSERT_NEAR(y.at(r, 0), x.at(r, 0) / std::sqrt(plain), 1e-6) << isa_name(isa);
        }
        for (int64_t c = 0; c < cols; ++c) ASSERT_EQ(y.at(1, c), 0.0f);
      }
    }
}

}  // namespace
}  // namespace sis
