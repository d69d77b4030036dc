// YAML as a plain tree of bounded size: what the catalog is read from, so that the parser stays in
// one .cc.
//
// Anchors, aliases and `<<` merge keys are resolved here and count against the bounds as often as
// they are used, so that a small file cannot stand for a huge document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::server {

struct TreeMember;

struct Tree {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;  // from 1; 0 when unknown
  std::string scalar;
  std::vector<Tree> items;          // kList
  std::vector<TreeMember> members;  // kMap, in file order, keys unique

  const Tree* find(std::string_view key) const;  // nullptr when absent
};

struct TreeMember {
  std::string key;
  Tree value;
};

inline constexpr int64_t kYamlBytesMax = 1 << 20;
inline constexpr int kYamlNodesMax = 50000;
inline constexpr int kYamlDepthMax = 16;

// Errors start with `origin`: "models.yaml line 7: ...".
Result<Tree> parse_yaml(const std::string& text, std::string_view origin);

// `overlay` laid over `base`: maps member by member, everything else replaced.
void merge_tree(Tree& base, const Tree& overlay);

}  // namespace sis::server
