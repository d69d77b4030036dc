// How a run is going, on stderr: two lines redrawn in place on a terminal, a line of its own every
// few seconds elsewhere.
#pragma once

#include <cstdio>
#include <deque>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "perf/load/run.h"
#include "perf/report/terminal.h"

namespace sis::perf {

// "12,345/50,000 (25 %)  1,234 requests/s  4.56 ms  errors 0  ETA 30 s". Rate and mean latency are
// of the time between `before` and `now`.
std::string progress_line(const RunOptions& options, const Progress& before, const Progress& now);

// What a terminal shows, for a width of at least 20 columns and never wider:
//
//   chat demo  [#######--------]  42 %  12.3 s  ETA 17 s  8 users
//   1,234 requests/s  mean 4.56 ms  p99 7.89 ms _.:.=#.  errors 0
//
// `p99_ms`: of the windows so far, the last one last; NaN where nothing was answered.
std::string live_view(const std::string& label, const RunOptions& options, const Progress& before,
                      const Progress& now, std::span<const double> p99_ms,
                      const Terminal& terminal);

class ProgressPrinter {
 public:
  // Prints to `out`; nothing when it is null.
  ProgressPrinter(std::FILE* out, std::string label, const RunOptions& options);
  ~ProgressPrinter();  // clears what was redrawn
  ProgressPrinter(const ProgressPrinter&) = delete;

  void show(const Progress& progress);
  void note(const Window& window);  // shown from then on

 private:
  void clear();

  std::FILE* out_;
  std::string label_;
  RunOptions options_;
  Terminal terminal_;
  int lines_drawn_ = 0;
  Progress before_;
  TimePoint printed_at_{};
  std::deque<double> p99_ms_;
};

}  // namespace sis::perf
