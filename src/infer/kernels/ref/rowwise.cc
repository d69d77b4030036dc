// The definitions in plain C++, sums in double.
#include "infer/kernels/rowwise.h"

#include <algorithm>
#include <cmath>

namespace sis::kernels::ref {

void layer_norm(const LayerNormArgs& a, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* x = a.x.row(r);
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < a.x.cols; ++c) sum += x[c];
    const double mean = sum / static_cast<double>(a.x.cols);
    for (int64_t c = 0; c < a.x.cols; ++c) squares += (x[c] - mean) * (x[c] - mean);
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(a.x.cols) + a.eps);
    for (int64_t c = 0; c < a.x.cols; ++c) {
      const auto y = static_cast<float>((x[c] - mean) * factor * a.gamma[c] + a.beta[c]);
      a.y.at(r, c) = y;
      if (a.low.data) a.low.at(r, c) = bf16(y);
    }
  }
}

void embed_rows(const EmbedRowsArgs& a, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t)
    for (int64_t c = 0; c < a.y.cols; ++c) {
      float sum = a.word.at(a.ids[t], c) + a.position.at(a.positions[t], c);
      if (!a.type.empty()) sum += a.type.at(a.types ? a.types[t] : 0, c);
      a.y.at(t, c) = sum;
    }
}

void fold_rows(const FoldRowsArgs& a, int64_t begin, int64_t end) {
  for (int64_t c = begin; c < end; ++c) {
    double sum = 0;
    float top = a.x.at(0, c);
    for (int64_t t = 0; t < a.x.rows; ++t) {
      sum += a.x.at(t, c);
      top = std::max(top, a.x.at(t, c));
    }
    a.out[c] = a.fold == Fold::kSum ? static_cast<float>(sum * a.factor) : top;
  }
}

void normalise_rows(Mat<float> x, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < x.cols; ++c) squares += static_cast<double>(x.at(r, c)) * x.at(r, c);
    if (squares == 0) continue;
    const double factor = 1.0 / std::sqrt(squares);
    for (int64_t c = 0; c < x.cols; ++c) x.at(r, c) = static_cast<float>(x.at(r, c) * factor);
  }
}

}  // namespace sis::kernels::ref
