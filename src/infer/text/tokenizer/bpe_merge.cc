#include "infer/text/tokenizer/bpe_merge.h"

#include <algorithm>
#include <functional>

namespace sis::text::tok {
namespace {

constexpr size_t kShort = 48;  // symbols; beyond, the heap wins
constexpr uint32_t kEnd = UINT32_MAX;

}  // namespace

void WordMerger::merge(const MergeTable& merges, bool always_heap, std::vector<Symbol>& word) {
  if (word.size() < 2) return;
  if (word.size() <= kShort && !always_heap)
    merge_short(merges, word);
  else
    merge_long(merges, word);
}

void WordMerger::shrink(size_t symbols_max) {
  if (nodes_.capacity() > symbols_max) nodes_ = {};
  if (heap_.capacity() > symbols_max) heap_ = {};
}

void WordMerger::merge_short(const MergeTable& merges, std::vector<Symbol>& word) {
  uint32_t ranks[kShort];  // of symbol i with i + 1
  int32_t ids[kShort];     // and what they become
  size_t count = word.size();
  const auto look_up = [&](size_t i) {
    const MergeTable::Merge merge = merges.find(word[i].id, word[i + 1].id);
    ranks[i] = merge.rank;
    ids[i] = merge.id;
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    size_t best = 0;
    uint32_t best_rank = ranks[0];
    for (size_t i = 1; i + 1 < count; ++i) {
      if (ranks[i] >= best_rank) continue;
      best_rank = ranks[i];
      best = i;
    }
    if (best_rank == MergeTable::kNoRank) break;
    word[best] = {ids[best], word[best].bytes + word[best + 1].bytes};
    --count;
    for (size_t i = best + 1; i < count; ++i) word[i] = word[i + 1];
    for (size_t i = best + 1; i + 1 < count; ++i) {
      ranks[i] = ranks[i + 1];
      ids[i] = ids[i + 1];
    }
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  word.resize(count);
}

void WordMerger::merge_long(const MergeTable& merges, std::vector<Symbol>& word) {
  const auto count = static_cast<uint32_t>(word.size());
  nodes_.resize(count);
  heap_.clear();
  const auto entry_of = [&](uint32_t at) {
    return static_cast<uint64_t>(nodes_[at].merge.rank) << 32 | at;
  };
  const auto look_up = [&](uint32_t at) {
    Node& node = nodes_[at];
    node.merge = merges.find(node.symbol.id, nodes_[node.next].symbol.id);
    return node.merge.rank != MergeTable::kNoRank;
  };
  for (uint32_t at = 0; at < count; ++at)
    nodes_[at] = {word[at], at == 0 ? kEnd : at - 1, at + 1 == count ? kEnd : at + 1, {}};
  for (uint32_t at = 0; at + 1 < count; ++at)
    if (look_up(at)) heap_.push_back(entry_of(at));
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());

  const auto push = [&](uint32_t at) {
    heap_.push_back(entry_of(at));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  };
  // What a rank made when it was put in; the library takes an entry that is out of date if the pair
  // of now makes the same token.
  const auto is_current = [&](const Node& node, uint32_t rank) {
    if (node.symbol.bytes == 0 || node.next == kEnd) return false;
    return node.merge.rank != MergeTable::kNoRank &&
           (node.merge.rank == rank || merges.made_by(rank) == node.merge.id);
  };
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const uint64_t entry = heap_.back();
    heap_.pop_back();
    const auto at = static_cast<uint32_t>(entry);
    Node& node = nodes_[at];
    if (!is_current(node, static_cast<uint32_t>(entry >> 32))) continue;
    Node& right = nodes_[node.next];
    node.symbol = {node.merge.id, node.symbol.bytes + right.symbol.bytes};
    node.merge = {};
    node.next = right.next;
    right.symbol.bytes = 0;
    if (node.next != kEnd) nodes_[node.next].previous = at;
    if (node.previous != kEnd && look_up(node.previous)) push(node.previous);
    if (node.next != kEnd && look_up(at)) push(at);
  }

  word.clear();
  for (uint32_t at = 0; at != kEnd; at = nodes_[at].next) word.push_back(nodes_[at].symbol);
}

}  // namespace sis::text::tok
