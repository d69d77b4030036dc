// How many bytes of request bodies one server may hold at once, over all its connections.
//
// Bodies are taken before anybody has looked at the request, so what each may have says nothing of
// their sum. Small ones are free: they cost less than the rest of their request. Any thread; a
// charge belongs to one thread at a time.
#pragma once

#include <atomic>
#include <cstddef>

namespace sis::net {

class BodyBudget {
 public:
  explicit BodyBudget(size_t bytes_max) : bytes_max_(bytes_max) {}
  BodyBudget(const BodyBudget&) = delete;

  size_t bytes_held() const { return held_.load(std::memory_order_relaxed); }

 private:
  friend class BodyCharge;
  bool take(size_t bytes) {
    size_t held = held_.load(std::memory_order_relaxed);
    do {
      if (bytes > bytes_max_ || held > bytes_max_ - bytes) return false;
    } while (!held_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
    return true;
  }
  void give_back(size_t bytes) { held_.fetch_sub(bytes, std::memory_order_relaxed); }

  const size_t bytes_max_;
  std::atomic<size_t> held_{0};
};

// What one request has of the budget.
class BodyCharge {
 public:
  static constexpr size_t kFreeBytes = 4 << 10;

  explicit BodyCharge(BodyBudget& budget) : budget_(budget) {}
  ~BodyCharge() {
    if (bytes_ > 0) budget_.give_back(bytes_);
  }
  BodyCharge(const BodyCharge&) = delete;

  // Makes the charge fit a body of so many bytes. False: the budget has not that many left, and
  // nothing changed.
  bool cover(size_t bytes) {
    const size_t wanted = bytes > kFreeBytes ? bytes : 0;
    if (wanted > bytes_ && !budget_.take(wanted - bytes_)) return false;
    if (wanted < bytes_) budget_.give_back(bytes_ - wanted);
    bytes_ = wanted;
    return true;
  }

 private:
  BodyBudget& budget_;
  size_t bytes_ = 0;
};

}  // namespace sis::net
