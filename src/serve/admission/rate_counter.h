// Counts what clients do and says when they do too much.
//
// The counter knows nothing of keys, paths or HTTP: it is given a client's name and the windows to
// charge. LocalRateCounter counts in this process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "serve/admission/rate_log.h"

namespace sis::admission {

inline constexpr size_t kRateWindowsMax = 8;

struct RateClient {
  // Keys are as many as were configured and never forgotten; addresses come from outside.
  enum class Kind : uint8_t { kKey, kAddress };
  Kind kind = Kind::kAddress;
  std::string name;
};

struct RateCharge {
  const RateWindow* window = nullptr;
  int64_t cost = 1;
};

struct RateVerdict {
  struct Level {
    int64_t remaining = 0;  // after the charge
    Duration reset{};       // until the window is empty
    // For settle(): the entry, and whether it was made where all processes count.
    TimePoint entry{};
    bool shared = false;
  };
  int refused_by = -1;     // index of the charge that fits last; -1: all were charged
  Duration retry_after{};  // until the refused request would fit
  std::array<Level, kRateWindowsMax> levels{};
  bool allowed() const { return refused_by < 0; }
};

class RateCounter {
 public:
  using Done = std::function<void(const RateVerdict&)>;
  virtual ~RateCounter() = default;

  // Charges all windows or none (at most kRateWindowsMax). A cost above a window's limit counts as
  // the limit, so that it passes once the window is empty. Calls `done` exactly once: before it
  // returns, or later on another thread; client and charges need not live until then.
  virtual void take(const RateClient& client, std::span<const RateCharge> charges, Done done) = 0;
  // What was charged as `charged`, with a verdict of that level, turned out to be `actual`.
  virtual void settle(const RateClient& client, const RateWindow& window,
                      const RateVerdict::Level& level, int64_t charged, int64_t actual) = 0;
};

// Any thread; one lock, held for some hundred nanoseconds.
class LocalRateCounter final : public RateCounter {
 public:
  // Tracks `addresses_max` addresses; the one not seen for the longest is forgotten first.
  LocalRateCounter(const Clock& clock, size_t addresses_max)
      : clock_(clock), keys_(SIZE_MAX), addresses_(addresses_max) {}

  void take(const RateClient& client, std::span<const RateCharge> charges, Done done) override {
    done(take_now(client, charges));
  }
  RateVerdict take_now(const RateClient& client, std::span<const RateCharge> charges);
  void settle(const RateClient& client, const RateWindow& window, const RateVerdict::Level& level,
              int64_t charged, int64_t actual) override;

  size_t addresses() const {
    const std::lock_guard lock(mutex_);
    return addresses_.clients.size();
  }

 private:
  struct Tracked {
    std::string name;
    std::vector<std::pair<std::string, RateLog>> logs;  // by window name; a handful
    RateLog& log(const std::string& window);
  };
  // Least recently used last.
  struct Table {
    explicit Table(size_t most) : clients_max(most) {}
    Tracked& get(const std::string& name);
    Tracked* find(const std::string& name);
    size_t clients_max;
    std::list<Tracked> clients;
    std::unordered_map<std::string_view, std::list<Tracked>::iterator> index;  // views into clients
  };
  Table& table(RateClient::Kind kind) {
    return kind == RateClient::Kind::kKey ? keys_ : addresses_;
  }

  const Clock& clock_;
  mutable std::mutex mutex_;
  Table keys_, addresses_;
};

}  // namespace sis::admission
