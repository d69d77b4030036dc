#include "infer/models/mock/pace.h"

#include <cstring>
#include <stdexcept>
#include <thread>

namespace sis::models {

MockPace::MockPace(const MockOptions& options)
    : options_(options),
      rng_(static_cast<uint64_t>(options.seed)),
      memory_(static_cast<size_t>(options.memory_mb * (1 << 20))) {
  // Memory that nothing has written takes no room.
  if (memory_.size() > 0) std::memset(memory_.data(), 1, memory_.size());
}

void MockPace::finish(TimePoint begin, double us) {
  if (us > 0) {
    if (options_.jitter > 0) us *= 1 + options_.jitter * (2 * rng_.uniform() - 1);
    const TimePoint end = begin + from_ms(us / 1e3);
    if (end - std::chrono::steady_clock::now() > kSpinAtMost)
      std::this_thread::sleep_until(end - kSpinAtMost);
    while (std::chrono::steady_clock::now() < end) {
    }
  }
  if (options_.failure_rate > 0 && rng_.uniform() < options_.failure_rate)
    throw std::runtime_error("mock: this forward is set to fail (MOCK_FAILURE_RATE)");
}

}  // namespace sis::models
