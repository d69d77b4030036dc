#include "serve/api/idempotency.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace sis::api {

Sha256 sha256_of(std::initializer_list<std::string_view> parts) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  Sha256 digest{};
  bool fine = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (const std::string_view part : parts) {
    const uint64_t size = part.size();
    fine = fine && EVP_DigestUpdate(context.get(), &size, sizeof size) == 1 &&
           EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  fine = fine && EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  SIS_CHECK(fine, "OpenSSL has no SHA-256");
  return digest;
}

void IdempotencyMap::Lease::end(std::string* answer) {
  IdempotencyMap* map = std::exchange(map_, nullptr);
  if (!map) return;
  const std::lock_guard lock(map->mutex_);
  const auto found = map->by_key_.find(key_);
  // The entry may have left, and another one may have come under its key.
  if (found == map->by_key_.end() || found->second->serial != serial_) return;
  Entry& entry = *found->second;
  if (!answer || answer->size() > map->options_.bytes_max) return map->erase(found->second);
  map->bytes_ += answer->size();
  entry.answer = std::make_shared<const std::string>(std::move(*answer));
  map->drop_old(map->clock_.now());
}

IdempotencyMap::Begun IdempotencyMap::begin(const Sha256& key, const Sha256& body) {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  drop_old(now);
  Begun begun;
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    const Entry& entry = *found->second;
    begun.answer = entry.answer;
    begun.state = entry.body != body ? State::kOtherBody
                  : entry.answer     ? State::kAnswered
                                     : State::kRunning;
    return begun;
  }
  if (options_.entries_max == 0) return begun;  // carried out without memory
  entries_.push_back({.key = key, .body = body, .serial = ++serials_, .until = now + options_.ttl});
  by_key_[key] = std::prev(entries_.end());
  begun.lease.map_ = this;
  begun.lease.key_ = key;
  begun.lease.serial_ = serials_;
  drop_old(now);
  return begun;
}

void IdempotencyMap::erase(Entries::iterator entry) {
  if (entry->answer) bytes_ -= entry->answer->size();
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

// All live equally long, so the oldest is the first to end.
void IdempotencyMap::drop_old(TimePoint now) {
  while (!entries_.empty() && (entries_.front().until <= now || bytes_ > options_.bytes_max ||
                               entries_.size() > options_.entries_max))
    erase(entries_.begin());
}

size_t IdempotencyMap::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

size_t IdempotencyMap::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace sis::api
