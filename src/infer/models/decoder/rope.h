// Rotary position embedding: the frequencies of one head.
//
//   default  f_i = theta^(-2 i / d),  i < d / 2                                  (arXiv 2104.09864)
//   linear   f_i / factor
//   llama3   f_i where its wavelength is short, f_i / factor where it is long, a mixture between
//            (Llama 3.1's model card)
//   yarn     a ramp between f_i and f_i / factor over the dimensions, and a factor on the result
//            (arXiv 2309.00071)
// Computed as transformers does, so that the results are the same f32 numbers.
#pragma once

#include <vector>

#include "infer/models/decoder/config.h"

namespace sis::models::decoder {

struct Frequencies {
  std::vector<float> inverse;  // [head_dim / 2], radians per position
  float factor = 1;            // on cos and sin
};

Frequencies rope_frequencies(const Rope& rope, int32_t head_dim);

}  // namespace sis::models::decoder
