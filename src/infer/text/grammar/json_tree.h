// JSON text as nodes that have an identity: schemas refer to their own parts.
//
// Members keep their order. Bounded: size, depth and count. Const after parsing.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sis::text::grammar {

struct JsonNode {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  bool boolean = false;
  std::string text;  // kString: its value; kNumber: shortest decimal form
  std::vector<const JsonNode*> items;
  std::vector<std::pair<std::string, const JsonNode*>> members;  // keys once each

  const JsonNode* find(std::string_view key) const;  // null when absent
  bool is(Kind wanted) const { return kind == wanted; }
  // Equal as JSON: 1 and 1.0 are, members in any order.
  bool same_value(const JsonNode& other) const;
};

// "an object", for messages.
const char* kind_name(JsonNode::Kind kind);

class JsonTree {
 public:
  static constexpr size_t kBytesMax = 1 << 20;
  static constexpr int kDepthMax = 100;
  static constexpr size_t kNodesMax = 100'000;

  // Errors begin with `name`.
  static Result<JsonTree> parse(std::string_view text, std::string_view name);
  const JsonNode& root() const { return nodes_.front(); }

 private:
  friend class JsonTreeReader;
  std::deque<JsonNode> nodes_;  // addresses stay
};

}  // namespace sis::text::grammar
