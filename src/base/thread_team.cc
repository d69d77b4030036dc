#include "base/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/check.h"

namespace sis {
namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

std::vector<int> core_ids() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> ids;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(core, &set)) ids.push_back(core);
  if (ids.empty()) ids.push_back(0);
  return ids;
}

void pin_this_thread(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // best effort: a cpuset may forbid it
}

}  // namespace

struct ThreadTeam::State {
  alignas(64) std::atomic<uint64_t> generation{0};  // odd numbers never appear; ~0 stops
  alignas(64) std::atomic<int> pending{0};
  Erased fn = nullptr;
  void* context = nullptr;
  std::chrono::microseconds spin{0};
  std::vector<std::thread> threads;
};

ThreadTeam::ThreadTeam(const Options& options) : state_(std::make_unique<State>()) {
  const auto cores = core_ids();
  workers_ = options.workers > 0 ? options.workers : static_cast<int>(cores.size());
  // Spinning only pays while every worker has a core of its own.
  const bool oversubscribed = workers_ > static_cast<int>(cores.size());
  state_->spin = std::chrono::microseconds(oversubscribed ? 0 : options.spin_us);
  for (int worker = 1; worker < workers_; ++worker) {
    state_->threads.emplace_back(
        [this, worker, pin = options.pin && !oversubscribed, core = cores[worker % cores.size()]] {
          name_this_thread("sis-team");
          flush_denormals();
          if (pin) pin_this_thread(core);
          State& s = *state_;
          uint64_t seen = 0;
          for (;;) {
            uint64_t generation = s.generation.load(std::memory_order_acquire);
            if (generation == seen) {
              const auto until = std::chrono::steady_clock::now() + s.spin;
              do {
                for (int i = 0; i < 64 && generation == seen; ++i) {
                  relax();
                  generation = s.generation.load(std::memory_order_acquire);
                }
              } while (generation == seen && std::chrono::steady_clock::now() < until);
              while (generation == seen) {
                s.generation.wait(seen, std::memory_order_acquire);
                generation = s.generation.load(std::memory_order_acquire);
              }
            }
            if (generation == ~uint64_t{0}) return;
            seen = generation;
            s.fn(s.context, worker, workers_);
            if (s.pending.fetch_sub(1, std::memory_order_acq_rel) == 1) s.pending.notify_one();
          }
        });
  }
}

ThreadTeam::~ThreadTeam() {
  state_->generation.store(~uint64_t{0}, std::memory_order_release);
  state_->generation.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

void ThreadTeam::run_erased(Erased fn, void* context) {
  State& s = *state_;
  s.fn = fn;
  s.context = context;
  s.pending.store(workers_ - 1, std::memory_order_relaxed);
  s.generation.fetch_add(1, std::memory_order_release);
  s.generation.notify_all();
  fn(context, 0, workers_);
  // The others finish about when the caller does; park only when one lost its core.
  for (int i = 0; i < 20000; ++i) {
    if (s.pending.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  for (int left; (left = s.pending.load(std::memory_order_acquire)) != 0;)
    s.pending.wait(left, std::memory_order_acquire);
}

int available_cores() { return static_cast<int>(core_ids().size()); }

void name_this_thread(const char* name) {
  pthread_setname_np(pthread_self(), std::string(name).substr(0, 15).c_str());
}

void flush_denormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ | DAZ
#endif
}

}  // namespace sis
