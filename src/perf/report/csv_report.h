// A sweep as the table perf_analyzer's -f writes, so that what reads those files reads ours.
#pragma once

#include <string>

#include "perf/report/report_data.h"

namespace sis::perf {

// One row per run that was measured, by rising throughput:
//
//   Concurrency|Request Rate, Inferences/Second, Client Send,
//   [Network+Server Send/Recv, Server Queue, Server Compute Input, ... Infer, ... Output,]
//   Client Recv, p50 latency, p90 latency, p95 latency, p99 latency [, Run]
//
// Times are whole microseconds; the columns in brackets are there when every run knows its server's
// queue and compute times, and Run (what was run, and its model) when runs differ in it.
// Runs of closed and of open loops together have both level columns, and each fills its own.
std::string csv_report(const Report& report);

}  // namespace sis::perf
