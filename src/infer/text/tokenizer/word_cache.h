// What short words become, remembered per thread.
//
// Texts repeat their words, and looking one up costs a tenth of merging it. 32768 words of at most
// 24 bytes and 6 tokens, one cache line each; a new word takes the place of an older one. Words are
// compared byte by byte, so a hit is always right. Not shared between threads.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "infer/text/tokenizer/hashing.h"

namespace sis::text::tok {

class WordCache {
 public:
  static constexpr size_t kWordBytesMax = 24, kTokensMax = 6;

  struct Key {
    std::array<uint64_t, 3> words{};  // the bytes, then zeros
    uint32_t owner = 0;               // the model's number
    uint8_t bytes = 0;
    size_t place = 0;
  };
  struct alignas(64) Entry {
    std::array<uint64_t, 3> words{};
    uint32_t owner = 0;  // 0: empty
    uint8_t bytes = 0;
    uint8_t tokens = 0;
    std::array<uint8_t, kTokensMax> ends{};  // in bytes of the word
    std::array<int32_t, kTokensMax> ids{};
  };

  WordCache() : entries_(kEntries) {}

  // `word` is text[begin, end) of at most kWordBytesMax bytes.
  static Key key_of(std::string_view text, size_t begin, size_t end, uint32_t owner) {
    Key key;
    key.owner = owner;
    key.bytes = static_cast<uint8_t>(end - begin);
    if (text.size() - begin >= kWordBytesMax) [[likely]] {
      std::memcpy(key.words.data(), text.data() + begin, kWordBytesMax);
      for (size_t i = 0; i < 3; ++i) key.words[i] &= mask_of(key.bytes, i);
    } else {
      std::memcpy(key.words.data(), text.data() + begin, end - begin);
    }
    const uint64_t hash = mix_hash(key.words[0] ^ kHashA, key.words[1] ^ kHashB ^ owner) ^
                          mix_hash(key.words[2] ^ kHashC, kHashA ^ key.bytes);
    key.place = (hash ^ hash >> 32) % kEntries;
    return key;
  }

  const Entry* find(const Key& key) const {
    const Entry& first = entries_[key.place];
    if (holds(first, key)) return &first;
    const Entry& second = entries_[key.place ^ 1];
    return holds(second, key) ? &second : nullptr;
  }

  // A fresh entry for the key, to be filled; what was there moves next door.
  Entry& put(const Key& key) {
    Entry& entry = entries_[key.place];
    if (entry.owner != 0) entries_[key.place ^ 1] = entry;
    entry.words = key.words;
    entry.owner = key.owner;
    entry.bytes = key.bytes;
    return entry;
  }

 private:
  static constexpr size_t kEntries = 32'768;

  static uint64_t mask_of(size_t bytes, size_t word) {
    const size_t first = word * 8;
    if (bytes >= first + 8) return UINT64_MAX;
    return bytes <= first ? 0 : UINT64_MAX >> (64 - 8 * (bytes - first));
  }
  static bool holds(const Entry& entry, const Key& key) {
    return ((entry.words[0] ^ key.words[0]) | (entry.words[1] ^ key.words[1]) |
            (entry.words[2] ^ key.words[2])) == 0 &&
           entry.owner == key.owner && entry.bytes == key.bytes;
  }

  std::vector<Entry> entries_;
};

}  // namespace sis::text::tok
