#include "infer/kernels/cpu/cached_attention_pairs.h"

namespace sis::kernels::amx {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t col_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
// The intrinsics do not tell the compiler that tile loads read memory.
SIS_INLINE void settle_memory() { asm volatile("" ::: "memory"); }

// Tiles 0-3 = 2x2 of C, 4-5 = A, 6-7 = B.
struct Products : PairTiles {
  SIS_INLINE void begin(const Work<Products>&) {
    TileConfig config;
    asm volatile("" ::"r"(&config) : "memory");
    _tile_loadconfig(&config);
  }
  SIS_INLINE void end() { _tile_release(); }

  SIS_INLINE void scores(const float* q, int count, const Step& step, int dim, float* scores) {
    settle_memory();
    const bool two = count > 16;
    const float* const q1 = q + 16 * (dim / 2);
    for (int half = 0; half < step.keys / kKvBlockTokens; ++half) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      const float* k = step.k[half];
      for (int d = 0; d < dim / 2; d += 16, k += 512) {
        _tile_loadd(4, q + d, dim * 2);
        _tile_loadd(6, k, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, k + 256, 64);
        _tile_dpbf16ps(1, 4, 7);
        if (!two) continue;
        _tile_loadd(5, q1 + d, dim * 2);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      float* const to = scores + half * kKvBlockTokens;
      _tile_stored(0, to, kStepKeys * 4);
      _tile_stored(1, to + 16, kStepKeys * 4);
      if (!two) continue;
      _tile_stored(2, to + 16 * kStepKeys, kStepKeys * 4);
      _tile_stored(3, to + 16 * kStepKeys + 16, kStepKeys * 4);
    }
    settle_memory();
  }

  SIS_INLINE void add_values(const float* p, int count, const Step& step, int dim, bool first,
                             float* values) {
    settle_memory();
    const bool two = count > 16;
    for (int c = 0; c < dim; c += 32) {
      float* const to = values + c;
      float* const to1 = to + 16 * dim;
      if (first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      } else {
        _tile_loadd(0, to, dim * 4);
        _tile_loadd(1, to + 16, dim * 4);
        if (two) {
          _tile_loadd(2, to1, dim * 4);
          _tile_loadd(3, to1 + 16, dim * 4);
        }
      }
      for (int half = 0; half < step.keys / kKvBlockTokens; ++half) {
        const float* const v = step.v[half] + c * 16;
        _tile_loadd(4, p + half * 16, kStepKeys * 2);
        _tile_loadd(6, v, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, v + 256, 64);
        _tile_dpbf16ps(1, 4, 7);
        if (!two) continue;
        _tile_loadd(5, p + half * 16 + 16 * (kStepKeys / 2), kStepKeys * 2);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, to, dim * 4);
      _tile_stored(1, to + 16, dim * 4);
      if (!two) continue;
      _tile_stored(2, to1, dim * 4);
      _tile_stored(3, to1 + 16, dim * 4);
    }
    settle_memory();
  }
};

void attend(const CachedRows<bf16>& a, int32_t first, int32_t last, float* partials,
            std::byte* scratch) {
  attend_cached<Products>(a, first, last, partials, scratch);
}
void finish(const CachedRows<bf16>& a, int32_t spans, float* partials) {
  finish_cached(a, spans, partials);
}

}  // namespace

const CachedAttention<bf16> kCachedBf16{attend, finish};

}  // namespace sis::kernels::amx
