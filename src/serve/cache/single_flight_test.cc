#include "serve/cache/single_flight.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::cache {
namespace {

const CacheKey kKey = *cache_key({.prompt = "p"});
constexpr Duration kLong = std::chrono::hours(1);

SharedBytes bytes_of(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

// One waiter and what became of it: "", "lead", "found X", "made X" or "error".
struct Guest {
  std::string state;
  SingleFlight::Lead lead;
  SingleFlight::Entry entry;

  void enter(SingleFlight& flights, const CacheKey& key = kKey, Duration wait = kLong) {
    entry = flights.enter(key, wait, [this](SingleFlight::Landing landing) {
      EXPECT_EQ(state, "") << "called twice";
      if (!landing.bytes.ok())
        state = concat("error ", code_name(landing.bytes.error().code));
      else if (*landing.bytes)
        state = (landing.found ? "found " : "made ") + **landing.bytes;
      else
        state = "lead";
      lead = std::move(landing.lead);
    });
  }
};

TEST(SingleFlight, TheFirstLeadsAndTheOthersGetWhatItMakes) {
  ManualClock clock;
  SingleFlight flights(clock, 100);
  std::vector<Guest> guests(4);
  for (auto& guest : guests) guest.enter(flights);
  EXPECT_TRUE(guests[0].entry.began);
  EXPECT_FALSE(guests[1].entry.began);
  EXPECT_EQ(flights.waiters(), 4u);
  guests[0].entry.lead.hand_over();  // it has looked elsewhere, in vain
  EXPECT_EQ(guests[0].state, "lead");
  EXPECT_EQ(guests[1].state, "");
  guests[0].lead.land(bytes_of("x"));
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(guests[i].state, "made x");
  EXPECT_EQ(flights.waiters(), 0u);
  Guest later;
  later.enter(flights);
  EXPECT_TRUE(later.entry.began);
  guests[0].lead.land(bytes_of("again"));  // a lead ends once
  EXPECT_EQ(later.state, "");
  later.entry.lead.land(bytes_of("y"), /*found=*/true);
  EXPECT_EQ(later.state, "found y");
}

TEST(SingleFlight, DifferentKeysFlyAlone) {
  ManualClock clock;
  SingleFlight flights(clock, 100);
  Guest one, other;
  one.enter(flights);
  other.enter(flights, *cache_key({.prompt = "q"}));
  EXPECT_TRUE(other.entry.began);
  one.entry.lead.land(bytes_of("x"));
  EXPECT_EQ(other.state, "");
}

// A leader that goes away, or is only dropped, makes the next waiter the leader.
TEST(SingleFlight, TheNextLeadsWhenTheLeaderLeaves) {
  ManualClock clock;
  SingleFlight flights(clock, 100);
  std::vector<Guest> guests(4);
  for (auto& guest : guests) guest.enter(flights);
  guests[0].entry.lead.hand_over();
  guests[1].entry.ticket.reset();  // leaves while it waits: nobody notices
  EXPECT_EQ(flights.waiters(), 2u);
  guests[0].lead = {};
  EXPECT_EQ(guests[1].state, "");
  EXPECT_EQ(guests[2].state, "lead");
  EXPECT_EQ(guests[3].state, "");
  guests[2].lead.fail({Code::kOverloaded, "full"});
  EXPECT_EQ(guests[3].state, "error overloaded");
  EXPECT_EQ(flights.waiters(), 0u);
}

// Ten thousand who all give up inside their call do not nest.
TEST(SingleFlight, ManyThatGiveUpInARow) {
  ManualClock clock;
  SingleFlight flights(clock, 20000);
  int led = 0;
  std::vector<SingleFlight::Entry> entries;
  for (int i = 0; i < 10000; ++i)
    entries.push_back(flights.enter(kKey, kLong, [&](SingleFlight::Landing landing) {
      ++led;
      landing.lead.hand_over();
    }));
  entries[0].lead.hand_over();
  EXPECT_EQ(led, 10000);
  EXPECT_EQ(flights.waiters(), 0u);
}

TEST(SingleFlight, WaitsEndInTime) {
  ManualClock clock;
  SingleFlight flights(clock, 100);
  Guest first, brief, patient, impatient;
  first.enter(flights, kKey, from_seconds(1));
  brief.enter(flights, kKey, from_seconds(2));
  patient.enter(flights, kKey, Duration::max());
  impatient.enter(flights, kKey, Duration::zero());
  EXPECT_EQ(impatient.state, "lead");  // its own, shared with nobody
  impatient.lead.land(bytes_of("mine"));
  EXPECT_EQ(patient.state, "");
  clock.advance(from_ms(1999));
  flights.sweep();
  EXPECT_EQ(first.state, "");  // who begins a flight does not wait for another's work
  EXPECT_EQ(brief.state, "");
  clock.advance(from_ms(1));
  flights.sweep();
  EXPECT_EQ(brief.state, "error deadline");
  EXPECT_EQ(patient.state, "");
  EXPECT_EQ(flights.waiters(), 2u);
  first.entry.lead.land(bytes_of("x"));
  EXPECT_EQ(patient.state, "made x");
  EXPECT_EQ(brief.state, "error deadline");
}

TEST(SingleFlight, PlacesAreBounded) {
  ManualClock clock;
  SingleFlight flights(clock, 2);
  std::vector<Guest> guests(3);
  for (auto& guest : guests) guest.enter(flights);
  EXPECT_EQ(guests[2].state, "lead");
  EXPECT_EQ(guests[2].entry.ticket, nullptr);
  guests[1].entry.ticket.reset();
  Guest next;
  next.enter(flights);
  EXPECT_EQ(next.state, "");
}

TEST(SingleFlight, CloseEndsEverything) {
  ManualClock clock;
  SingleFlight flights(clock, 100);
  std::vector<Guest> guests(2);
  for (auto& guest : guests) guest.enter(flights);
  flights.close();
  for (const auto& guest : guests) EXPECT_EQ(guest.state, "error unavailable");
  guests[0].entry.lead.hand_over();
  Guest later;
  later.enter(flights);
  EXPECT_EQ(later.state, "lead");
}

// Threads that lead, land, give up and leave at random: everybody who stays hears exactly once, and
// nobody is left behind.
TEST(SingleFlight, ManyThreads) {
  SteadyClock clock;
  SingleFlight flights(clock, 1000);
  std::atomic<int> landed{0}, twice{0}, forgotten{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Rng rng(static_cast<uint64_t>(t));
      for (int i = 0; i < 3000; ++i) {
        const CacheKey key = *cache_key({.prompt = concat(rng.below(3))});
        const auto calls = std::make_shared<std::atomic<int>>(0);
        const uint64_t act = rng.below(3);
        auto entry = flights.enter(key, kLong, [&, calls, act](SingleFlight::Landing landing) {
          twice += ++*calls > 1;
          if (!landing.bytes.ok() || *landing.bytes) return;
          if (act == 0) landing.lead.land(bytes_of("x"));
          if (act == 1) landing.lead.fail({Code::kInternal, "broken"});
          landed += act < 2;  // else the lead is dropped: the next one leads
        });
        entry.lead.hand_over();
        if (rng.below(4) == 0) continue;  // leaves
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (*calls == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
        forgotten += *calls == 0;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(twice, 0);
  EXPECT_EQ(forgotten, 0);
  EXPECT_GT(landed, 1000);
  EXPECT_EQ(flights.waiters(), 0u);
}

}  // namespace
}  // namespace sis::cache
