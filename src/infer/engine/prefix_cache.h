// Which blocks hold the beginning of which prompts.
//
// A full block is known by the hash of everything before and in it: the salt, the hash of the block
// before it, its tokens. Sequences that begin the same way share such blocks while they run, and
// find them again later: a known block that nobody refers to any more is kept until its room is
// wanted, the least recently used first. Blocks that are not known go straight back to the pool.
//
// Hashes only find candidates. A hit compares the block's tokens, its predecessor and the salt, so
// that no collision can show one user the cache of another.
//
// Releasing a sequence from its last block to its first keeps every block younger than what follows
// it, so a block never leaves before its successors. Executor thread only; after construction
// nothing is allocated but salts that differ.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/engine/kv_pool.h"

namespace sis::engine {

struct BlockHash {
  uint64_t low = 0, high = 0;
  bool operator==(const BlockHash&) const = default;
};
// Of the empty prompt under a salt.
BlockHash salt_hash(std::string_view salt);
// Of a prompt that ends with this full block.
BlockHash block_hash(const BlockHash& before, std::span<const int32_t> ids);

// One full block of a prompt as the cache is asked about it.
struct BlockKey {
  BlockHash hash;
  std::span<const int32_t> ids;    // kKvBlockTokens of them
  int32_t before = KvPool::kNone;  // the block of the tokens before
  std::string_view salt;           // compared where `before` is kNone
};

class PrefixCache {
 public:
  // Takes blocks of `pool` for everyone. `keep` false: nothing is ever known.
  PrefixCache(KvPool& pool, bool keep);

  // A block with one reference that only the caller may write: a free one, else the one whose
  // content was not used for longest. kNone when every block is referred to.
  int32_t take();
  void add_reference(int32_t block);
  void release(int32_t block);

  // The known block of this key, or kNone. Adds no reference.
  int32_t find(const BlockKey& key) const;
  // Makes a written block known. Where an equal one is known already the caller gets that one, with
  // the reference it held on its own, which is released. Returns the block to use from now on.
  int32_t publish(const BlockKey& key, int32_t block);

  // Gives back every block that is kept and referred to by nobody.
  void forget_all();

  bool keeps() const { return keep_; }
  int32_t blocks() const { return pool_.blocks(); }
  // take() succeeds this many times.
  int32_t blocks_available() const { return pool_.blocks_free() + cached_; }
  // Known and referred to by nobody.
  int32_t blocks_cached() const { return cached_; }
  bool referenced(int32_t block) const { return pool_.references(block) > 0; }
  KvPool& pool() { return pool_; }

 private:
  struct Entry {
    bool known = false;
    BlockHash hash;
    int32_t before = KvPool::kNone;
    int32_t bucket_next = KvPool::kNone;
    int32_t older = KvPool::kNone, newer = KvPool::kNone;  // among the unreferenced ones
    std::array<int32_t, kKvBlockTokens> ids;
    std::string salt;
  };
  Entry& entry(int32_t block) { return entries_[static_cast<size_t>(block)]; }
  int32_t& bucket(const BlockHash& hash) { return buckets_[hash.low & (buckets_.size() - 1)]; }
  void forget(int32_t block);
  void append_newest(int32_t block);
  void unlink(int32_t block);

  KvPool& pool_;
  const bool keep_;
  std::vector<Entry> entries_;    // by block
  std::vector<int32_t> buckets_;  // first block of each chain
  int32_t oldest_ = KvPool::kNone, newest_ = KvPool::kNone;
  int32_t cached_ = 0;
};

}  // namespace sis::engine
