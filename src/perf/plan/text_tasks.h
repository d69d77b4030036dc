// Kinds of tasks beside those in tasks.cc: completions, rerank, infer.
#pragma once

#include "perf/plan/plan.h"
#include "perf/plan/reader.h"

namespace sis::perf {

void read_completions(PlanReader& reader, PlanTask& task);
void read_rerank(PlanReader& reader, PlanTask& task);
void read_infer(PlanReader& reader, PlanTask& task);

}  // namespace sis::perf
