// The tokens of a vocabulary in the order of their bytes, to test many against a grammar at once.
//
// A trie as one array in depth-first order: what a byte refuses is stepped over with all that
// begins so. Const after building; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace sis::text::grammar {

class TokenTrie {
 public:
  struct Node {
    uint32_t skip = 0;         // the next node that does not begin with this one's bytes
    uint32_t first_token = 0;  // in ids(); the next node's is the end
    uint16_t depth = 0;        // bytes before this one
    uint8_t byte = 0;
  };

  TokenTrie() = default;
  // `tokens` are bytes and id; none empty, none longer than kTokenBytesMax.
  explicit TokenTrie(std::vector<std::pair<std::string_view, int32_t>> tokens);

  static constexpr size_t kTokenBytesMax = 1024;

  uint32_t size() const { return nodes_.empty() ? 0 : static_cast<uint32_t>(nodes_.size() - 1); }
  const Node& node(uint32_t i) const { return nodes_[i]; }
  std::span<const int32_t> tokens(uint32_t i) const {
    return {ids_.data() + nodes_[i].first_token, ids_.data() + nodes_[i + 1].first_token};
  }
  size_t bytes() const {
    return nodes_.capacity() * sizeof(Node) + ids_.capacity() * sizeof(int32_t);
  }

 private:
  std::vector<Node> nodes_;  // and one at the end
  std::vector<int32_t> ids_;
};

}  // namespace sis::text::grammar
