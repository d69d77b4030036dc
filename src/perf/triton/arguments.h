// The shape of perf_analyzer's command line: short flags, and flags of its that we do not have.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace sis::perf {

struct LongArguments {
  std::vector<std::string> arguments;  // long flags only
  int verbosity = 0;                   // how often -v was there
};

// `-m NAME`, `-mNAME` become `--model NAME`; deprecated flags become their successors. Errors: a
// flag of perf_analyzer that cannot work here, with the reason.
Result<LongArguments> to_long_arguments(const std::vector<std::string>& arguments);

}  // namespace sis::perf
