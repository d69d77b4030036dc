// What the tests of decoder steps share: a pool whose elements are
// found by the layout's description in kernels/kv_layout.h.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "infer/ops/decoder_ops.h"
#include "infer/ops/ops_test_parts.h"

namespace sis {

inline constexpr uint64_t kSeed = 20250314;

// A pool of blocks; kernels may count on nothing in it but that floats are finite, so unwritten
// places hold large numbers.
class Pool {
 public:
  Pool(const kernels::KvLayout& layout, int32_t blocks)
      : layout_(layout), memory_(static_cast<size_t>(blocks * layout.block_bytes())) {
    const int64_t floats = static_cast<int64_t>(memory_.size()) / 4;
    switch (layout.dtype) {
      case DType::kBf16:
        for (int64_t i = 0; i < 2 * floats; ++i) memory_.as<bf16>()[i] = bf16(-3e4f);
        break;
      case DType::kF32:
        for (int64_t i = 0; i < floats; ++i) memory_.as<float>()[i] = -3e4f;
        break;
      default:  // as scales these bytes are a finite float as well
        std::memset(memory_.data(), 0x47, memory_.size());
    }
  }

  ops::KvView view() { return {memory_.data(), layout_}; }
  const kernels::KvLayout& layout() const { return layout_; }
  const Buffer& memory() const { return memory_; }

  // Key (or value) of a head at a place of a block, dequantised.
  float value(bool key, int32_t block, int32_t layer, int32_t head, int j, int d) const {
    const std::byte* const tiles = memory_.data() + block * layout_.block_bytes() +
                                   layer * layout_.layer_bytes() + head * layout_.head_bytes();
    const std::byte* const tile = tiles + (key ? 0 : layout_.tile_bytes());
    const int64_t padded = layout_.dim_padded();
    if (layout_.dtype == DType::kF32)
      return reinterpret_cast<const float*>(
          tile)[key ? (j / 16 * padded + d) * 16 + j % 16 : j * padded + d];
    // Pairs of dimensions of a key, of tokens of a value; bf16 keeps them together, int8 apart.
    const int64_t pair = key ? ((d / 32 * 2 + j / 16) * 16 + d % 32 / 2) * 16 + j % 16
                             : (d / 16 * 16 + j % 16) * 16 + d % 16;
    const int64_t part = key ? d % 2 : j / 16;
    if (layout_.dtype == DType::kBf16)
      return to_float(reinterpret_cast<const bf16*>(tile)[pair * 2 + part]);
    const auto* scales = reinterpret_cast<const float*>(tiles + 2 * layout_.tile_bytes());
    const int8_t q = reinterpret_cast<const int8_t*>(tile)[pair / 16 * 32 + part * 16 + pair % 16];
    return static_cast<float>(q) * scales[key ? j : 32 + j];
  }

 private:
  kernels::KvLayout layout_;
  Buffer memory_;
};

}  // namespace sis
