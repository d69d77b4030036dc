#include "serve/server/redis_rate_counter.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/strings.h"

namespace sis::server {
namespace {

using admission::RateCharge;
using admission::RateClient;
using admission::RateVerdict;
using admission::RateWindow;

// KEYS: a hash per window. ARGV, four per window: limit, length, step, cost; times in ms.
// Answers: index that refuses or -1, ms to wait; then per window: used, ms until empty, step
// charged.
constexpr const char* kTake = R"(
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local refused, wait, used, newest = -1, 0, {}, {}
for i = 1, #KEYS do
  local limit, length, cost = tonumber(ARGV[4*i-3]), tonumber(ARGV[4*i-2]), tonumber(ARGV[4*i])
  local cells, live = redis.call('HGETALL', KEYS[i]), {}
  used[i], newest[i] = 0, 0
  for j = 1, #cells, 2 do
    local stamp, count = tonumber(cells[j]), tonumber(cells[j+1])
    if stamp + length <= now then
      redis.call('HDEL', KEYS[i], cells[j])
    else
      used[i] = used[i] + count
      newest[i] = math.max(newest[i], stamp)
      live[#live+1] = {stamp, count}
    end
  end
  local excess = used[i] + cost - limit
  if excess > 0 then
    table.sort(live, function(a, b) return a[1] < b[1] end)
    for _, cell in ipairs(live) do
      excess = excess - cell[2]
      if excess <= 0 then
        if cell[1] + length - now > wait then refused, wait = i - 1, cell[1] + length - now end
        break
      end
    end
  end
end
local reply = {refused, wait}
for i = 1, #KEYS do
  local length, step, cost = tonumber(ARGV[4*i-2]), tonumber(ARGV[4*i-1]), tonumber(ARGV[4*i])
  local stamp = 0
  if refused < 0 then
    stamp = math.ceil(now / step) * step
    redis.call('HINCRBY', KEYS[i], string.format('%.0f', stamp), cost)
    redis.call('PEXPIRE', KEYS[i], length + step)
    used[i] = used[i] + cost
    newest[i] = math.max(newest[i], stamp)
  end
  reply[#reply+1] = used[i]
  reply[#reply+1] = math.max(0, newest[i] + length - now)
  reply[#reply+1] = stamp
end
return reply
)";

// KEYS: the hash. ARGV: the step charged, what to add to it (negative: only while it is there),
// length and step. More than was thought counts from now on.
constexpr const char* kSettle = R"(
local change, length, step = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if change > 0 then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', math.ceil(now / step) * step), change)
  redis.call('PEXPIRE', KEYS[1], length + step)
elseif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  if redis.call('HINCRBY', KEYS[1], ARGV[1], change) <= 0 then
    redis.call('HDEL', KEYS[1], ARGV[1])
  end
end
return 1
)";

using std::chrono::milliseconds;

int64_t length_ms(const RateWindow& window) {
  return std::max<int64_t>(1, std::chrono::ceil<milliseconds>(window.length).count());
}
int64_t step_ms(const RateWindow& window) {
  if (window.limit <= RedisRateCounter::kExactMax) return 1;
  return std::max<int64_t>(1, length_ms(window) / RedisRateCounter::kSteps);
}
// In braces what a cluster keeps on one node: all windows of a client.
std::string key_of(const RateClient& client, const RateWindow& window) {
  return concat("inference:rate:{", client.kind == RateClient::Kind::kKey ? "key " : "address ",
                client.name, "}:", window.name);
}

// Windows as the calls need them after the caller's have gone.
struct Asked {
  RateClient client;
  std::vector<RateWindow> windows;
  std::vector<int64_t> costs;

  std::vector<RateCharge> charges() const {
    std::vector<RateCharge> made;
    for (size_t i = 0; i < windows.size(); ++i) made.push_back({&windows[i], costs[i]});
    return made;
  }
};

// Nothing when the reply is not what the script answers.
std::optional<RateVerdict> read_verdict(const net::RedisReply& reply,
                                        const std::vector<RateWindow>& windows) {
  if (reply.kind != net::RedisReply::Kind::kList || reply.items.size() != 2 + 3 * windows.size())
    return std::nullopt;
  for (const auto& item : reply.items)
    if (item.kind != net::RedisReply::Kind::kInteger) return std::nullopt;
  const auto number = [&](size_t at) { return reply.items[at].integer; };
  if (number(0) < -1 || number(0) >= static_cast<int64_t>(windows.size())) return std::nullopt;
  RateVerdict verdict;
  verdict.refused_by = static_cast<int>(number(0));
  verdict.retry_after = milliseconds(number(1));
  for (size_t i = 0; i < windows.size(); ++i) {
    auto& level = verdict.levels[i];
    level.remaining = std::max<int64_t>(0, windows[i].limit - number(2 + 3 * i));
    level.reset = milliseconds(number(3 + 3 * i));
    level.entry = TimePoint(milliseconds(number(4 + 3 * i)));  // by Redis' clock
    level.shared = true;
  }
  return verdict;
}

}  // namespace

RedisRateCounter::RedisRateCounter(std::shared_ptr<net::RedisClient> redis,
                                   admission::LocalRateCounter& local, Duration budget)
    : redis_(std::move(redis)),
      local_(local),
      budget_(budget),
      take_(std::make_shared<const net::RedisScript>(kTake)),
      settle_(std::make_shared<const net::RedisScript>(kSettle)) {}

void RedisRateCounter::take(const RateClient& client, std::span<const RateCharge> charges,
                            Done done) {
  SIS_CHECK(charges.size() <= admission::kRateWindowsMax, charges.size(), " windows");
  if (charges.empty() || !redis_->healthy()) return local_.take(client, charges, std::move(done));
  auto asked = std::make_shared<Asked>();  // shared: the reply's function has to be copyable
  asked->client = client;
  std::vector<std::string> keys, args;
  for (const RateCharge& charge : charges) {
    const RateWindow& window = *charge.window;
    asked->windows.push_back(window);
    asked->costs.push_back(charge.cost);
    keys.push_back(key_of(client, window));
    for (const int64_t number :
         {window.limit, length_ms(window), step_ms(window), std::min(charge.cost, window.limit)})
      args.push_back(concat(number));
  }
  redis_->eval(take_, std::move(keys), std::move(args), budget_,
               [this, asked, done = std::move(done)](Result<net::RedisReply> reply) {
                 if (reply.ok())
                   if (const auto verdict = read_verdict(*reply, asked->windows))
                     return done(*verdict);
                 local_.take(asked->client, asked->charges(), done);
               });
}

void RedisRateCounter::settle(const RateClient& client, const RateWindow& window,
                              const RateVerdict::Level& level, int64_t charged, int64_t actual) {
  if (!level.shared) return local_.settle(client, window, level, charged, actual);
  const int64_t change = actual - std::min(charged, window.limit);
  if (change == 0) return;
  const int64_t stamp =
      std::chrono::duration_cast<milliseconds>(level.entry.time_since_epoch()).count();
  redis_->eval(settle_, {key_of(client, window)},
               {concat(stamp), concat(change), concat(length_ms(window)), concat(step_ms(window))},
               budget_, [](Result<net::RedisReply>) {});  // lost: the estimate stands
}

}  // namespace sis::server
