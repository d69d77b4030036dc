// Grammar masks, computed beside the forward pass of a step.
//
// add() hands a mask to the pool, or keeps it when the pool is full; wait() computes what was kept
// and returns when all masks are there. Executor thread; nothing is allocated per mask.
#pragma once

#include <atomic>
#include <vector>

#include "base/task_pool.h"
#include "infer/engine/request.h"

namespace sis::engine {

class MaskWork {
 public:
  explicit MaskWork(TaskPool& pool) : pool_(pool) {}

  // Fills choice.mask, which has its size already, and starts the matcher if need be; the choice
  // stays untouched until wait() has returned.
  void add(Choice& choice);
  void wait();

 private:
  static void compute(Choice& choice);

  TaskPool& pool_;
  std::atomic<int32_t> pending_{0};
  std::vector<Choice*> kept_;
};

}  // namespace sis::engine
