#include "infer/engine/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace sis::engine {
namespace {

uint64_t mixed(uint64_t x) {  // the finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Two chains with different constants; one word at a time.
BlockHash joined(const BlockHash& hash, uint64_t word) {
  return {mixed(hash.low + word * 0x9E3779B97F4A7C15u + 1),
          mixed(std::rotl(hash.high, 29) ^ (word + 0xD1B54A32D192ED03u))};
}

}  // namespace

BlockHash salt_hash(std::string_view salt) {
  BlockHash hash = joined({}, salt.size());
  for (const char c : salt) hash = joined(hash, static_cast<unsigned char>(c));
  return hash;
}

BlockHash block_hash(const BlockHash& before, std::span<const int32_t> ids) {
  BlockHash hash = before;
  for (const int32_t id : ids) hash = joined(hash, static_cast<uint32_t>(id));
  return hash;
}

PrefixCache::PrefixCache(KvPool& pool, bool keep)
    : pool_(pool),
      keep_(keep),
      entries_(keep ? static_cast<size_t>(pool.blocks()) : 0),
      buckets_(keep ? std::bit_ceil(static_cast<size_t>(pool.blocks())) : 0, KvPool::kNone) {}

int32_t PrefixCache::take() {
  if (const int32_t block = pool_.take(); block != KvPool::kNone) return block;
  if (oldest_ == KvPool::kNone) return KvPool::kNone;
  const int32_t block = oldest_;
  unlink(block);
  forget(block);
  pool_.free(block);
  return pool_.take();
}

void PrefixCache::add_reference(int32_t block) {
  if (pool_.references(block) == 0) unlink(block);
  pool_.add_reference(block);
}

void PrefixCache::release(int32_t block) {
  if (!pool_.drop_reference(block)) return;
  if (keep_ && entry(block).known)
    append_newest(block);
  else
    pool_.free(block);
}

int32_t PrefixCache::find(const BlockKey& key) const {
  if (!keep_) return KvPool::kNone;
  int32_t block = buckets_[key.hash.low & (buckets_.size() - 1)];
  for (; block != KvPool::kNone; block = entries_[static_cast<size_t>(block)].bucket_next) {
    const Entry& e = entries_[static_cast<size_t>(block)];
    if (e.hash == key.hash && e.before == key.before && std::ranges::equal(e.ids, key.ids) &&
        (key.before != KvPool::kNone || e.salt == key.salt))
      break;
  }
  return block;
}

int32_t PrefixCache::publish(const BlockKey& key, int32_t block) {
  SIS_CHECK(key.ids.size() == size_t{kKvBlockTokens}, "ids=", key.ids.size());
  if (!keep_) return block;
  if (const int32_t same = find(key); same != KvPool::kNone) {
    if (same == block) return block;
    add_reference(same);
    release(block);
    return same;
  }
  Entry& e = entry(block);
  SIS_CHECK(!e.known, "block ", block, " is known as something else");
  e.known = true;
  e.hash = key.hash;
  e.before = key.before;
  std::ranges::copy(key.ids, e.ids.begin());
  if (key.before == KvPool::kNone) e.salt = key.salt;
  e.bucket_next = std::exchange(bucket(key.hash), block);
  return block;
}

void PrefixCache::forget(int32_t block) {
  Entry& e = entry(block);
  int32_t* link = &bucket(e.hash);
  while (*link != block) link = &entry(*link).bucket_next;
  *link = e.bucket_next;
  e.known = false;
  e.salt.clear();
}

void PrefixCache::forget_all() {
  while (oldest_ != KvPool::kNone) {
    const int32_t block = oldest_;
    unlink(block);
    forget(block);
    pool_.free(block);
  }
}

void PrefixCache::append_newest(int32_t block) {
  Entry& e = entry(block);
  e.older = std::exchange(newest_, block);
  e.newer = KvPool::kNone;
  (e.older == KvPool::kNone ? oldest_ : entry(e.older).newer) = block;
  ++cached_;
}

void PrefixCache::unlink(int32_t block) {
  Entry& e = entry(block);
  (e.older == KvPool::kNone ? oldest_ : entry(e.older).newer) = e.newer;
  (e.newer == KvPool::kNone ? newest_ : entry(e.newer).older) = e.older;
  --cached_;
}

}  // namespace sis::engine
