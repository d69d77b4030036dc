// How many requests of each client are in progress. Remembers only clients that have some.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "serve/admission/rate_counter.h"

namespace sis::admission {

// Any thread.
class InFlight {
 public:
  // Counts one more unless `most` are in progress already.
  bool enter(const RateClient& client, int64_t most) {
    const std::lock_guard lock(mutex_);
    int64_t& running = table(client)[client.name];
    if (running >= most) return false;  // most >= 1: the entry was there before
    ++running;
    return true;
  }
  void leave(const RateClient& client) {
    const std::lock_guard lock(mutex_);
    auto& running = table(client);
    const auto it = running.find(client.name);
    if (it != running.end() && --it->second == 0) running.erase(it);
  }
  size_t clients() const {
    const std::lock_guard lock(mutex_);
    return keys_.size() + addresses_.size();
  }

 private:
  using Table = std::unordered_map<std::string, int64_t>;
  Table& table(const RateClient& client) {
    return client.kind == RateClient::Kind::kKey ? keys_ : addresses_;
  }
  mutable std::mutex mutex_;
  Table keys_, addresses_;
};

}  // namespace sis::admission
