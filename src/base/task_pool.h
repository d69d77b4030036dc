// A few threads that run short jobs in order of arrival, behind a bounded queue.
//
// For work that must stay off the I/O threads (tokenising, large JSON) and off the device. A full
// queue is an answer: post() says no and the caller refuses its request.
//
// No exception leaves a job (allocations may fail in any): it ends that job, and what the job owned
// goes with it, which for a request means that it is answered 500. The pool goes on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace sis {

// Hears why a job of this pool failed, on its thread. Null: a line on stderr.
using OnJobFailure = std::function<void(std::string_view pool, std::string_view why)>;

class TaskPool {
 public:
  TaskPool(const char* thread_name, int threads, size_t queue_max,
           OnJobFailure on_failure = nullptr);
  ~TaskPool();  // runs what is queued, then joins
  TaskPool(const TaskPool&) = delete;

  // False when `queue_max` jobs wait already. Any thread.
  bool post(std::function<void()> job);
  // For what must not be refused because it finishes something already admitted.
  void post_always(std::function<void()> job);
  size_t queued() const;

 private:
  void work(const char* name);

  const size_t queue_max_;
  const OnJobFailure on_failure_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// Calls `fn` every `period` on a thread of its own until destroyed, also after calls that failed.
class Periodic {
 public:
  Periodic(const char* thread_name, std::chrono::milliseconds period, std::function<void()> fn,
           OnJobFailure on_failure = nullptr);
  ~Periodic();
  Periodic(const Periodic&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sis
