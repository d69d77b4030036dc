#include "infer/text/grammar/json_tree.h"

#include <simdjson.h>

#include <unordered_set>

#include "base/strings.h"
#include "infer/text/grammar/number_range.h"

namespace sis::text::grammar {

const JsonNode* JsonNode::find(std::string_view key) const {
  for (const auto& [name, value] : members)
    if (name == key) return value;
  return nullptr;
}

bool JsonNode::same_value(const JsonNode& other) const {
  if (kind != other.kind) return false;
  switch (kind) {
    case Kind::kNull:
      return true;
    case Kind::kBool:
      return boolean == other.boolean;
    case Kind::kString:
      return text == other.text;
    case Kind::kNumber: {
      if (text == other.text) return true;
      const auto a = Decimal::parse(text), b = Decimal::parse(other.text);
      return a && b && a->compare(*b) == 0;
    }
    case Kind::kArray:
      if (items.size() != other.items.size()) return false;
      for (size_t i = 0; i < items.size(); ++i)
        if (!items[i]->same_value(*other.items[i])) return false;
      return true;
    case Kind::kObject:
      if (members.size() != other.members.size()) return false;
      for (const auto& [name, value] : members) {
        const JsonNode* theirs = other.find(name);
        if (theirs == nullptr || !value->same_value(*theirs)) return false;
      }
      return true;
  }
  return false;
}

const char* kind_name(JsonNode::Kind kind) {
  switch (kind) {
    case JsonNode::Kind::kNull:
      return "null";
    case JsonNode::Kind::kBool:
      return "a boolean";
    case JsonNode::Kind::kNumber:
      return "a number";
    case JsonNode::Kind::kString:
      return "a string";
    case JsonNode::Kind::kArray:
      return "an array";
    case JsonNode::Kind::kObject:
      return "an object";
  }
  return "nothing";
}

class JsonTreeReader {
 public:
  JsonTreeReader(JsonTree& tree, std::string_view name) : tree_(tree), name_(name) {}

  Status read(simdjson::dom::element element, int depth, JsonNode*& out) {
    if (depth > JsonTree::kDepthMax)
      return wrong(concat("nested deeper than ", JsonTree::kDepthMax));
    if (tree_.nodes_.size() >= JsonTree::kNodesMax)
      return wrong(concat("more than ", JsonTree::kNodesMax, " values"));
    JsonNode& node = tree_.nodes_.emplace_back();
    out = &node;
    using simdjson::dom::element_type;
    switch (element.type()) {
      case element_type::NULL_VALUE:
        return {};
      case element_type::BOOL:
        node.kind = JsonNode::Kind::kBool;
        node.boolean = bool(element);
        return {};
      case element_type::INT64:
        node.kind = JsonNode::Kind::kNumber;
        node.text = fmt::format("{}", int64_t(element));
        return {};
      case element_type::UINT64:
        node.kind = JsonNode::Kind::kNumber;
        node.text = fmt::format("{}", uint64_t(element));
        return {};
      case element_type::DOUBLE:
        node.kind = JsonNode::Kind::kNumber;
        node.text = fmt::format("{}", double(element));
        return {};
      case element_type::STRING:
        node.kind = JsonNode::Kind::kString;
        node.text = std::string_view(element);
        return {};
      case element_type::ARRAY:
        node.kind = JsonNode::Kind::kArray;
        for (const simdjson::dom::element item : simdjson::dom::array(element)) {
          JsonNode* child = nullptr;
          SIS_TRY(read(item, depth + 1, child));
          node.items.push_back(child);
        }
        return {};
      case element_type::OBJECT: {
        node.kind = JsonNode::Kind::kObject;
        std::unordered_set<std::string_view> keys;
        for (const auto& [key, value] : simdjson::dom::object(element)) {
          if (!keys.insert(key).second) return wrong(concat("key ", in_quotes(key), " twice"));
          JsonNode* child = nullptr;
          SIS_TRY(read(value, depth + 1, child));
          node.members.emplace_back(key, child);
        }
        return {};
      }
    }
    return {};
  }

 private:
  Error wrong(std::string_view what) const {
    return Error{Code::kInvalidArgument, concat(name_, ": ", what), std::string(name_)};
  }
  JsonTree& tree_;
  std::string_view name_;
};

Result<JsonTree> JsonTree::parse(std::string_view text, std::string_view name) {
  if (text.size() > kBytesMax)
    return Error{Code::kInvalidArgument,
                 concat(name, ": ", text.size(), " bytes, want at most ", kBytesMax),
                 std::string(name)};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const simdjson::padded_string padded(text);
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS)
    return Error{Code::kInvalidArgument,
                 concat(name, ": not JSON: ", simdjson::error_message(error)), std::string(name)};
  JsonTree tree;
  JsonNode* first = nullptr;
  SIS_TRY(JsonTreeReader(tree, name).read(root, 0, first));
  return tree;
}

}  // namespace sis::text::grammar
