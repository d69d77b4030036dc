#include "base/task_pool.h"

#include <cstdio>
#include <exception>

#include "base/thread_team.h"

namespace sis {
namespace {

void run(const std::function<void()>& job, const char* pool, const OnJobFailure& on_failure) {
  const auto failed = [&](const char* why) noexcept {
    try {
      if (on_failure) return on_failure(pool, why);
      std::fprintf(stderr, "%s: a job failed: %s\n", pool, why);
    } catch (...) {
      // Telling may want memory, too.
    }
  };
  try {
    job();
  } catch (const std::exception& fault) {
    failed(fault.what());
  } catch (...) {
    failed("an exception of unknown kind");
  }
}

}  // namespace

TaskPool::TaskPool(const char* thread_name, int threads, size_t queue_max, OnJobFailure on_failure)
    : queue_max_(queue_max), on_failure_(std::move(on_failure)) {
  for (int i = 0; i < threads; ++i)
    threads_.emplace_back([this, thread_name] {
      name_this_thread(thread_name);
      work(thread_name);
    });
}

TaskPool::~TaskPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (auto& thread : threads_) thread.join();
}

bool TaskPool::post(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (jobs_.size() >= queue_max_) return false;
    jobs_.push_back(std::move(job));
  }
  ready_.notify_one();
  return true;
}

void TaskPool::post_always(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  ready_.notify_one();
}

size_t TaskPool::queued() const {
  std::lock_guard lock(mutex_);
  return jobs_.size();
}

void TaskPool::work(const char* name) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ready_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    run(job, name, on_failure_);
    job = nullptr;  // what the job owns goes before the next wait
    lock.lock();
  }
}

Periodic::Periodic(const char* thread_name, std::chrono::milliseconds period,
                   std::function<void()> fn, OnJobFailure on_failure)
    : thread_([this, thread_name, period, fn = std::move(fn), on_failure = std::move(on_failure)] {
        name_this_thread(thread_name);
        std::unique_lock lock(mutex_);
        while (!wake_.wait_for(lock, period, [this] { return stopping_; })) {
          lock.unlock();
          run(fn, thread_name, on_failure);
          lock.lock();
        }
      }) {}

Periodic::~Periodic() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

}  // namespace sis
