#include "base/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace sis {
namespace {

// Every item is visited once, whatever the team, the grain and the pause between runs (parked
// workers wake).
TEST(ThreadTeam, SplitVisitsEveryItemOnce) {
  for (const int workers : {1, 2, 5}) {
    ThreadTeam team({.workers = workers, .pin = false, .spin_us = 50});
    for (int round = 0; round < 200; ++round) {
      const int64_t count = round * 7 % 101;
      std::vector<std::atomic<int>> visits(count);
      team.split(count, 1 + round % 9, [&](int64_t begin, int64_t end, int worker) {
        EXPECT_LT(worker, workers);
        for (int64_t i = begin; i < end; ++i) ++visits[i];
      });
      for (int64_t i = 0; i < count; ++i) ASSERT_EQ(visits[i], 1) << i;
      if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  }
}

}  // namespace
}  // namespace sis
