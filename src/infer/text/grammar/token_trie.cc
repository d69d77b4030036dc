#include "infer/text/grammar/token_trie.h"

#include <algorithm>

#include "base/check.h"

namespace sis::text::grammar {

TokenTrie::TokenTrie(std::vector<std::pair<std::string_view, int32_t>> tokens) {
  if (!std::is_sorted(tokens.begin(), tokens.end())) std::sort(tokens.begin(), tokens.end());
  ids_.reserve(tokens.size());
  std::vector<uint32_t> open;  // nodes of the token before
  std::string_view before;
  const auto close = [&](size_t depth) {
    while (open.size() > depth) {
      nodes_[open.back()].skip = static_cast<uint32_t>(nodes_.size());
      open.pop_back();
    }
  };
  for (const auto& [text, id] : tokens) {
    SIS_CHECK(!text.empty() && text.size() <= kTokenBytesMax, "token of ", text.size(), " bytes");
    size_t shared = 0;
    while (shared < before.size() && shared < text.size() && before[shared] == text[shared])
      ++shared;
    close(shared);
    for (size_t i = shared; i < text.size(); ++i) {
      open.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({.first_token = static_cast<uint32_t>(ids_.size()),
                        .depth = static_cast<uint16_t>(i),
                        .byte = static_cast<uint8_t>(text[i])});
    }
    ids_.push_back(id);
    before = text;
  }
  close(0);
  nodes_.push_back({.skip = static_cast<uint32_t>(nodes_.size()),
                    .first_token = static_cast<uint32_t>(ids_.size())});
  nodes_.shrink_to_fit();
}

}  // namespace sis::text::grammar
