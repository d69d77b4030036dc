// Products against plain sums in double, variants against each other, and rows against their
// company.
#include "infer/ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "infer/kernels/isa.h"

namespace sis::ops {
namespace {

constexpr uint64_t kSeed = 42;

std::vector<Isa> runnable() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kRef, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx})
    if (isa <= detect_isa()) isas.push_back(isa);
  return isas;
}

std::vector<float> normals(Rng& rng, int64_t count, double scale = 1.0) {
  std::vector<float> values(static_cast<size_t>(count));
  for (auto& v : values) v = static_cast<float>(rng.normal() * scale);
  return values;
}

std::vector<bf16> to_bf16(const std::vector<float>& values) {
  std::vector<bf16> out;
  for (float v : values) out.emplace_back(v);
  return out;
}

std::vector<float> rounded(const std::vector<float>& values) {
  std::vector<float> out;
  for (float v : values) out.push_back(to_float(bf16(v)));
  return out;
}

WeightView view(const std::vector<float>& data, int64_t rows, int64_t cols) {
  return {data.data(), DType::kF32, rows, cols};
}
WeightView vector_view(const std::vector<float>& data) {
  return view(data, 1, static_cast<int64_t>(data.size()));
}

Linear packed(std::span<const WeightView> weights, std::span<const WeightView> biases,
              DType compute, Isa isa, ThreadTeam& team) {
  auto linear = Linear::pack(weights, biases, compute, isa, team);
  EXPECT_TRUE(linear.ok()) << linear.error().message;
  return std::move(linear).value();
}

double activated(double v, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return v;
    case Activation::kGelu:
      return 0.5 * v * std::erfc(-v / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    case Activation::kRelu:
      return v > 0 ? v : 0;
    case Activation::kSilu:
      return v / (1 + std::exp(-v));
  }
  return v;
}

// y = act(x Wᵀ + b) + residual in double.
std::vector<double> expected(const std::vector<float>& x, const std::vector<float>& w,
                             const std::vector<float>& bias, int64_t rows, int64_t in, int64_t out,
                             Activation activation = Activation::kNone,
                             const std::vector<float>& residual = {}) {
  std::vector<double> y(static_cast<size_t>(rows * out));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < out; ++c) {
      double sum = bias.empty() ? 0 : bias[static_cast<size_t>(c)];
      for (int64_t k = 0; k < in; ++k)
        sum += double{x[static_cast<size_t>(r * in + k)]} * w[static_cast<size_t>(c * in + k)];
      const auto i = static_cast<size_t>(r * out + c);
      y[i] = activated(sum, activation) + (residual.empty() ? 0 : residual[i]);
    }
  return y;
}

template <class A, class B>
double cosine(const A& a, const B& b, size_t begin, size_t end) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = begin; i < end; ++i)
    dot += double{a[i]} * b[i], aa += double{a[i]} * a[i], bb += double{b[i]} * b[i];
  return dot / std::sqrt(aa * bb);
}

template <class T>
bool same_bits(const T* a, const T* b, size_t count) {
  return std::memcmp(a, b, count * sizeof(T)) == 0;
}

// A linear layer with its inputs, ready to run in any compute type.
struct Case {
  Case(int64_t rows, int64_t in, int64_t out, uint64_t seed = kSeed)
      : rows(rows),
        in(in),
        out(out),
        rng(seed),
        x(normals(rng, rows * in)),
        w(normals(rng, in * out, 1 / std::sqrt(static_cast<double>(in)))),
        bias(normals(rng, out)),
        residual(normals(rng, rows * out)) {}

  Linear pack(DType compute, Isa isa) {
    const WeightView weights[] = {view(w, out, in)}, biases[] = {vector_view(bias)};
    return packed(weights, biases, compute, isa, team);
  }
  template <class Y>
  std::vector<Y> run(const Linear& linear, DType compute, int64_t begin, int64_t end,
                     Linear::Call call = {}) {
    std::vector<Y> y(static_cast<size_t>((end - begin) * out));
    const std::vector<bf16> low = to_bf16(x);
    const Mat<Y> to(y.data(), end - begin, out);
    Context context{team, workspace, detect_isa()};
    if constexpr (sizeof(Y) == 4) {
      if (compute == DType::kF32) {
        linear.forward(context, Mat<const float>(x.data(), rows, in).rows_between(begin, end), call,
                       to);
        return y;
      }
    }
    if constexpr (sizeof(Y) == 4 || sizeof(Y) == 2)
      linear.forward(context, Mat<const bf16>(low.data(), rows, in).rows_between(begin, end), call,
                     to);
    return y;
  }

  int64_t rows, in, out;
  Rng rng;
  std::vector<float> x, w, bias, residual;
  ThreadTeam team{{.workers = 2}};
  Workspace workspace;
};

struct Shape {
  int64_t rows, in, out;
};
constexpr Shape kShapes[] = {{1, 1, 1},      {1, 64, 32},   {3, 31, 33},   {17, 65, 96},
                             {33, 129, 31},  {70, 200, 70}, {5, 1024, 40}, {13, 577, 7},
                             {300, 48, 160}, {64, 1152, 64}};

TEST(Linear, EveryVariantMatchesPlainSums) {
  for (const Shape& s : kShapes) {
    Case c(s.rows, s.in, s.out);
    const auto exact = expected(c.x, c.w, c.bias, s.rows, s.in, s.out);
    const auto exact_bf16 = expected(rounded(c.x), rounded(c.w), c.bias, s.rows, s.in, s.out);
    for (Isa isa : runnable()) {
      const Linear f32 = c.pack(DType::kF32, isa), low = c.pack(DType::kBf16, isa),
                   i8 = c.pack(DType::kI8, isa), i4 = c.pack(DType::kI4, isa);
      const auto y = c.run<float>(f32, DType::kF32, 0, s.rows);
      const auto y_low = c.run<float>(low, DType::kBf16, 0, s.rows);
      const auto y_bf16 = c.run<bf16>(low, DType::kBf16, 0, s.rows);
      const auto y_i8 = c.run<float>(i8, DType::kI8, 0, s.rows);
      const auto y_i4 = c.run<float>(i4, DType::kI4, 0, s.rows);
      double error_i8 = 0, error_i4 = 0;
      for (size_t i = 0; i < exact.size(); ++i) {
        ASSERT_NEAR(y[i], exact[i], 2e-5)
            << f32.variant() << " rows=" << s.rows << " in=" << s.in << " i=" << i;
        ASSERT_NEAR(y_low[i], exact_bf16[i], 3e-5)
            << low.variant() << " rows=" << s.rows << " in=" << s.in;
        ASSERT_NEAR(to_float(y_bf16[i]), exact_bf16[i], 1e-4 + std::fabs(exact_bf16[i]) / 250)
            << low.variant();
        error_i8 += std::pow(y_i8[i] - exact[i], 2);
        error_i4 += std::pow(y_i4[i] - exact[i], 2);
      }
      // The outputs are about 1, so this is what rounding changed the weights by.
      EXPECT_LT(std::sqrt(error_i4 / static_cast<double>(exact.size())), 0.09)
          << i4.variant() << " in=" << s.in;
      EXPECT_LT(std::sqrt(error_i8 / static_cast<double>(exact.size())), 0.025)
          << i8.variant() << " in=" << s.in;
    }
  }
}

TEST(Linear, IntegerVariantsGiveTheSameBits) {
  for (const Shape& s : kShapes) {
    Case c(s.rows, s.in, s.out);
    for (int64_t r = 0; r < s.rows; r += 2)
      c.x[static_cast<size_t>(r * s.in + r % s.in)] = 90;  // loud channels
    for (DType compute : {DType::kI8, DType::kI4})
      for (auto activation : {Activation::kNone, Activation::kGelu, Activation::kGeluTanh,
                              Activation::kRelu, Activation::kSilu}) {
        const Linear ref = c.pack(compute, Isa::kRef);
        ASSERT_EQ(ref.compute(), compute);
        const Linear::Call plain{activation},
            residual{activation, Mat<const float>(c.residual.data(), s.rows, s.out)};
        const auto want = c.run<float>(ref, compute, 0, s.rows, residual);
        const auto want_low = c.run<bf16>(ref, compute, 0, s.rows, plain);
        for (Isa isa : runnable()) {
          const Linear linear = c.pack(compute, isa);
          const auto got = c.run<float>(linear, compute, 0, s.rows, residual);
          const auto got_low = c.run<bf16>(linear, compute, 0, s.rows, plain);
          EXPECT_TRUE(same_bits(got.data(), want.data(), got.size()))
              << linear.variant() << " in=" << s.in << " act=" << static_cast<int>(activation);
          EXPECT_TRUE(same_bits(got_low.data(), want_low.data(), got.size()))
              << linear.variant() << " in=" << s.in;
        }
      }
  }
}

TEST(Linear, ActivationsAndResidual) {
  Case c(37, 40, 75);
  for (auto& v : c.x) v *= 3;  // reaches both tails
  for (auto activation : {Activation::kNone, Activation::kGelu, Activation::kGeluTanh,
                          Activation::kRelu, Activation::kSilu}) {
    const auto want = expected(c.x, c.w, c.bias, c.rows, c.in, c.out, activation, c.residual);
    const auto want_low =
        expected(rounded(c.x), rounded(c.w), c.bias, c.rows, c.in, c.out, activation);
    for (Isa isa : runnable()) {
      const Linear::Call call{activation, Mat<const float>(c.residual.data(), c.rows, c.out)};
      const auto y = c.run<float>(c.pack(DType::kF32, isa), DType::kF32, 0, c.rows, call);
      const auto low =
          c.run<bf16>(c.pack(DType::kBf16, isa), DType::kBf16, 0, c.rows, {activation});
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_NEAR(y[i], want[i], 1e-5)
            << isa_name(isa) << " act=" << static_cast<int>(activation);
        ASSERT_NEAR(to_float(low[i]), want_low[i], 4e-5 + std::fabs(want_low[i]) / 250)
            << isa_name(isa);
      }
    }
  }
}

// One input, weight 1: the activation itself over a fine grid and far out.
TEST(Linear, GeluIsAccurate) {
  std::vector<float> x;
  for (int i = -12000; i <= 12000; ++i) x.push_back(static_cast<float>(i) / 1000.0f);
  for (float far : {-1e30f, -1000.0f, -88.0f, 88.0f, 1000.0f, 1e30f, -0.0f, 1e-30f})
    x.push_back(far);
  const std::vector<float> one{1.0f};
  ThreadTeam team({.workers = 1});
  Workspace workspace;
  Context context{team, workspace, detect_isa()};
  for (Isa isa : runnable()) {
    const WeightView w[] = {view(one, 1, 1)};
    const Linear linear = packed(w, {}, DType::kF32, isa, team);
    std::vector<float> y(x.size());
    const auto rows = static_cast<int64_t>(x.size());
    linear.forward(context, Mat<const float>(x.data(), rows, 1), {Activation::kGelu},
                   Mat<float>(y.data(), rows, 1));
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = activated(x[i], Activation::kGelu);
      ASSERT_NEAR(y[i], want, 1.4e-6 * std::max(1.0, std::fabs(want) / 4))
          << isa_name(isa) << " x=" << x[i];
      if (x[i] < -5.2f) {
        ASSERT_EQ(y[i], 0.0f) << isa_name(isa) << " x=" << x[i];
      }
    }
  }
}

// A row's result is the same bits alone and in company, wherever it stands and however many there
// are.
TEST(Linear, RowsDoNotDependOnTheirCompany) {
  for (const Shape& s : {Shape{70, 203, 100}, Shape{70, 1088, 64}}) {
    Case c(s.rows, s.in, s.out);
    for (int64_t r = 0; r < s.rows; r += 3) c.x[static_cast<size_t>(r * s.in + 5)] = 60;
    for (DType compute : {DType::kF32, DType::kBf16, DType::kI8, DType::kI4})
      for (Isa isa : runnable()) {
        const Linear linear = c.pack(compute, isa);
        const auto all = c.run<float>(linear, compute, 0, s.rows, {Activation::kGelu});
        std::vector<float> alone;
        for (int64_t r = 0; r < s.rows; ++r) {
          const auto y = c.run<float>(linear, compute, r, r + 1, {Activation::kGelu});
          alone.insert(alone.end(), y.begin(), y.end());
        }
        EXPECT_TRUE(same_bits(all.data(), alone.data(), all.size())) << linear.variant();
        if (isa != detect_isa()) continue;
        for (int64_t rows = 1; rows <= s.rows; ++rows) {
          const auto y = c.run<float>(linear, compute, 0, rows, {Activation::kGelu});
          EXPECT_TRUE(same_bits(y.data(), all.data(), y.size()))
              << linear.variant() << " rows=" << rows;
        }
      }
  }
}

// Long calls go through in parts, small weights are split by rows, teams differ in size: same bits.
TEST(Linear, SplitsDoNotChangeResults) {
  for (const Shape& s : {Shape{2100, 96, 64}, Shape{1100, 700, 1200}}) {
    Case c(s.rows, s.in, s.out);
    for (DType compute : {DType::kF32, DType::kBf16, DType::kI8, DType::kI4}) {
      const Linear linear = c.pack(compute, detect_isa());
      const auto want = c.run<float>(linear, compute, 0, s.rows);
      const auto tail = c.run<float>(linear, compute, s.rows - 3, s.rows);
      EXPECT_TRUE(same_bits(tail.data(), want.data() + (s.rows - 3) * s.out, tail.size()))
          << linear.variant();
      const std::vector<bf16> low = to_bf16(c.x);
      for (int workers : {1, 3}) {
        ThreadTeam team({.workers = workers});
        Context context{team, c.workspace, detect_isa()};
        std::vector<float> y(want.size());
        const Mat<float> to(y.data(), s.rows, s.out);
        if (compute == DType::kF32) {
          linear.forward(context, Mat<const float>(c.x.data(), s.rows, s.in), {}, to);
        } else {
          linear.forward(context, Mat<const bf16>(low.data(), s.rows, s.in), {}, to);
        }
        EXPECT_TRUE(same_bits(y.data(), want.data(), y.size()))
            << linear.variant() << " workers=" << workers;
      }
    }
  }
}

// y may be the residual; strides beyond the widths stay untouched.
TEST(Linear, AddsInPlaceWithinStrides) {
  Case c(50, 100, 45);
  for (DType compute : {DType::kF32, DType::kBf16, DType::kI8, DType::kI4})
    for (Isa isa : runnable()) {
      const Linear linear = c.pack(compute, isa);
      const auto want =
          c.run<float>(linear, compute, 0, c.rows,
                       {Activation::kNone, Mat<const float>(c.residual.data(), 50, 45)});
      const int64_t stride = 61, x_stride = 117;
      std::vector<float> y(static_cast<size_t>(50 * stride), 777.0f);
      std::vector<float> x(static_cast<size_t>(50 * x_stride),
                           std::numeric_limits<float>::quiet_NaN());
      for (int64_t r = 0; r < 50; ++r) {
        std::copy_n(c.residual.data() + r * 45, 45, y.data() + r * stride);
        std::copy_n(c.x.data() + r * 100, 100, x.data() + r * x_stride);
      }
      const std::vector<bf16> low = to_bf16(x);
      Context context{c.team, c.workspace, detect_isa()};
      const Mat<float> to(y.data(), 50, 45, stride);
      if (compute == DType::kF32) {
        linear.forward(context, Mat<const float>(x.data(), 50, 100, x_stride),
                       {Activation::kNone, to}, to);
      } else {
        linear.forward(context, Mat<const bf16>(low.data(), 50, 100, x_stride),
                       {Activation::kNone, to}, to);
      }
      for (int64_t r = 0; r < 50; ++r) {
        EXPECT_TRUE(same_bits(y.data() + r * stride, want.data() + r * 45, 45))
            << linear.variant() << " row " << r;
        for (int64_t i = 45; i < stride; ++i)
          ASSERT_EQ(y[static_cast<size_t>(r * stride + i)], 777.0f);
      }
    }
}

// A few channels 30-100 times louder than the rest must not cost the others their precision.
TEST(Linear, Int8KeepsQuietChannelsBesideLoudOnes) {
  Case c(64, 1024, 256);
  const auto quiet = expected(c.x, c.w, c.bias, c.rows, c.in, c.out);
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t channel : {7, 300, 301, 1023}) {
      const size_t i = static_cast<size_t>(r * c.in + channel);
      c.x[i] = static_cast<float>(c.rng.normal() * 2 + 30 + static_cast<double>(r));
    }
  // What the loud channels add is taken off again, so that only the quiet rest is compared.
  std::vector<float> loud(c.x.size(), 0.0f);
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t channel : {7, 300, 301, 1023})
      loud[static_cast<size_t>(r * c.in + channel)] =
          to_float(bf16(c.x[static_cast<size_t>(r * c.in + channel)]));
  const auto all = expected(rounded(c.x), c.w, c.bias, c.rows, c.in, c.out);
  const Linear linear = c.pack(DType::kI8, detect_isa());
  const auto got = c.run<float>(linear, DType::kI8, 0, c.rows);
  double error = 0, power = 0;
  for (size_t i = 0; i < got.size(); ++i)
    error += std::pow(got[i] - all[i], 2), power += std::pow(quiet[i], 2);
  // Weights of loud channels are int8 as well: their own rounding (about 1 %) remains.
  EXPECT_GT(cosine(got, all, 0, got.size()), 0.9998);

  // With weights that int8 holds exactly, only the rows' rounding is left: it must be as fine as
  // without loud ones.
  for (auto& w : c.w) w = std::round(w * 400) / 127.0f;
  for (int64_t o = 0; o < c.out; ++o) c.w[static_cast<size_t>(o * c.in + 11)] = 1.0f;
  for (auto& w : c.w) w = std::min(1.0f, std::max(-1.0f, w));
  const auto exact = expected(rounded(c.x), c.w, c.bias, c.rows, c.in, c.out);
  const auto fine = c.run<float>(c.pack(DType::kI8, detect_isa()), DType::kI8, 0, c.rows);
  double fine_error = 0, norm = 0;
  for (size_t i = 0; i < fine.size(); ++i) fine_error += std::pow(fine[i] - exact[i], 2);
  for (float w : c.w) norm += std::pow(w, 2);
  const double per_output =
      norm / static_cast<double>(c.out);  // sum of w² of one output: noise gain
  const double step = 4.0 / 127;          // quiet rows are within +-4 or so
  EXPECT_LT(std::sqrt(fine_error / static_cast<double>(fine.size())),
            step * std::sqrt(per_output / 12) * 1.2);
}

// A few huge weights in every row make int8's steps too coarse for the rest: such a matrix is
// computed in bf16, to the bit as if bf16 had been asked for. An even one is not.
TEST(Linear, UnevenWeightsStayBf16) {
  Case c(5, 256, 48);
  EXPECT_EQ(c.pack(DType::kI8, detect_isa()).compute(), DType::kI8);
  for (int64_t r = 0; r < c.out; ++r) c.w[static_cast<size_t>(r * c.in + r)] = 30;
  for (Isa isa : runnable()) {
    const Linear got = c.pack(DType::kI8, isa), want = c.pack(DType::kBf16, isa);
    EXPECT_EQ(got.compute(), DType::kBf16) << isa_name(isa);
    EXPECT_STREQ(got.variant(), want.variant());
    EXPECT_EQ(c.run<float>(got, DType::kBf16, 0, c.rows),
              c.run<float>(want, DType::kBf16, 0, c.rows))
        << isa_name(isa);
  }
}

// Weights that 4.5 bits hold exactly come back exactly: steps of 1/64 whose groups reach both ends
// of their range. Sizes are as promised, and weights too uneven for int4 take int8.
TEST(Linear, Int4HoldsItsOwnValuesAndFallsBack) {
  Case c(3, 128, 64);
  for (int64_t o = 0; o < c.out; ++o)
    for (int64_t k = 0; k < c.in; ++k) {
      // The first group has the largest magnitude, 127, which makes the column's scale 1/64.
      const int64_t step = k < 32 ? 16 : 1 + (k / 32 + o) % 8;
      const int64_t shift = k < 32 ? 113 : o * 3 % (step * 15);
      const int64_t n = (k * 5 + o) % 16;
      c.w[static_cast<size_t>(o * c.in + k)] = static_cast<float>(n * step - shift) / 64;
    }
  for (auto& x : c.x) x = std::round(x * 20);
  for (int64_t r = 0; r < c.rows; ++r)  // rows' scale is 1: two are too many for high digits
    c.x[static_cast<size_t>(r * c.in)] = c.x[static_cast<size_t>(r * c.in + 9)] = 127;
  const auto want = expected(c.x, c.w, c.bias, c.rows, c.in, c.out);
  const Linear linear = c.pack(DType::kI4, detect_isa());
  ASSERT_EQ(linear.compute(), DType::kI4);
  const auto got = c.run<float>(linear, DType::kI4, 0, c.rows);
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-3) << i;

  Case big(2, 1024, 256);
  const Linear even = big.pack(DType::kI4, detect_isa());
  EXPECT_EQ(even.compute(), DType::kI4);
  const auto sizes = static_cast<double>(even.bytes() - 12 * big.out);  // scale, sum, bias
  EXPECT_EQ(sizes / static_cast<double>(big.in * big.out), 0.5625);

  // One of 32 is so large that the others fall between two steps, while int8 holds them exactly.
  for (size_t i = 0; i < big.w.size(); ++i)
    big.w[i] = i % 32 == 0 ? 127 : std::clamp(std::round(big.w[i] * 128), -6.0f, 6.0f);
  for (Isa isa : runnable()) {
    const Linear got = big.pack(DType::kI4, isa), want = big.pack(DType::kI8, isa);
    EXPECT_EQ(got.compute(), DType::kI8) << isa_name(isa);
    EXPECT_STREQ(got.variant(), want.variant());
    EXPECT_EQ(big.run<float>(got, DType::kI8, 0, 2), big.run<float>(want, DType::kI8, 0, 2));
  }
}

// Layers of one arena are the same as layers apart, whatever was packed and refused between them,
// and live on without it.
TEST(Linear, ArenaChangesNothingButTheMemory) {
  auto arena = std::make_unique<WeightArena>();
  Case c(3, 256, 100), uneven(3, 256, 300);
  for (size_t i = 0; i < uneven.w.size(); i += 257) uneven.w[i] = 30;
  std::vector<Linear> layers;
  for (int i = 0; i < 30; ++i)
    for (DType compute : {DType::kF32, DType::kI8, DType::kI4})
      for (Case* one : {&c, &uneven}) {
        const WeightView weights[] = {view(one->w, one->out, one->in)};
        auto layer = Linear::pack(weights, {}, compute, detect_isa(), c.team, arena.get());
        ASSERT_TRUE(layer.ok());
        layers.push_back(std::move(layer).value());
      }
  arena.reset();
  for (size_t i = 0; i < layers.size(); ++i) {
    Case& one = i % 2 ? uneven : c;
    const DType compute = layers[i].compute();
    const WeightView weights[] = {view(one.w, one.out, one.in)};
    const Linear apart = packed(weights, {}, compute, detect_isa(), c.team);
    EXPECT_EQ(one.run<float>(layers[i], compute, 0, 3), one.run<float>(apart, compute, 0, 3)) << i;
  }
}

// Stacked weights of mixed types equal their parts run apart.
TEST(Linear, StacksWeights) {
  Case c(9, 77, 90);
  const std::vector<bf16> half_bf16 =
      to_bf16(std::vector<float>(c.w.begin(), c.w.begin() + 40 * 77));
  std::vector<f16> half_f16;
  for (size_t i = 40 * 77; i < c.w.size(); ++i) half_f16.emplace_back(c.w[i]);
  const WeightView parts[] = {{half_bf16.data(), DType::kBf16, 40, 77},
                              {half_f16.data(), DType::kF16, 50, 77}};
  const WeightView biases[] = {{c.bias.data(), DType::kF32, 1, 40},
                               {c.bias.data() + 40, DType::kF32, 1, 50}};
  for (DType compute : {DType::kF32, DType::kBf16, DType::kI8, DType::kI4}) {
    const Linear both = packed(parts, biases, compute, detect_isa(), c.team);
    ASSERT_EQ(both.out(), 90);
    ASSERT_EQ(both.in(), 77);
    const auto y = c.run<float>(both, compute, 0, c.rows);
    for (int i = 0; i < 2; ++i) {
      const int64_t first = i * 40;
      const Linear one = packed({&parts[i], 1}, {&biases[i], 1}, compute, detect_isa(), c.team);
      Case part = Case(9, 77, one.out());
      part.x = c.x;
      const auto y_one = part.run<float>(one, compute, 0, 9);
      for (int64_t r = 0; r < 9; ++r)
        EXPECT_TRUE(same_bits(y.data() + r * 90 + first, y_one.data() + r * one.out(),
                              static_cast<size_t>(one.out())));
    }
  }
}

// Long rows pass in spans of K and windows of columns, many in chunks; a residual stream's are
// taken by rows. int8 has one right answer, bf16 one for each variant whatever the rows beside.
TEST(Linear, LongAndManyRowsComeOutAlike) {
  for (const Shape& s : {Shape{300, 4500, 620}, Shape{49, 8300, 70}, Shape{700, 2000, 1024},
                         Shape{1100, 1100, 40}}) {
    Case c(s.rows, s.in, s.out);
    for (int64_t r = 0; r < s.rows; r += 7)
      c.x[static_cast<size_t>(r * s.in + r % s.in)] = 90;  // loud channels
    const auto residual = [&](int64_t begin, int64_t end) {
      return Linear::Call{
          Activation::kNone,
          Mat<const float>(c.residual.data(), s.rows, s.out).rows_between(begin, end)};
    };
    for (const DType compute : {DType::kI8, DType::kI4}) {
      const Linear plain = c.pack(compute, std::min(Isa::kAvx2, detect_isa()));
      const auto want = c.run<float>(plain, compute, 0, s.rows, residual(0, s.rows));
      for (const Isa isa : runnable()) {
        if (isa <= Isa::kAvx2) continue;
        const Linear linear = c.pack(compute, isa);
        const auto got = c.run<float>(linear, compute, 0, s.rows, residual(0, s.rows));
        EXPECT_TRUE(same_bits(got.data(), want.data(), got.size()))
            << linear.variant() << " rows=" << s.rows << " in=" << s.in;
      }
    }
    const Linear low = c.pack(DType::kBf16, detect_isa());
    const auto all = c.run<float>(low, DType::kBf16, 0, s.rows, residual(0, s.rows));
    const int64_t cut = s.rows / 2 + 1;
    const auto first = c.run<float>(low, DType::kBf16, 0, cut, residual(0, cut));
    const auto rest = c.run<float>(low, DType::kBf16, cut, s.rows, residual(cut, s.rows));
    EXPECT_TRUE(same_bits(all.data(), first.data(), first.size())) << "rows=" << s.rows;
    EXPECT_TRUE(same_bits(all.data() + first.size(), rest.data(), rest.size()))
        << "rows=" << s.rows;
    const auto some =
        expected(rounded({c.x.end() - s.in, c.x.end()}), rounded(c.w), c.bias, 1, s.in, s.out);
    for (int64_t i = 0; i < s.out; ++i) {
      const auto at = static_cast<size_t>((s.rows - 1) * s.out + i);
      ASSERT_NEAR(all[at], some[static_cast<size_t>(i)] + c.residual[at], 3e-4) << "i=" << i;
    }
  }
}

// act(x · Gᵀ + g) * (x · Wᵀ + w): the products apart, multiplied.
template <class Y>
constexpr double kFit = sizeof(Y) == 4 ? 0 : 0x1.01p-8;
template <class Y>
constexpr double kGate = sizeof(Y) == 4 ? 0 : 1e-5;
template <class Y>
void expect_gated(Case& c, int64_t out, DType compute, Isa isa, Activation activation) {
  const int64_t half = out * c.in;
  const WeightView weights[] = {{c.w.data(), DType::kF32, out, c.in},
                                {c.w.data() + half, DType::kF32, out, c.in}};
  const WeightView biases[] = {{c.bias.data(), DType::kF32, 1, out},
                               {c.bias.data() + out, DType::kF32, 1, out}};
  auto both = Linear::pack_gated(weights, biases, compute, isa, c.team);
  ASSERT_TRUE(both.ok()) << both.error().message;
  ASSERT_EQ(both->out(), out);
  ASSERT_EQ(both->params(), 2 * half);
  const Linear gate = packed({&weights[0], 1}, {&biases[0], 1}, compute, isa, c.team);
  const Linear other = packed({&weights[1], 1}, {&biases[1], 1}, compute, isa, c.team);
  ASSERT_EQ(both->compute(), compute);
  ASSERT_EQ(gate.compute(), compute);
  ASSERT_EQ(other.compute(), compute);
  const int64_t whole = c.out;
  c.out = out;
  for (const int64_t rows : {c.rows, std::min<int64_t>(c.rows, 20), int64_t{1}}) {
    const auto y = c.run<Y>(*both, compute, 0, rows, {activation});
    const auto g = c.run<float>(gate, compute, 0, rows, {activation});
    const auto v = c.run<float>(other, compute, 0, rows);
    for (size_t i = 0; i < y.size(); ++i)  // activations for bf16 are fitted less closely
      ASSERT_NEAR(to_float(y[i]), g[i] * v[i],
                  kFit<Y> * std::fabs(g[i] * v[i]) + kGate<Y> * std::fabs(v[i]))
          << both->variant() << " rows=" << rows << " in=" << c.in << " out=" << out << " i=" << i;
  }
  c.out = whole;
}
TEST(Linear, GatesAreTheirPartsMultiplied) {
  for (const Shape& s :
       {Shape{1, 64, 32}, Shape{70, 200, 70}, Shape{40, 1088, 7}, Shape{300, 48, 160},
        Shape{1100, 130, 40}, Shape{33, 96, 600}, Shape{40, 4500, 24}}) {
    Case c(s.rows, s.in, 2 * s.out);
    for (int64_t r = 0; r < s.rows; r += 2)
      c.x[static_cast<size_t>(r * s.in + r % s.in)] = 90;  // loud channels
    for (const Isa isa : runnable()) {
      expect_gated<float>(c, s.out, DType::kF32, isa, Activation::kSilu);
      for (const DType compute : {DType::kBf16, DType::kI8, DType::kI4})
        for (const auto activation : {Activation::kSilu, Activation::kGeluTanh})
          expect_gated<bf16>(c, s.out, compute, isa, activation);
      expect_gated<float>(c, s.out, DType::kI8, isa, Activation::kGelu);
    }
  }
}

// 8-bit weights with a factor for each block equal the same values spelt out, in every type.
TEST(Linear, TakesScaledF8Weights) {
  Case c(3, 300, 140);
  std::vector<f8e4m3> low;
  for (float& w : c.w) {
    low.push_back({static_cast<uint8_t>(c.rng.below(256))});
    if ((low.back().bits & 0x7F) == 0x7F) low.back().bits = 3;  // a NaN
    w = to_float(low.back());
  }
  std::vector<bf16> scales;
  for (int i = 0; i < 6; ++i) scales.emplace_back(0.001f * static_cast<float>(i + 1));
  for (int64_t r = 0; r < c.out; ++r)
    for (int64_t k = 0; k < c.in; ++k)
      c.w[static_cast<size_t>(r * c.in + k)] *=
          to_float(scales[static_cast<size_t>(r / 128 * 3 + k / 128)]);
  WeightView weights[] = {
      {low.data(), DType::kF8E4M3, c.out, c.in, {scales.data(), DType::kBf16, 128, 128}}};
  EXPECT_EQ(weights[0].at(139, 299), c.w.back());
  const WeightView biases[] = {vector_view(c.bias)};
  for (DType compute : {DType::kF32, DType::kBf16, DType::kI8, DType::kI4}) {
    const Linear got = packed(weights, biases, compute, detect_isa(), c.team);
    const Linear want = c.pack(compute, detect_isa());
    EXPECT_EQ(got.compute(), want.compute());
    EXPECT_EQ(c.run<float>(got, got.compute(), 0, 3), c.run<float>(want, want.compute(), 0, 3));
  }
  low[5 * 300 + 7].bits = 0xFF;
  const auto refused = Linear::pack(weights, {}, DType::kBf16, detect_isa(), c.team);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("row 5"), std::string::npos) << refused.error().message;
}

TEST(Linear, OddRowsStayTheirOwn) {
  Case c(40, 130, 64);
  const Linear linear = c.pack(DType::kI8, detect_isa());
  const auto before = c.run<float>(linear, DType::kI8, 0, c.rows);
  for (int64_t k = 0; k < c.in; ++k) c.x[static_cast<size_t>(3 * c.in + k)] = 0;  // silent
  c.x[static_cast<size_t>(5 * c.in + 2)] = std::numeric_limits<float>::quiet_NaN();
  c.x[static_cast<size_t>(6 * c.in + 9)] = std::numeric_limits<float>::infinity();
  for (int64_t k = 0; k < c.in; ++k) c.x[static_cast<size_t>(7 * c.in + k)] *= 1e-36f;  // near zero
  for (Isa isa : runnable()) {
    const auto after = c.run<float>(c.pack(DType::kI8, isa), DType::kI8, 0, c.rows);
    for (int64_t r = 0; r < c.rows; ++r) {
      const float* y = after.data() + r * c.out;
      if (r == 3 || r == 7) {
        EXPECT_TRUE(same_bits(y, c.bias.data(), 64)) << isa_name(isa) << " row " << r;
      } else if (r == 5 || r == 6) {
        for (int64_t i = 0; i < c.out; ++i)
          EXPECT_TRUE(std::isnan(y[i])) << isa_name(isa) << " row " << r;
      } else {
        EXPECT_TRUE(same_bits(y, before.data() + r * c.out, 64)) << isa_name(isa) << " row " << r;
      }
    }
  }
}

TEST(Linear, NoRowsAndNoBias) {
  Case c(4, 33, 20);
  const WeightView weights[] = {view(c.w, 20, 33)};
  for (DType compute : {DType::kF32, DType::kBf16, DType::kI8, DType::kI4}) {
    const Linear linear = packed(weights, {}, compute, detect_isa(), c.team);
    EXPECT_GT(linear.bytes(), 0);
    EXPECT_TRUE(c.run<float>(linear, compute, 0, 0).empty());
    const auto got = c.run<float>(linear, compute, 0, 4);
    const auto want = expected(c.x, c.w, {}, 4, 33, 20);
    EXPECT_GT(cosine(got, want, 0, got.size()), compute == DType::kI4 ? 0.995 : 0.999);
  }
}

void expect_refused(std::span<const WeightView> weights, std::span<const WeightView> biases,
                    DType compute, const std::string& word) {
  ThreadTeam team({.workers = 2});
  const auto result = Linear::pack(weights, biases, compute, detect_isa(), team);
  ASSERT_FALSE(result.ok()) << word;
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
  EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(Linear, RefusesWhatCannotBe) {
  std::vector<float> a(40 * 8, 0.5f), b(3 * 9, 0.5f), bias(40, 0.0f);
  const WeightView good[] = {view(a, 40, 8)};
  expect_refused({}, {}, DType::kF32, "no weights");
  expect_refused(good, {}, DType::kF16, "f16");
  expect_refused(std::vector{view(a, 40, 8), view(b, 3, 9)}, {}, DType::kF32, "[3, 9]");
  expect_refused(std::vector{WeightView{a.data(), DType::kI32, 40, 8}}, {}, DType::kF32, "int32");
  expect_refused(std::vector{WeightView{nullptr, DType::kF32, 40, 8}}, {}, DType::kF32, "weight 0");
  expect_refused(std::vector{view(a, 0, 8)}, {}, DType::kF32, "[0, 8]");
  expect_refused(std::vector{WeightView{a.data(), DType::kF32, 1, int64_t{1} << 40}}, {},
                 DType::kF32, "at most");
  expect_refused(std::vector{WeightView{a.data(), DType::kF32, int64_t{1} << 40, 8}}, {},
                 DType::kF32, "in all");
  expect_refused(good, std::vector{view(bias, 1, 40), view(bias, 1, 40)}, DType::kF32, "2 biases");
  expect_refused(good, std::vector{view(bias, 1, 39)}, DType::kF32, "[1, 40]");

  for (DType compute : {DType::kF32, DType::kBf16, DType::kI8, DType::kI4}) {
    a[17 * 8 + 3] = std::numeric_limits<float>::quiet_NaN();
    expect_refused(good, {}, compute, "row 17");
    a[17 * 8 + 3] = -std::numeric_limits<float>::infinity();
    expect_refused(good, {}, compute, "row 17");
    a[17 * 8 + 3] = 0.5f;
  }
  const auto gated_refusal = [&](std::vector<WeightView> weights) {
    ThreadTeam team({.workers = 2});
    const auto result = Linear::pack_gated(weights, {}, DType::kI8, detect_isa(), team);
    return result.ok() ? "" : result.error().message;
  };
  EXPECT_NE(gated_refusal({view(a, 40, 8)}).find("1 weights"), std::string::npos);
  EXPECT_NE(gated_refusal({view(a, 20, 8), view(a, 40, 8)}).find("one shape"), std::string::npos);
  std::vector<float> spoilt = a;
  spoilt[33 * 8] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(
      gated_refusal({view(a, 40, 8), view(spoilt, 40, 8)}).find("weight 1 has a value in row 33"),
      std::string::npos);

  a[8] = std::numeric_limits<float>::max();  // finite in f32, not in bf16
  expect_refused(good, {}, DType::kBf16, "bf16");
  a[8] = 0.5f;
  bias[39] = std::numeric_limits<float>::infinity();
  expect_refused(good, std::vector{view(bias, 1, 40)}, DType::kF32, "bias 0");
}

}  // namespace
}  // namespace sis::ops
