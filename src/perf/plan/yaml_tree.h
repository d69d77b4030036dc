// A YAML file as a plain tree of bounded size, each value with its line.
//
// Anchors, aliases and `<<` merge keys are resolved here and count against the bounds as often as
// they are used, so that a small file cannot stand for a huge document. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::perf {

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

inline constexpr int64_t kPlanBytesMax = 4 << 20;
inline constexpr int kPlanValuesMax = 100000;
inline constexpr int kPlanDepthMax = 32;

// Errors start with `origin`: "plan.yaml line 7: ...".
Result<YamlTree> parse_yaml_tree(const std::string& text, std::string_view origin);

}  // namespace sis::perf
