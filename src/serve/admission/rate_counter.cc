#include "serve/admission/rate_counter.h"

#include <algorithm>

#include "base/check.h"

namespace sis::admission {

RateLog& LocalRateCounter::Tracked::log(const std::string& window) {
  for (auto& [known, log] : logs)
    if (known == window) return log;
  return logs.emplace_back(window, RateLog()).second;
}

LocalRateCounter::Tracked* LocalRateCounter::Table::find(const std::string& name) {
  const auto it = index.find(name);
  if (it == index.end()) return nullptr;
  clients.splice(clients.begin(), clients, it->second);
  return &clients.front();
}

LocalRateCounter::Tracked& LocalRateCounter::Table::get(const std::string& name) {
  if (Tracked* known = find(name)) return *known;
  if (clients.size() >= clients_max && !clients.empty()) {
    index.erase(clients.back().name);
    clients.pop_back();
  }
  clients.push_front({name, {}});
  index.emplace(clients.front().name, clients.begin());
  return clients.front();
}

RateVerdict LocalRateCounter::take_now(const RateClient& client,
                                       std::span<const RateCharge> charges) {
  SIS_CHECK(charges.size() <= kRateWindowsMax, charges.size(), " windows");
  RateVerdict verdict;
  if (charges.empty()) return verdict;
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_.now();
  Tracked& tracked = table(client.kind).get(client.name);
  for (size_t i = 0; i < charges.size(); ++i) {
    const RateWindow& window = *charges[i].window;
    const Duration wait = tracked.log(window.name).wait(now, window, charges[i].cost);
    if (wait <= verdict.retry_after) continue;
    verdict.refused_by = static_cast<int>(i);
    verdict.retry_after = wait;
  }
  for (size_t i = 0; i < charges.size(); ++i) {
    const RateWindow& window = *charges[i].window;
    RateLog& log = tracked.log(window.name);
    auto& level = verdict.levels[i];
    const int64_t cost = std::min(charges[i].cost, window.limit);
    if (verdict.allowed() && cost > 0) level.entry = log.add(now, window, cost);
    level.remaining = std::max<int64_t>(0, window.limit - log.used(now, window));
    level.reset = log.until_empty(now, window);
  }
  return verdict;
}

void LocalRateCounter::settle(const RateClient& client, const RateWindow& window,
                              const RateVerdict::Level& level, int64_t charged, int64_t actual) {
  charged = std::min(charged, window.limit);
  if (charged == actual) return;
  const std::lock_guard lock(mutex_);
  // A client that was forgotten meanwhile has nothing left to be corrected.
  Tracked* tracked = table(client.kind).find(client.name);
  if (!tracked) return;
  RateLog& log = tracked->log(window.name);
  if (actual > charged)
    log.add(clock_.now(), window, actual - charged);
  else
    log.take_back(level.entry, charged - actual);
}

}  // namespace sis::admission
