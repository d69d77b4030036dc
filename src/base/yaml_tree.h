// A YAML file as a plain tree of bounded size, each value with its line: what catalogs, key files
// and plans are read from, so that the parser stays in one .cc.
//
// Anchors, aliases and `<<` merge keys are resolved here and count against the bounds as often as
// they are used, so that a small file cannot stand for a huge document. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis {

struct YamlMember;

struct YamlTree {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;  // from 1; 0 when unknown
  std::string scalar;
  bool quoted = false;              // the scalar stood in quotes: text, whatever it looks like
  std::vector<YamlTree> items;      // kList
  std::vector<YamlMember> members;  // kMap, in file order, keys unique

  const YamlTree* find(std::string_view key) const;  // nullptr when absent
  YamlTree* find(std::string_view key);
};

struct YamlMember {
  std::string key;
  int line = 0;
  YamlTree value;
};

// As they stand: for the server's files.
struct YamlLimits {
  int64_t file_bytes = 1 << 20;
  int values = 50000;            // this and the next once aliases are expanded
  int64_t text_bytes = 4 << 20;  // of all scalars
  int depth = 16;
};

// Errors start with `origin`: "models.yaml line 7: ...".
Result<YamlTree> parse_yaml(const std::string& text, std::string_view origin,
                            const YamlLimits& limits = {});

// `overlay` laid over `base`: maps member by member, everything else replaced.
void merge_yaml(YamlTree& base, const YamlTree& overlay);

}  // namespace sis
