#include "infer/text/grammar/json_tree.h"

#include <simdjson.h>

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "base/strings.h"
#include "infer/text/grammar/number_range.h"

namespace sis::text::grammar {

namespace {

int order_of(bool is_before, bool is_behind) { return is_before ? -1 : is_behind ? 1 : 0; }
int order_of(std::string_view a, std::string_view b) { return order_of(a < b, b < a); }

// Numbers with more digits than Decimal reads come last and are their text.
int compare_numbers(const std::string& a, const std::string& b) {
  if (a == b) return 0;
  const auto ours = Decimal::parse(a), theirs = Decimal::parse(b);
  if (ours && theirs) return ours->compare(*theirs);
  if (!ours && !theirs) return order_of(a, b);
  return ours ? -1 : 1;
}

bool is_before(const JsonNode* a, const JsonNode* b) { return a->compare(*b) < 0; }

}  // namespace

const JsonNode* JsonNode::find(std::string_view key) const {
  const auto found = std::lower_bound(
      by_name.begin(), by_name.end(), key,
      [&](uint32_t member, std::string_view wanted) { return members[member].first < wanted; });
  if (found == by_name.end() || members[*found].first != key) return nullptr;
  return members[*found].second;
}

int JsonNode::compare(const JsonNode& other) const {
  if (kind != other.kind) return order_of(kind < other.kind, true);
  switch (kind) {
    case Kind::kNull:
      return 0;
    case Kind::kBool:
      return order_of(boolean < other.boolean, other.boolean < boolean);
    case Kind::kString:
      return order_of(text, other.text);
    case Kind::kNumber:
      return compare_numbers(text, other.text);
    case Kind::kArray:
      if (items.size() != other.items.size())
        return order_of(items.size() < other.items.size(), true);
      for (size_t i = 0; i < items.size(); ++i)
        if (const int order = items[i]->compare(*other.items[i]); order != 0) return order;
      return 0;
    case Kind::kObject:
      if (members.size() != other.members.size())
        return order_of(members.size() < other.members.size(), true);
      for (size_t i = 0; i < members.size(); ++i) {
        const auto& [name, value] = members[by_name[i]];
        const auto& [their_name, theirs] = other.members[other.by_name[i]];
        if (const int order = order_of(name, their_name); order != 0) return order;
        if (const int order = value->compare(*theirs); order != 0) return order;
      }
      return 0;
  }
  return 0;
}

JsonValues::JsonValues(std::vector<const JsonNode*> values) : sorted_(std::move(values)) {
  std::sort(sorted_.begin(), sorted_.end(), is_before);
}

bool JsonValues::contains(const JsonNode& value) const {
  return std::binary_search(sorted_.begin(), sorted_.end(), &value, is_before);
}

bool JsonValues::has_common(const JsonValues& other) const {
  auto ours = sorted_.begin(), theirs = other.sorted_.begin();
  while (ours != sorted_.end() && theirs != other.sorted_.end()) {
    const int order = (*ours)->compare(**theirs);
    if (order == 0) return true;
    if (order < 0)
      ++ours;
    else
      ++theirs;
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
        node.by_name.resize(node.members.size());
        std::iota(node.by_name.begin(), node.by_name.end(), 0u);
        std::sort(node.by_name.begin(), node.by_name.end(), [&](uint32_t a, uint32_t b) {
          return node.members[a].first < node.members[b].first;
        });
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
