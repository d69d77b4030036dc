// What the tests of decoder steps share: machines, guarded matrices, and a pool whose elements are
// found by the layout's description in kernels/kv_layout.h.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "infer/ops/decoder_ops.h"

namespace sis {

inline constexpr uint64_t kSeed = 20250314;

inline std::vector<Isa> runnable() {
  std::vector<Isa> levels;
  for (int i = 0; i <= static_cast<int>(detect_isa()); ++i) levels.push_back(static_cast<Isa>(i));
  return levels;
}

struct Machine {
  Machine(Isa isa, int workers)
      : team({.workers = workers, .pin = false, .spin_us = 0}), context{team, workspace, isa} {}
  ThreadTeam team;
  Workspace workspace;
  ops::Context context;
};

// One per level and number of workers for the whole program: threads are slow to start.
inline ops::Context& machine(Isa isa, int workers = 2) {
  static std::map<std::pair<Isa, int>, std::unique_ptr<Machine>> machines;
  auto& found = machines[{isa, workers}];
  if (!found) found = std::make_unique<Machine>(isa, workers);
  found->workspace.reset();
  return found->context;
}

// A matrix with padded rows between guard values, which operations must leave alone.
template <class T>
class Guarded {
 public:
  Guarded(int64_t rows, int64_t cols, int64_t pad = 3)
      : rows_(rows), cols_(cols), stride_(cols + pad) {
    data_.assign(static_cast<size_t>(rows * stride_ + 2 * kMargin), T(kGuard));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) at(r, c) = T(0.0f);
  }
  static Guarded normal(Rng& rng, int64_t rows, int64_t cols, float spread = 1) {
    Guarded m(rows, cols);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) m.at(r, c) = T(spread * static_cast<float>(rng.normal()));
    return m;
  }
  Mat<T> mat() { return {data_.data() + kMargin, rows_, cols_, stride_}; }
  T& at(int64_t r, int64_t c) { return data_[static_cast<size_t>(kMargin + r * stride_ + c)]; }
  float value(int64_t r, int64_t c) { return to_float(at(r, c)); }
  bool same_row(int64_t r, Guarded& other, int64_t other_row) {
    return std::memcmp(&at(r, 0), &other.at(other_row, 0),
                       static_cast<size_t>(cols_) * sizeof(T)) == 0;
  }
  bool guards_intact() {
    const auto is_guard = [](T x) { return to_float(x) == kGuard; };
    for (int64_t i = 0; i < kMargin; ++i)
      if (!is_guard(data_[i]) || !is_guard(data_[data_.size() - 1 - i])) return false;
    for (int64_t r = 0; r + 1 < rows_; ++r)
      for (int64_t c = cols_; c < stride_; ++c)
        if (!is_guard(at(r, c))) return false;
    return true;
  }

 private:
  static constexpr float kGuard = -768.0f;  // exact in bf16
  static constexpr int64_t kMargin = 64;
  int64_t rows_, cols_, stride_;
  std::vector<T> data_;
};

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
