// The line that tells how a run is going, on stderr: redrawn in place on a terminal, every few
// seconds as a line of its own elsewhere.
#pragma once

#include <cstdio>
#include <string>

#include "base/clock.h"
#include "perf/load/run.h"

namespace sis::perf {

// "12,345/50,000 (25 %)  1,234 requests/s  4.56 ms  errors 0  ETA 30 s". Rate and mean latency are
// of the time between `before` and `now`.
std::string progress_line(const RunOptions& options, const Progress& before, const Progress& now);

class ProgressPrinter {
 public:
  // Prints to `out`; nothing when it is null.
  ProgressPrinter(std::FILE* out, std::string label, const RunOptions& options);
  ~ProgressPrinter();  // clears a redrawn line
  ProgressPrinter(const ProgressPrinter&) = delete;

  void show(const Progress& progress);

 private:
  std::FILE* out_;
  std::string label_;
  RunOptions options_;
  bool tty_ = false, drawn_ = false;
  Progress before_;
  TimePoint printed_at_{};
};

}  // namespace sis::perf
