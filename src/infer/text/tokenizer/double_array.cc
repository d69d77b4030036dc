#include "infer/text/tokenizer/double_array.h"

#include <algorithm>
#include <cstring>

namespace sis::text::tok {

// Places nodes depth first. Free slots of the newest blocks form a ring that is searched for room;
// older blocks are given up, so that building stays linear.
class DoubleArrayBuilder {
 public:
  explicit DoubleArrayBuilder(std::vector<DoubleArray::Key>& keys) : keys_(keys) {}

  Result<std::vector<DoubleArray::Node>> build() {
    add_block();
    take(0);
    base_used_[0] = true;  // leaves
    nodes_[0].base_and_label =
        kFree;  // nobody's child, or leaves would step into it by a zero byte
    std::vector<Range> open{{0, static_cast<uint32_t>(keys_.size()), 0, 0}};
    std::vector<Range> children;
    while (!open.empty()) {
      Range range = open.back();
      open.pop_back();
      // Keys that end here; sorted stably, so that the last of equal ones is the last given.
      while (range.begin < range.end && keys_[range.begin].bytes.size() == range.depth)
        nodes_[range.node].value = keys_[range.begin++].value;
      if (range.begin == range.end) continue;

      children.clear();
      for (uint32_t i = range.begin; i < range.end;) {
        const char label = keys_[i].bytes[range.depth];
        const uint32_t first = i;
        while (i < range.end && keys_[i].bytes[range.depth] == label) ++i;
        children.push_back({first, i, range.depth + 1, static_cast<unsigned char>(label)});
      }
      SIS_ASSIGN(const uint32_t base, place(children));
      base_used_[base] = true;
      nodes_[range.node].base_and_label = base << 8 | (nodes_[range.node].base_and_label & 0xFF);
      for (Range& child : children) {
        const uint32_t label = child.node, slot = base ^ label;
        take(slot);
        nodes_[slot].base_and_label = label;
        child.node = slot;
      }
      open.insert(open.end(), children.rbegin(), children.rend());
    }
    return std::move(nodes_);
  }

 private:
  static constexpr uint32_t kBlock = 256, kOpenBlocks = 16, kNone = UINT32_MAX;
  static constexpr uint32_t kFree = 0xFF;
  static constexpr size_t kSlotsMax = size_t{1} << 24;  // what a base can address

  // The keys that share a node. In `children` of build(), `node` is the label until it has a slot.
  struct Range {
    uint32_t begin, end, depth, node;
  };

  void add_block() {
    const auto first = static_cast<uint32_t>(nodes_.size());
    nodes_.resize(first + kBlock);
    next_.resize(first + kBlock);
    previous_.resize(first + kBlock);
    taken_.resize(first + kBlock, false);
    base_used_.resize(first + kBlock, false);
    for (uint32_t slot = first; slot < first + kBlock; ++slot) {
      previous_[slot] = tail_;
      next_[slot] = kNone;
      (tail_ == kNone ? head_ : next_[tail_]) = slot;
      tail_ = slot;
    }
    if (first >= kBlock * kOpenBlocks) close(first - kBlock * kOpenBlocks);
  }

  void unlink(uint32_t slot) {
    (previous_[slot] == kNone ? head_ : next_[previous_[slot]]) = next_[slot];
    (next_[slot] == kNone ? tail_ : previous_[next_[slot]]) = previous_[slot];
  }

  void close(uint32_t first) {
    for (uint32_t slot = first; slot < first + kBlock; ++slot) {
      if (taken_[slot]) continue;
      taken_[slot] = true;
      unlink(slot);
    }
  }

  void take(uint32_t slot) {
    taken_[slot] = true;
    unlink(slot);
  }

  bool fits(uint32_t base, const std::vector<Range>& children) const {
    if (base_used_[base]) return false;
    for (const Range& child : children)
      if (taken_[base ^ child.node]) return false;
    return true;
  }

  Result<uint32_t> place(const std::vector<Range>& children) {
    const uint32_t first_label = children[0].node;
    for (uint32_t slot = head_; slot != kNone; slot = next_[slot])
      if (fits(slot ^ first_label, children)) return slot ^ first_label;
    const auto block = static_cast<uint32_t>(nodes_.size());
    if (nodes_.size() + kBlock > kSlotsMax)
      return Error{Code::kInvalidArgument,
                   concat("vocabulary: needs more than ", kSlotsMax, " trie nodes")};
    add_block();
    return block ^ first_label;
  }

  std::vector<DoubleArray::Key>& keys_;
  std::vector<DoubleArray::Node> nodes_;
  std::vector<uint32_t> next_, previous_;
  std::vector<bool> taken_, base_used_;
  uint32_t head_ = kNone, tail_ = kNone;
};

namespace {

// The first 8 bytes as a number that orders like them.
uint64_t order_of(std::string_view bytes) {
  unsigned char first[8] = {};
  std::memcpy(first, bytes.data(), std::min<size_t>(bytes.size(), 8));
  uint64_t order = 0;
  for (unsigned char byte : first) order = order << 8 | byte;
  return order;
}

}  // namespace

Result<DoubleArray> DoubleArray::build(std::vector<Key> keys) {
  std::erase_if(keys, [](const Key& key) { return key.bytes.empty(); });
  struct Ordered {
    uint64_t order;
    uint32_t index;
  };
  std::vector<Ordered> ordered(keys.size());
  for (uint32_t i = 0; i < keys.size(); ++i) ordered[i] = {order_of(keys[i].bytes), i};
  std::sort(ordered.begin(), ordered.end(), [&](const Ordered& a, const Ordered& b) {
    if (a.order != b.order) return a.order < b.order;
    const int by_bytes = keys[a.index].bytes.compare(keys[b.index].bytes);
    return by_bytes != 0 ? by_bytes < 0 : a.index < b.index;
  });
  std::vector<Key> sorted;
  sorted.reserve(keys.size());
  for (const Ordered& entry : ordered) sorted.push_back(keys[entry.index]);

  DoubleArray trie;
  if (sorted.empty()) return trie;
  SIS_ASSIGN(trie.nodes_, DoubleArrayBuilder(sorted).build());
  return trie;
}

int32_t DoubleArray::find(std::string_view key) const {
  if (key.empty()) return kNoValue;
  Cursor cursor;
  for (char byte : key)
    if (byte == '\xFF' || !step(cursor, byte)) return kNoValue;
  return value(cursor);
}

}  // namespace sis::text::tok
