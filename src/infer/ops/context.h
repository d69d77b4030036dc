// What an operation may use while it runs: the device's workers and scratch of this step.
#pragma once

#include "base/clock.h"
#include "base/thread_team.h"
#include "infer/kernels/isa.h"
#include "infer/tensor/buffer.h"

namespace sis::ops {

// Owned by the device executor, lent to one forward pass at a time. Ops split their loops over
// `team` (the caller is worker 0) and take scratch from `workspace` before the split, never inside
// it.
struct Context {
  ThreadTeam& team;
  Workspace& workspace;
  Isa isa = Isa::kRef;
  Duration time_wanted{};  // others wait for the device: a step should take no longer; 0: no hurry
};

}  // namespace sis::ops
