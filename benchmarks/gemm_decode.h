// Decode steps: a few rows through all linear layers of a model, against a plain read of memory.
//
// With so few rows a step takes as long as reading the weights, so the figure is GB/s of packed
// weights and its share of what plain loads reach on the same threads in the same round. More than
// 1 GB of weights take turns, so that none is found in a cache.
#pragma once

#include <cstdint>
#include <string>

#include "infer/kernels/isa.h"

namespace sis {

struct DecodeOptions {
  bool smoke = false;  // tiny, figures mean nothing
  Isa isa = Isa::kRef;
  uint64_t seed = 1;
  int rounds = 15;
  int threads = 2;
  std::string only;  // part of "TYPE MODEL", e.g. "int8"
};

// Prints a table; exits with 1 when a layer cannot be packed.
void run_decode(const DecodeOptions& options);

}  // namespace sis
