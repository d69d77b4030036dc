// A byte trie in one flat array: finds every key that begins at a place of a text with one memory
// access per byte.
//
//   child of node n by byte c  =  nodes[n].base ^ c,  if nodes[that].label == c
//
// No two nodes share a base, so the label alone tells whose child a slot is; base 0 belongs to
// leaves, and free slots carry 0xFF, a byte that UTF-8 never has. Every step stays inside the
// array, whatever the bytes. (After Aoe 1989, with the XOR addressing of Darts-clone.)  Const after
// build(); any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strings.h"

namespace sis::text::tok {

class DoubleArray {
 public:
  struct Key {
    std::string_view bytes;
    int32_t value;  // >= 0
  };
  static constexpr int32_t kNoValue = -1;

  // Keys may come in any order; of equal ones the last wins. Empty keys are left out.
  static Result<DoubleArray> build(std::vector<Key> keys);

  // A place in the trie; starts at the root.
  struct Cursor {
    uint32_t node = 0;
  };
  // Moves on by one byte, which must not be 0xFF; false at the trie's edge (the cursor is then of
  // no more use).
  bool step(Cursor& cursor, char byte) const {
    const auto c = static_cast<unsigned char>(byte);
    const uint32_t next = (nodes_[cursor.node].base_and_label >> 8) ^ c;
    if (static_cast<unsigned char>(nodes_[next].base_and_label) != c) return false;
    cursor.node = next;
    return true;
  }
  // Value of the key that ends here, kNoValue if none does.
  int32_t value(Cursor cursor) const { return nodes_[cursor.node].value; }

  // Value of exactly `key`, kNoValue if it is not one.
  int32_t find(std::string_view key) const;

  size_t bytes() const { return nodes_.size() * sizeof(Node); }

 private:
  struct Node {
    uint32_t base_and_label = 0xFF;  // base << 8 | label
    int32_t value = kNoValue;
  };
  friend class DoubleArrayBuilder;

  std::vector<Node> nodes_ = std::vector<Node>(256);
};

}  // namespace sis::text::tok
