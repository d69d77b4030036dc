// How a run's measurements come together: each event loop counts into a LoopWindow and passes it on
// when the window's time is over; the runner merges those of all loops, shows the window to whoever
// asked and adds it to the run's result.
//
// Loops hand over without waiting for anything but a swap of two pointers, once a window, and get
// emptied windows back, so that nothing is booked anew. A window that ended is complete when every
// loop has passed it on, gone beyond it or ended.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "perf/load/run.h"
#include "perf/load/tally.h"

namespace sis::perf {

struct LoopWindow {
  uint64_t number = 0;
  int users = 0;             // when it ended
  TimePoint ended{};         // of the last one of a loop: when the loop was done
  uint64_t next_index = 0;   // of requests
  Tally own;                 // everything, or with several parts what belongs to none of them
  std::vector<Tally> parts;  // empty with one part
};

// From one loop to the runner and back. Two threads.
class WindowBox {
 public:
  explicit WindowBox(size_t parts) : parts_(parts) {}

  void put(std::unique_ptr<LoopWindow> full);
  std::unique_ptr<LoopWindow> take_empty();  // books one when none came back yet

  std::unique_ptr<LoopWindow> take_full();  // null: none
  void give_back(std::unique_ptr<LoopWindow> done);

 private:
  const size_t parts_;  // tallies beside `own`
  std::mutex mutex_;
  std::deque<std::unique_ptr<LoopWindow>> full_;
  std::vector<std::unique_ptr<LoopWindow>> empty_;
};

class WindowMerger {
 public:
  struct Options {
    size_t parts = 1;   // of the workload
    Duration window{};  // 0: everything is one window, which is not shown
    std::function<bool(const Window&)> on_window;
  };
  explicit WindowMerger(Options options) : options_(std::move(options)) {}

  // One for each loop, before the run; they live as long as this.
  WindowBox* add_loop();
  // Takes what the loops have passed on. `ended[i]`: loop i will pass on nothing more. `start`: of
  // the measured phase. False once on_window wants the run to end.
  bool collect(const std::vector<bool>& ended, TimePoint start);
  // After the last collect(): the merged result.
  void finish(RunResult& result);

 private:
  struct Loop {
    std::unique_ptr<WindowBox> box;
    std::deque<std::unique_ptr<LoopWindow>> waiting;
  };
  bool complete(const std::vector<bool>& ended) const;
  void merge_next(TimePoint start, bool all_ended);

  Options options_;
  std::vector<Loop> loops_;
  uint64_t next_ = 0;
  Window window_, before_;  // this one, the one before it; kept for their memory
  Tally total_;
  std::vector<Tally> parts_;
  std::vector<WindowRow> rows_;
  bool wanted_on_ = true;
  uint64_t next_index_ = 0;
};

}  // namespace sis::perf
