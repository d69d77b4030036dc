// A fixed team of pinned workers that run one function together, for loops too short for a queue.
//
// run() makes every worker call fn(worker, workers) once, the caller being worker 0, and returns
// when all have. Workers spin for a moment between runs, then park. Work is split by the function
// itself, so results never depend on timing. One caller at a time (the device executor's thread).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace sis {

class ThreadTeam {
 public:
  struct Options {
    int workers = 0;    // 0: one per available core
    bool pin = true;    // worker i to the i-th core this process may use (never the caller)
    int spin_us = 200;  // how long idle workers look for the next run before they park
  };
  explicit ThreadTeam(const Options& options);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;

  int workers() const { return workers_; }

  // fn(int worker, int workers)
  template <class Fn>
  void run(Fn&& fn) {
    if (workers_ == 1) {
      fn(0, 1);
      return;
    }
    using F = std::remove_reference_t<Fn>;
    run_erased([](void* context, int worker,
                  int workers) { (*static_cast<F*>(context))(worker, workers); },
               const_cast<void*>(static_cast<const void*>(&fn)));
  }

  // fn(begin, end, worker) on contiguous parts of [0, count), cut at multiples of `grain`.
  template <class Fn>
  void split(int64_t count, int64_t grain, Fn&& fn) {
    run([&](int worker, int workers) {
      const int64_t grains = (count + grain - 1) / grain;
      const int64_t begin = grains * worker / workers * grain;
      int64_t end = grains * (worker + 1) / workers * grain;
      if (end > count) end = count;
      if (begin < end) fn(begin, end, worker);
    });
  }

 private:
  using Erased = void (*)(void* context, int worker, int workers);
  void run_erased(Erased fn, void* context);

  struct State;
  int workers_ = 1;
  std::unique_ptr<State> state_;
};

// Cores this process may run on.
int available_cores();
// Visible in top and gdb; cut to 15 characters.
void name_this_thread(const char* name);
// Denormals are treated as zero on the calling thread, so that silence and masks cost nothing.
void flush_denormals();

}  // namespace sis
