// Puts header lines into every request of another workload.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "perf/load/workload.h"
#include "perf/plan/plan.h"

namespace sis::perf {

// The same workload with `headers` behind its request line. Errors: names or values that HTTP does
// not allow, and Host, Content-Length, Connection and Transfer-Encoding, which are the generator's.
Result<std::unique_ptr<Workload>> with_headers(std::unique_ptr<Workload> workload,
                                               const NamedTexts& headers);

}  // namespace sis::perf
