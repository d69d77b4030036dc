// Byte-pair merging of one word.
//
// Again and again the adjacent pair of lowest rank becomes one token, the leftmost first, until no
// pair merges. Short words scan an array of ranks, which beats any queue; long ones keep the pairs
// in a heap, O(n log n). Both give what the library gives. One thread at a time; meant to be
// reused.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/text/tokenizer/merge_table.h"

namespace sis::text::tok {

struct Symbol {
  int32_t id = 0;
  uint32_t bytes = 0;
};

class WordMerger {
 public:
  // Merges `word` in place. `always_heap`: for merges that make no longer token, where the
  // library's order can only be had from its own queue.
  void merge(const MergeTable& merges, bool always_heap, std::vector<Symbol>& word);
  // Gives memory back after an unusually long word.
  void shrink(size_t symbols_max);

 private:
  // A symbol of a long word in a linked list; bytes 0: swallowed by the one before.
  struct Node {
    Symbol symbol;
    uint32_t previous = 0, next = 0;
    MergeTable::Merge merge;  // with the next
  };

  static void merge_short(const MergeTable& merges, std::vector<Symbol>& word);
  void merge_long(const MergeTable& merges, std::vector<Symbol>& word);

  std::vector<Node> nodes_;
  std::vector<uint64_t> heap_;  // rank << 32 | node, the smallest on top
};

}  // namespace sis::text::tok
