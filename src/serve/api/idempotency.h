// What was answered to requests with an idempotency key, so that the same request sent again is
// answered the same instead of being carried out again.
//
// Bounded in entries, bytes and time; whatever is over the bound leaves oldest first. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace sis::api {

using Sha256 = std::array<uint8_t, 32>;
// Of the parts, each framed by its length.
Sha256 sha256_of(std::initializer_list<std::string_view> parts);

struct IdempotencyOptions {
  Duration ttl = from_seconds(3600);
  size_t entries_max = 10000;
  size_t bytes_max = 64 << 20;  // of kept answers
};

class IdempotencyMap {
 public:
  IdempotencyMap(const IdempotencyOptions& options, const Clock& clock)
      : options_(options), clock_(clock) {}

  // The duty to answer under a key. Move only; dropping it frees the key, as a failed request
  // should. The map outlives it.
  class Lease {
   public:
    Lease() = default;
    ~Lease() { end(nullptr); }
    Lease(Lease&& other) noexcept
        : map_(std::exchange(other.map_, nullptr)), key_(other.key_), serial_(other.serial_) {}
    Lease& operator=(Lease&& other) noexcept {
      std::swap(map_, other.map_);
      std::swap(key_, other.key_);
      std::swap(serial_, other.serial_);
      return *this;
    }
    void publish(std::string answer) { end(&answer); }

   private:
    friend class IdempotencyMap;
    void end(std::string* answer);

    IdempotencyMap* map_ = nullptr;
    Sha256 key_{};
    uint64_t serial_ = 0;
  };

  enum class State : uint8_t {
    kNew,        // carry it out; `lease` is set
    kAnswered,   // `answer` is set
    kRunning,    // the same request is being carried out
    kOtherBody,  // the key belongs to another request
  };
  struct Begun {
    State state = State::kNew;
    Lease lease;
    std::shared_ptr<const std::string> answer;
  };
  Begun begin(const Sha256& key, const Sha256& body);

  size_t entries() const;
  size_t bytes() const;

 private:
  struct Entry {
    Sha256 key, body;
    uint64_t serial = 0;
    TimePoint until{};
    std::shared_ptr<const std::string> answer;  // null: running. Shared with who sends it now
  };
  struct Hash {
    size_t operator()(const Sha256& digest) const {
      size_t hash;
      std::memcpy(&hash, digest.data(), sizeof hash);
      return hash;
    }
  };
  using Entries = std::list<Entry>;

  // Under the mutex:
  void erase(Entries::iterator entry);
  void drop_old(TimePoint now);

  const IdempotencyOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  Entries entries_;  // oldest first
  std::unordered_map<Sha256, Entries::iterator, Hash> by_key_;
  uint64_t serials_ = 0;
  size_t bytes_ = 0;
};

}  // namespace sis::api
