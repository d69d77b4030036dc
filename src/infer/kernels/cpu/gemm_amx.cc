// AMX: bf16 and int8 products on tiles of 16 x 64 bytes.
//
// One step multiplies 32 rows by 32 columns over 64 bytes of K with four accumulator tiles, so each
// tile loaded is used twice. A block of weights (32 columns x 8 tiles of K, 16 KB) stays in L1
// while the rows of a chunk stream past it from L2; weights are read once per chunk, in the order
// they lie in memory, and the next ones are fetched meanwhile. A chunk is as many rows as half of
// L2 holds.
//
// Sums wait in scratch between blocks of K. When the last one is done, they go through the epilogue
// while the next columns are multiplied, a few rows at a time between the steps. (While tiles
// multiply, vectors have one of their two ports; memory stalls of one side are still hidden by the
// other.)
//
// Every element sums over K in the same order, whatever the rows beside it.
#include <immintrin.h>

#include "infer/kernels/cpu/gemm_epilogue.h"
#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm::amx {
namespace {

constexpr int64_t kPanelsMax = 32;              // rows of a chunk / 32
constexpr int64_t kChunkBytes = 1 << 20;        // of prepared rows
constexpr int64_t kFetchAhead = 16 * 1024;      // how far weights are fetched ahead, into L2
constexpr int64_t kBlockSums = 4 * kHalfBytes;  // sums of 32 rows x 32 columns, as four tiles
constexpr int64_t kTileStep = 2 * kHalfBytes;   // rows or weights of one step

template <bool kInt8>
struct SumOf {
  using Type = float;
};
template <>
struct SumOf<true> {
  using Type = int32_t;
};

struct __attribute__((packed)) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t col_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

inline void fetch_l2(const uint8_t* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
}
inline void fetch_to_write(const uint8_t* p) { asm volatile("prefetchw %0" ::"m"(*p)); }

// Does things at an even rate: `total` of them over `steps` steps.
struct Pace {
  int64_t total = 0, steps = 1, credit = 0;
  void begin(int64_t new_total, int64_t new_steps) {
    total = new_total, steps = new_steps, credit = 0;
  }
  void step() { credit += total; }
  bool due() {
    if (credit < steps) return false;
    credit -= steps;
    return true;
  }
};

// What runs between the tile instructions: the epilogue of the columns before, fetching weights,
// and fetching the lines of y that the columns at work will be written to.
template <class Acc>
struct Side {
  const Product& p;
  Pace finish_pace, weights_pace, y_pace;
  const uint8_t* weights = nullptr;
  const uint8_t* y = nullptr;
  int64_t y_step = 0;
  // Sums of one block of columns, panel after panel.
  const uint8_t* sums = nullptr;
  int64_t block = 0, row = 0, rows = 0, next = 0;

  const Acc* next_sums() const {
    return reinterpret_cast<const Acc*>(sums + next / 32 * kBlockSums +
                                        next % 32 / 16 * 2 * kHalfBytes + next % 16 * 64);
  }
  __attribute__((noinline)) void finish_four() {
    const Acc* acc = next_sums();
    finish_rows<F32x16, 4>(p, row + next, block, acc, acc + kHalfBytes / 4, 16);
    next += 4;
  }
  void finish_all() {
    while (next + 4 <= rows) finish_four();
    for (; next < rows; ++next) {
      const Acc* acc = next_sums();
      finish_rows<F32x16, 1>(p, row + next, block, acc, acc + kHalfBytes / 4, 16);
    }
    finish_pace.total = 0;
  }
  inline __attribute__((always_inline)) void step() {
    for (weights_pace.step(); weights_pace.due(); weights += 64) fetch_l2(weights);
    for (y_pace.step(); y_pace.due(); y += y_step) {
      fetch_to_write(y);
      if (!p.y_bf16) fetch_to_write(y + 64);
    }
    for (finish_pace.step(); finish_pace.due();) finish_four();
  }
};

#define SIS_TDP(c, a, b)       \
  do {                         \
    if constexpr (kInt8)       \
      _tile_dpbssd(c, a, b);   \
    else                       \
      _tile_dpbf16ps(c, a, b); \
  } while (0)

// 32 rows x 32 columns over `steps` tiles of K.
template <bool kInt8, class Acc>
inline __attribute__((always_inline)) void multiply_32x32(const uint8_t* a, const uint8_t* b,
                                                          uint8_t* sums, int64_t steps, bool first,
                                                          Side<Acc>& side) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + kHalfBytes, 64);
    _tile_loadd(2, sums + 2 * kHalfBytes, 64);
    _tile_loadd(3, sums + 3 * kHalfBytes, 64);
  }
  for (int64_t k = 0; k < steps; ++k, a += kTileStep, b += kTileStep) {
    _tile_loadd(6, b, 64);
    _tile_loadd(4, a, 64);
    SIS_TDP(0, 4, 6);
    _tile_loadd(7, b + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
    _tile_loadd(5, a + kHalfBytes, 64);
    SIS_TDP(2, 5, 6);
    SIS_TDP(3, 5, 7);
    side.step();
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + kHalfBytes, 64);
  _tile_stored(2, sums + 2 * kHalfBytes, 64);
  _tile_stored(3, sums + 3 * kHalfBytes, 64);
}

// 16 rows x 32 columns: the last panel, where that is all it has.
template <bool kInt8, class Acc>
inline __attribute__((always_inline)) void multiply_16x32(const uint8_t* a, const uint8_t* b,
                                                          uint8_t* sums, int64_t steps, bool first,
                                                          Side<Acc>& side) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
  } else {
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + kHalfBytes, 64);
  }
  for (int64_t k = 0; k < steps; ++k, a += kTileStep, b += kTileStep) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    SIS_TDP(0, 4, 6);
    _tile_loadd(7, b + kHalfBytes, 64);
    SIS_TDP(1, 4, 7);
    side.step();
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + kHalfBytes, 64);
}

// Rows [begin, end) times blocks [block_begin, block_end).
template <bool kInt8, class Acc>
void multiply_chunk(const Product& p, int64_t begin, int64_t end, int64_t block_begin,
                    int64_t block_end, uint8_t* scratch, Side<Acc>& side) {
  const KBlocks k_blocks(p.weights.k_tiles);
  const int64_t block_bytes = p.weights.k_tiles * kTileStep;
  const int64_t panels_total = (p.rows + kPanelRows - 1) / kPanelRows;
  const int64_t panels = (end - begin + kPanelRows - 1) / kPanelRows;
  const int64_t y_bytes = p.y_bf16 ? 2 : 4;
  side.weights = p.weights.tiles + block_begin * block_bytes + kFetchAhead;
  side.y_step = p.y_stride * y_bytes;
  for (int64_t block = block_begin; block < block_end; ++block) {
    // The epilogue still reads the other half.
    uint8_t* sums = scratch + block % 2 * kPanelsMax * kBlockSums;
    const int64_t steps = panels * p.weights.k_tiles;
    side.weights_pace.begin(block_bytes / 64, steps);
    side.y = static_cast<const uint8_t*>(p.y) + (begin * p.y_stride + block * kBlockCols) * y_bytes;
    side.y_pace.begin(end - begin, steps);
    side.finish_pace.begin(side.rows / 4, steps);
    for (int64_t kb = 0; kb < k_blocks.count; ++kb) {
      const int64_t k0 = k_blocks.begin(kb), k_steps = k_blocks.end(kb) - k0;
      const uint8_t* a =
          p.prepared + (k0 * panels_total + begin / kPanelRows * k_steps) * kTileStep;
      const uint8_t* b = p.weights.tiles + block * block_bytes + k0 * kTileStep;
      for (int64_t panel = 0; panel < panels; ++panel, a += k_steps * kTileStep) {
        if (end - begin - panel * kPanelRows > 16) {
          multiply_32x32<kInt8>(a, b, sums + panel * kBlockSums, k_steps, kb == 0, side);
        } else {
          multiply_16x32<kInt8>(a, b, sums + panel * kBlockSums, k_steps, kb == 0, side);
        }
      }
    }
    side.finish_all();
    side.sums = sums, side.block = block, side.row = begin, side.rows = end - begin, side.next = 0;
  }
  side.finish_all();
  side.rows = 0;
}

template <bool kInt8>
void multiply(const Product& p, int64_t row_begin, int64_t row_end, int64_t block_begin,
              int64_t block_end, uint8_t* scratch) {
  const TileConfig config;
  _tile_loadconfig(&config);
  asm volatile("" ::: "memory");  // the compiler does not know that tile loads read memory

  int64_t panels_max = kChunkBytes / (p.weights.k_tiles * kTileStep);
  panels_max = panels_max < 4            ? 4
               : panels_max > kPanelsMax ? static_cast<int64_t>(kPanelsMax)
                                         : panels_max;
  const int64_t panels = (row_end - row_begin + kPanelRows - 1) / kPanelRows;
  const int64_t chunks = (panels + panels_max - 1) / panels_max;
  Side<typename SumOf<kInt8>::Type> side{p};
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t begin = row_begin + panels * chunk / chunks * kPanelRows;
    const int64_t end = row_begin + panels * (chunk + 1) / chunks * kPanelRows;
    multiply_chunk<kInt8>(p, begin, end < row_end ? end : row_end, block_begin, block_end, scratch,
                          side);
  }
  _tile_release();
}

void copy_rows(const Product& p, int64_t begin, int64_t end) {
  const int64_t k_max = p.weights.in, tiles = p.weights.k_tiles;
  for (int64_t row = begin; row < end; ++row) {
    const TileMajor layout(p, row);
    const uint16_t* x = static_cast<const uint16_t*>(p.x) + row * p.x_stride;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t left = k_max - t * 32;
      const __mmask32 mask = left >= 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
      _mm512_store_si512(layout.line(t), _mm512_maskz_loadu_epi16(mask, x + t * 32));
    }
  }
}

constexpr int64_t kScratchBytes = 2 * kPanelsMax * kBlockSums;

}  // namespace

const Kernel kBf16{copy_rows, multiply<false>, 0, kScratchBytes};
const Kernel kInt8{quantise_rows<TileMajor>, multiply<true>, 0, kScratchBytes};

}  // namespace sis::gemm::amx
