// How a head as it is stored, in order of dimension, lies in the tiles of the cache.
#pragma once

#include "infer/kernels/cpu/row_vectors.h"

#include "infer/kernels/kv_layout.h"

namespace sis::kernels {
namespace {

// `Element`s of 16 keys lie side by side: two neighbouring dimensions of bf16, one of int8.
template <class Element>
SIS_INLINE void lay_key(const std::byte* from, int padded, int j, std::byte* tile) {
  constexpr int kPerHalf = sizeof(Element) == 1 ? 32 : 16;  // of 32 dimensions
  Element* to = reinterpret_cast<Element*>(tile) + j / 16 * (16 * kPerHalf) + j % 16;
  const Element* elements = reinterpret_cast<const Element*>(from);
  for (int d = 0; d < padded; d += 32, to += 32 * kPerHalf, elements += kPerHalf)
#pragma GCC unroll 32
    for (int p = 0; p < kPerHalf; ++p) to[p * 16] = elements[p];
}
// Every second element of a row of 16 dimensions belongs to this key.
SIS_INLINE void lay_values(const std::byte* from, int padded, int j, std::byte* tile) {
  uint16_t* to = reinterpret_cast<uint16_t*>(tile) + j % 16 * 32;
  const uint16_t* x = reinterpret_cast<const uint16_t*>(from);
  for (int d = 0; d < padded; d += 16, to += 512, x += 16) {
#if defined(__AVX512BW__)
    const __m512i wide =
        _mm512_cvtepu16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(x)));
    if (j >= 16)
      _mm512_mask_storeu_epi16(to, 0xAAAAAAAA, _mm512_slli_epi32(wide, 16));
    else
      _mm512_mask_storeu_epi16(to, 0x55555555, wide);
#else
    for (int i = 0; i < 16; ++i) to[2 * i + j / 16] = x[i];
#endif
  }
}
// One half of the row does.
SIS_INLINE void lay_values_int8(const std::byte* from, int padded, int j, std::byte* tile) {
  std::byte* const to = tile + j % 16 * 32 + j / 16 * 16;
  for (int d = 0; d < padded; d += 16) __builtin_memcpy(to + d * 32, from + d, 16);
}

SIS_INLINE void cache_key(const std::byte* stored, const KvLayer& cache, int j, std::byte* tiles) {
  const int padded = cache.dim_padded;
  if (cache.dtype == DType::kBf16) {
    lay_key<uint32_t>(stored, padded, j, tiles);
  } else if (cache.dtype == DType::kI8) {
    lay_key<uint8_t>(stored, padded, j, tiles);
  } else {
    float* to = reinterpret_cast<float*>(tiles) + j / 16 * (padded * 16) + j % 16;
    for (int d = 0; d < padded; ++d) to[d * 16] = reinterpret_cast<const float*>(stored)[d];
  }
}
SIS_INLINE void cache_value(const std::byte* stored, const KvLayer& cache, int j,
                            std::byte* tiles) {
  const int padded = cache.dim_padded;
  std::byte* const tile = tiles + cache.tile_bytes;
  if (cache.dtype == DType::kF32)
    __builtin_memcpy(tile + j * padded * 4, stored, static_cast<size_t>(padded) * 4);
  else if (cache.dtype == DType::kI8)
    lay_values_int8(stored, padded, j, tile);
  else
    lay_values(stored, padded, j, tile);
}

}  // namespace
}  // namespace sis::kernels
