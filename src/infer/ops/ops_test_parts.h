// What the tests of operations share: the levels this machine runs, a machine per level, guarded
// matrices.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "infer/ops/context.h"
#include "infer/tensor/mat.h"

namespace sis {

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
  static Guarded normal(Rng& rng, int64_t rows, int64_t cols, float spread = 1, float mean = 0) {
    Guarded m(rows, cols);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        m.at(r, c) = T(mean + spread * static_cast<float>(rng.normal()));
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

}  // namespace sis
