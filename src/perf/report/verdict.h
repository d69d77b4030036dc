// Whether the figures of a run describe the server, the generator, or nothing whole.
#pragma once

#include <cstdint>
#include <string>

#include "perf/load/run.h"

namespace sis::perf {

enum class VerdictKind : uint8_t {
  kValid,
  kGeneratorSaturated,  // the generator ran out of CPU or sent late: the figures are its own limit
  kServerSaturated,     // open loop: the wanted rate was not taken
  kIncomplete,          // interrupted, or the server went away
  kFailed,              // no good answer at all
};
const char* verdict_name(VerdictKind kind);

struct Verdict {
  VerdictKind kind = VerdictKind::kValid;
  std::string reason;  // with what may help where the generator is at fault
};

Verdict judge_run(const RunOptions& options, const RunResult& result);

}  // namespace sis::perf
