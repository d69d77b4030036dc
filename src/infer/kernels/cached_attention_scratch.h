// How cached attention divides its scratch. Unnamed namespace: each variant's file gets its own
// copy.
#pragma once

#include <cstddef>

#include "infer/kernels/cached_attention.h"

namespace sis::kernels {
namespace {

constexpr int kRowBlock = 32;  // rows whose scores are computed together
constexpr int kStepKeys = 64;  // keys between two looks at the maximum; divides kSpanKeys

struct CachedScratch {
  int dim;  // dim_padded
  size_t queries, totals, span, tiles, scores, weights, lanes, bytes;
};
[[gnu::always_inline]] inline CachedScratch cached_scratch(int dim_padded) {
  CachedScratch s;
  s.dim = dim_padded;
  size_t used = 0;
  const auto take = [&](size_t floats) __attribute__((always_inline)) {
    const size_t at = used;
    used += floats * sizeof(float);
    return at;
  };
  const auto dim = static_cast<size_t>(dim_padded);
  s.queries = take(kCachedRowsMax * dim);
  s.totals = take(kCachedRowsMax * (dim + 2));
  s.span = take(3 * kRowBlock * (dim + 2));
  s.tiles = take(2 * kSpanKeys * dim);
  s.scores = take(2 * kRowBlock * kStepKeys);
  s.weights = take(2 * kRowBlock * kStepKeys);
  s.lanes = take(kRowBlock * 16 * 2 + 4 * kStepKeys);
  s.bytes = used;
  return s;
}

}  // namespace
}  // namespace sis::kernels
