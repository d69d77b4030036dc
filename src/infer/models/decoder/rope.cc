#include "infer/models/decoder/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sis::models::decoder {
namespace {

void scale_llama3(const Rope& rope, std::vector<float>& inverse) {
  const double longest = rope.original_positions / rope.low_freq_factor;
  const double shortest = rope.original_positions / rope.high_freq_factor;
  for (float& f : inverse) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / f;
    if (wavelength < shortest) continue;
    if (wavelength > longest) {
      f = f / static_cast<float>(rope.factor);
    } else {
      const float smooth = (static_cast<float>(rope.original_positions) / wavelength -
                            static_cast<float>(rope.low_freq_factor)) /
                           static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
      f = (1 - smooth) * f / static_cast<float>(rope.factor) + smooth * f;
    }
  }
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

float scale_yarn(const Rope& rope, int32_t head_dim, std::vector<float>& inverse) {
  // The dimension that turns `rotations` times within the original context.
  const auto dimension = [&](double rotations) {
    return head_dim * std::log(rope.original_positions / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = dimension(rope.beta_fast), high = dimension(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_dim - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < inverse.size(); ++i) {
    const float ramp =
        std::clamp(static_cast<float>((static_cast<double>(i) - low) / (high - low)), 0.0f, 1.0f);
    const float stretched = inverse[i] / static_cast<float>(rope.factor);
    inverse[i] = stretched * ramp + inverse[i] * (1 - ramp);
  }
  if (rope.attention_factor > 0) return static_cast<float>(rope.attention_factor);
  if (rope.mscale > 0 && rope.mscale_all_dim > 0)
    return static_cast<float>(yarn_mscale(rope.factor, rope.mscale) /
                              yarn_mscale(rope.factor, rope.mscale_all_dim));
  return static_cast<float>(yarn_mscale(rope.factor, 1));
}

}  // namespace

Frequencies rope_frequencies(const Rope& rope, int32_t head_dim) {
  Frequencies f;
  f.inverse.resize(head_dim / 2);
  for (int32_t i = 0; i < head_dim / 2; ++i)
    f.inverse[i] = 1.0f / std::pow(static_cast<float>(rope.theta),
                                   static_cast<float>(2 * i) / static_cast<float>(head_dim));
  switch (rope.kind) {
    case Rope::Kind::kDefault:
      break;
    case Rope::Kind::kLinear:
      for (float& value : f.inverse) value /= static_cast<float>(rope.factor);
      break;
    case Rope::Kind::kLlama3:
      scale_llama3(rope, f.inverse);
      break;
    case Rope::Kind::kYarn:
      f.factor = scale_yarn(rope, head_dim, f.inverse);
      break;
  }
  return f;
}

}  // namespace sis::models::decoder
