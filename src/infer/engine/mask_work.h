// Grammar masks, computed beside the forward pass of a step.
//
// add() collects, start() asks the pool to begin, wait() computes what nobody has begun and returns
// when all are there: a pool that is busy with something long delays no step. A mask that ends with
// an exception fails its choice alone. Executor thread.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/task_pool.h"
#include "infer/engine/request.h"

namespace sis::engine {

class MaskWork {
 public:
  explicit MaskWork(TaskPool& pool) : pool_(pool) {}

  // Fills choice.mask, which has its size already, and starts the matcher if need be, or sets
  // choice.mask_fault; the choice stays untouched until wait() has returned.
  void add(Choice& choice);
  void start();
  void wait();

 private:
  // One step's masks. Jobs that the pool begins after wait() find nothing left to take, so they
  // may outlive the choices.
  struct Batch {
    std::vector<Choice*> choices;
    std::atomic<size_t> next{0};
    std::atomic<size_t> done{0};
    void work();
  };

  TaskPool& pool_;
  std::shared_ptr<Batch> batch_;  // shared with the pool's jobs
};

}  // namespace sis::engine
