#include "serve/admission/limiter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace sis::admission {
namespace {

using Answer = Limiter::Answer;
using std::chrono::milliseconds;
constexpr TimePoint kNever = TimePoint::max();

// One slot, size two: the third request is refused, because the one that runs keeps its ticket.
TEST(Limiter, TicketsCountWhoRuns) {
  ManualClock clock;
  Limiter limiter({.tickets_max = 2, .slots_max = 1});
  const auto first = limiter.enter(clock.now(), kNever, 0);
  const auto second = limiter.enter(clock.now(), kNever, 0);
  EXPECT_EQ(first.answer, Answer::kRuns);
  EXPECT_EQ(second.answer, Answer::kWaits);
  EXPECT_FALSE(limiter.has_ticket());
  EXPECT_EQ(limiter.enter(clock.now(), kNever, 0).answer, Answer::kFull);
  EXPECT_EQ(limiter.leave(first.id), second.id);
  EXPECT_EQ(limiter.enter(clock.now(), kNever, 0).answer, Answer::kWaits);
}

// A wait of 0 means "do not wait", not "refuse even when idle".
TEST(Limiter, WaitOfZeroStillServesAnIdleServer) {
  ManualClock clock;
  Limiter limiter({.tickets_max = 8, .slots_max = 1, .wait_max = Duration::zero()});
  const auto first = limiter.enter(clock.now(), kNever, 0);
  EXPECT_EQ(first.answer, Answer::kRuns);
  EXPECT_EQ(limiter.enter(clock.now(), kNever, 0).answer, Answer::kNoSlot);
  limiter.leave(first.id);
  EXPECT_EQ(limiter.enter(clock.now(), kNever, 0).answer, Answer::kRuns);
}

TEST(Limiter, SizeZeroIsUnbounded) {
  ManualClock clock;
  Limiter limiter({.tickets_max = 0, .slots_max = 1});
  for (int i = 0; i < 5000; ++i)
    EXPECT_NE(limiter.enter(clock.now(), kNever, 0).answer, Answer::kFull);
  EXPECT_EQ(limiter.waiting(), 4999);
}

// Who waits is taken out at the end of the wait, or at its own deadline when that comes first.
TEST(Limiter, WaitsEnd) {
  ManualClock clock;
  Limiter limiter({.tickets_max = 8, .slots_max = 1, .wait_max = milliseconds(100)});
  limiter.enter(clock.now(), kNever, 0);
  const auto patient = limiter.enter(clock.now(), kNever, 0);
  const auto hurried = limiter.enter(clock.now(), clock.now() + milliseconds(30), 0);
  clock.advance(milliseconds(29));
  EXPECT_TRUE(limiter.expire(clock.now()).empty());
  clock.advance(milliseconds(1));
  auto gone = limiter.expire(clock.now());
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].id, hurried.id);
  EXPECT_TRUE(gone[0].own_deadline);
  clock.advance(milliseconds(70));
  gone = limiter.expire(clock.now());
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].id, patient.id);
  EXPECT_FALSE(gone[0].own_deadline);
}

// Random traffic beside a list that is searched from end to end: same answers, same order.
TEST(Limiter, AgreesWithANaiveModel) {
  struct Naive {
    uint64_t id;
    int32_t priority;
    TimePoint until;
    bool runs;
  };
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng{seed};
    ManualClock clock;
    const LimiterOptions options{.tickets_max = static_cast<int32_t>(rng.next() % 6),
                                 .slots_max = static_cast<int32_t>(rng.next() % 4),
                                 .wait_max = milliseconds(rng.next() % 3 * 40)};
    Limiter limiter(options);
    std::vector<Naive> all;  // in order of arrival
    for (int i = 0; i < 2000; ++i) {
      const TimePoint now = clock.now();
      const auto runs = std::count_if(all.begin(), all.end(), [](const auto& n) { return n.runs; });
      const uint64_t what = rng.next() % 4;
      if (what < 2) {
        const auto priority = static_cast<int32_t>(rng.next() % 3) - 1;
        const TimePoint deadline = now + milliseconds(1 + rng.next() % 100);
        const bool may_wait = rng.next() % 5 != 0;
        Answer want = Answer::kRuns;
        if (options.tickets_max > 0 && all.size() >= static_cast<size_t>(options.tickets_max))
          want = Answer::kFull;
        else if (options.slots_max > 0 && runs >= options.slots_max)
          want = may_wait && options.wait_max > Duration::zero() ? Answer::kWaits : Answer::kNoSlot;
        const auto got = limiter.enter(now, deadline, priority, may_wait);
        ASSERT_EQ(got.answer, want);
        if (want == Answer::kRuns || want == Answer::kWaits)
          all.push_back({got.id, priority, std::min<TimePoint>(deadline, now + options.wait_max),
                         want == Answer::kRuns});
      } else if (what == 2 && !all.empty()) {
        const auto at = all.begin() + static_cast<int64_t>(rng.next() % all.size());
        const Naive gone = *at;
        all.erase(at);
        auto next = all.end();
        if (gone.runs)
          for (auto it = all.begin(); it != all.end(); ++it)
            if (!it->runs && (next == all.end() || it->priority > next->priority)) next = it;
        const auto got = limiter.leave(gone.id);
        ASSERT_EQ(got.has_value(), next != all.end());
        if (got) {
          ASSERT_EQ(*got, next->id);
          next->runs = true;
        }
      } else {
        clock.advance(milliseconds(rng.next() % 20));
        std::vector<uint64_t> want;
        std::erase_if(all, [&](const Naive& n) {
          const bool gone = !n.runs && n.until <= clock.now();
          if (gone) want.push_back(n.id);
          return gone;
        });
        std::vector<uint64_t> got;
        for (const auto& expired : limiter.expire(clock.now())) got.push_back(expired.id);
        std::sort(got.begin(), got.end());
        ASSERT_EQ(got, want);
      }
      ASSERT_EQ(limiter.running() + limiter.waiting(), static_cast<int64_t>(all.size()));
    }
  }
}

}  // namespace
}  // namespace sis::admission
