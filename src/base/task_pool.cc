#include "base/task_pool.h"

#include "base/thread_team.h"

namespace sis {

TaskPool::TaskPool(const char* thread_name, int threads, size_t queue_max) : queue_max_(queue_max) {
  for (int i = 0; i < threads; ++i)
    threads_.emplace_back([this, thread_name] {
      name_this_thread(thread_name);
      work();
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

void TaskPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ready_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what the job owns goes before the next wait
    lock.lock();
  }
}

Periodic::Periodic(const char* thread_name, std::chrono::milliseconds period,
                   std::function<void()> fn)
    : thread_([this, thread_name, period, fn = std::move(fn)] {
        name_this_thread(thread_name);
        std::unique_lock lock(mutex_);
        while (!wake_.wait_for(lock, period, [this] { return stopping_; })) {
          lock.unlock();
          fn();
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
