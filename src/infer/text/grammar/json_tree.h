// JSON text as nodes that have an identity: schemas refer to their own parts.
//
// Members keep their order. Bounded: size, depth and count; what compares or finds values takes
// time in their size at most, whatever they are. Const after parsing.
#pragma once

#include <cstdint>
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
  std::vector<uint32_t> by_name;  // the members' numbers, in the order of their keys

  const JsonNode* find(std::string_view key) const;  // null when absent
  bool is(Kind wanted) const { return kind == wanted; }
  // -1, 0 or 1: an order of all values in which those that are equal as JSON are (1 and 1.0,
  // members in any order).
  int compare(const JsonNode& other) const;
};

// Which of some values there are.
class JsonValues {
 public:
  explicit JsonValues(std::vector<const JsonNode*> values);
  bool contains(const JsonNode& value) const;
  bool has_common(const JsonValues& other) const;
  size_t size() const { return sorted_.size(); }

 private:
  std::vector<const JsonNode*> sorted_;
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
