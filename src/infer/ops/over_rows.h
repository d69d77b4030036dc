// How ops share rows out among the device's workers.
#pragma once

#include <cstdint>

#include "infer/ops/context.h"

namespace sis::ops {

// Waking the team costs a few microseconds; below this many elements (about 64 KiB of f32) one
// worker is done sooner.
inline constexpr int64_t kElementsAlone = 16 * 1024;
inline constexpr int64_t kRowGrain = 4;

// body(begin, end) over rows, on the team when it is worth it.
template <class Body>
void over_rows(Context& context, int64_t rows, int64_t elements, const Body& body) {
  if (elements <= kElementsAlone || context.team.workers() == 1) {
    if (rows > 0) body(int64_t{0}, rows);
    return;
  }
  context.team.split(rows, kRowGrain, [&](int64_t begin, int64_t end, int) { body(begin, end); });
}

}  // namespace sis::ops
