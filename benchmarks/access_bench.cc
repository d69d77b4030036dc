// What a key and a rate limit cost each request, on one thread.
//
//   access_bench [--smoke]
//
// CPU time of this thread per call: the median and the worst of nine runs. Seed 1 everywhere.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"
#include "serve/admission/api_keys.h"
#include "serve/admission/rate_client.h"
#include "serve/admission/rate_counter.h"

#ifndef SIS_COMMIT
#define SIS_COMMIT "unknown"
#endif

namespace {

using namespace sis;
using namespace sis::admission;

double cpu_ns() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void report(const char* name, int64_t rounds, const std::function<void(int64_t)>& call) {
  std::vector<double> runs;
  for (int run = 0; run < 9; ++run) {
    const double begin = cpu_ns();
    for (int64_t i = 0; i < rounds; ++i) call(i);
    runs.push_back((cpu_ns() - begin) / static_cast<double>(rounds));
  }
  std::sort(runs.begin(), runs.end());
  std::printf("%-52s %8.0f ns  (worst %.0f, n=%zu x %lld)\n", name, runs[4], runs.back(),
              runs.size(), static_cast<long long>(rounds));
}

}  // namespace

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const int64_t rounds = smoke ? 200 : 200000;
  std::printf("access_bench, commit %s, %u cores, seed 1\n", SIS_COMMIT,
              std::thread::hardware_concurrency());
  Rng rng(1);
  std::vector<std::string> secrets;
  std::vector<ApiKey> keys;
  for (int i = 0; i < 10000; ++i) {
    secrets.push_back(make_key());
    ApiKey key;
    key.name = concat("k", i);
    key.hash = sha256(secrets.back());
    keys.push_back(std::move(key));
  }
  const auto ring = KeyRing::create(std::move(keys));
  if (!ring.ok()) return 1;
  int64_t found = 0;
  report("a key among 10,000: hash, find, compare", rounds, [&](int64_t) {
    found += ring->find(sha256(secrets[rng.below(secrets.size())])) != nullptr;
  });
  if (found == 0) return 1;

  SteadyClock clock;
  const RateWindow minute{"minute", 1000, std::chrono::minutes(1)};
  const RateWindow hour{"hour", 60000, std::chrono::hours(1)};
  const RateWindow tokens{"tokens", 1000000, std::chrono::minutes(1)};
  const RateWindow brief{"brief", 1000, std::chrono::microseconds(300)};
  int64_t allowed = 0;
  const auto take = [&](const char* name, std::vector<RateCharge> charges, uint64_t clients) {
    LocalRateCounter counter(clock, 10000);
    std::vector<RateClient> who;
    for (uint64_t i = 0; i < clients; ++i)
      who.push_back({RateClient::Kind::kAddress, concat("10.0.", i / 250, ".", i % 250)});
    report(name, rounds, [&](int64_t) {
      allowed += counter.take_now(who[rng.below(clients)], charges).allowed();
    });
  };
  take("one window, entries leave all the time", {{&brief, 1}}, 1);
  take("one window, refused", {{&minute, 1}}, 1);
  take("minute, hour and tokens, one client", {{&minute, 1}, {&hour, 1}, {&tokens, 200}}, 1);
  take("minute, hour and tokens, 10,000 clients", {{&minute, 1}, {&hour, 1}, {&tokens, 200}},
       10000);
  take("minute, 20,000 addresses in a table of 10,000", {{&minute, 1}}, 20000);

  const auto trusted = TrustedProxies::parse({"10.0.0.0/8"});
  size_t bytes = 0;
  report("an address behind one trusted proxy", rounds, [&](int64_t) {
    bytes += rate_name_of(client_address("10.0.0.1", {"203.0.113.7"}, *trusted)).size();
  });
  return allowed > 0 && bytes > 0 ? 0 : 1;
}
