// Rate limits that all processes of a service keep together, in Redis.
//
// One atomic script per request looks at all of its windows and charges all or none, by Redis'
// clock. A window is a hash of steps and counts that expires by itself: exact to the millisecond up
// to kExactMax, in kSteps steps per window above. Without an answer in time, and as long as Redis
// is gone, this process counts for itself: a limit then holds per process, and nobody waits.
#pragma once

#include <memory>
#include <span>

#include "base/clock.h"
#include "net/redis_client.h"
#include "serve/admission/rate_counter.h"

namespace sis::server {

class RedisRateCounter final : public admission::RateCounter {
 public:
  static constexpr int64_t kExactMax = 120;
  static constexpr int64_t kSteps = 120;

  // A request waits for Redis for at most `budget`. `redis` ends its calls before `local` goes.
  RedisRateCounter(std::shared_ptr<net::RedisClient> redis, admission::LocalRateCounter& local,
                   Duration budget);

  void take(const admission::RateClient& client, std::span<const admission::RateCharge> charges,
            Done done) override;
  void settle(const admission::RateClient& client, const admission::RateWindow& window,
              const admission::RateVerdict::Level& level, int64_t charged, int64_t actual) override;

 private:
  const std::shared_ptr<net::RedisClient> redis_;  // shared with the response cache
  admission::LocalRateCounter& local_;
  const Duration budget_;
  const std::shared_ptr<const net::RedisScript> take_, settle_;  // as the client wants them
};

}  // namespace sis::server
