// Memory for the packed weights of one model, so that small matrices share large pages.
//
// A matrix of 1 MB in memory of its own lies in 4 KB pages, and few rows then read it at two thirds
// of the rate. The arena cuts matrices from chunks; a chunk goes back to the system with the last
// matrix in it. Pages never written take no memory. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "infer/tensor/buffer.h"

namespace sis::ops {

class WeightArena {
 public:
  // A part of a chunk, zeroed and 64-byte aligned. Keeps its chunk alive, hence shared.
  struct Part {
    std::shared_ptr<Buffer> chunk;
    uint8_t* data = nullptr;
    int64_t bytes = 0;
  };
  Part take(int64_t bytes);
  // Takes back the part that was taken last. Others stay until their chunk goes.
  void give_back(Part part);
  // Memory of its own, without an arena.
  static Part alone(int64_t bytes);

 private:
  std::shared_ptr<Buffer> chunk_;
  int64_t used_ = 0;
};

}  // namespace sis::ops
