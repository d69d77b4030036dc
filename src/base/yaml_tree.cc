#include "base/yaml_tree.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/strings.h"

namespace sis {
namespace {

int line_of(const YAML::Node& node) { return node.Mark().is_null() ? 0 : node.Mark().line + 1; }

class Converter {
 public:
  Converter(std::string_view origin, const YamlLimits& limits) : origin_(origin), limits_(limits) {}

  Result<YamlTree> convert(const YAML::Node& node, int depth) {
    YamlTree tree;
    tree.line = line_of(node);
    if (depth > limits_.depth)
      return error(tree.line, concat("nested deeper than ", limits_.depth));
    if (++values_ > limits_.values)
      return error(tree.line,
                   concat("more than ", limits_.values, " values once aliases are expanded"));
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return tree;
      case YAML::NodeType::Scalar:
        tree.kind = YamlTree::Kind::kScalar;
        tree.scalar = node.Scalar();
        tree.quoted = node.Tag() == "!";
        scalar_bytes_ += static_cast<int64_t>(tree.scalar.size());
        if (scalar_bytes_ > limits_.text_bytes)
          return error(tree.line, concat("more than ", limits_.text_bytes,
                                         " bytes of text once aliases are expanded"));
        return tree;
      case YAML::NodeType::Sequence:
        tree.kind = YamlTree::Kind::kList;
        for (const auto& item : node) {
          SIS_ASSIGN(YamlTree child, convert(item, depth + 1));
          tree.items.push_back(std::move(child));
        }
        return tree;
      case YAML::NodeType::Map:
        return convert_map(node, std::move(tree), depth);
    }
    return tree;
  }

 private:
  Error error(int line, std::string_view what) const {
    return Error{Code::kInvalidArgument, line > 0 ? concat(origin_, " line ", line, ": ", what)
                                                  : concat(origin_, ": ", what)};
  }

  Result<YamlTree> convert_map(const YAML::Node& node, YamlTree tree, int depth) {
    tree.kind = YamlTree::Kind::kMap;
    YamlTree merged;  // of `<<` keys; the map's own members win
    merged.kind = YamlTree::Kind::kMap;
    for (const auto& member : node) {
      if (!member.first.IsScalar())
        return error(tree.line, "want plain text as the key of a mapping");
      const std::string& key = member.first.Scalar();
      SIS_ASSIGN(YamlTree child, convert(member.second, depth + 1));
      if (key == "<<") {
        SIS_TRY(take_merge(std::move(child), merged));
        continue;
      }
      if (tree.find(key))
        return error(line_of(member.first),
                     concat("key ", in_quotes(key), " appears twice in one mapping"));
      tree.members.push_back({key, line_of(member.first), std::move(child)});
    }
    for (auto& member : merged.members)
      if (!tree.find(member.key)) tree.members.push_back(std::move(member));
    return tree;
  }

  // One mapping or a list of them; earlier ones win.
  Status take_merge(YamlTree from, YamlTree& merged) {
    if (from.kind == YamlTree::Kind::kList) {
      for (auto& item : from.items) SIS_TRY(take_merge(std::move(item), merged));
      return {};
    }
    if (from.kind != YamlTree::Kind::kMap) return error(from.line, "want a mapping after '<<'");
    for (auto& member : from.members)
      if (!merged.find(member.key)) merged.members.push_back(std::move(member));
    return {};
  }

  std::string_view origin_;
  const YamlLimits& limits_;
  int values_ = 0;
  int64_t scalar_bytes_ = 0;
};

}  // namespace

const YamlTree* YamlTree::find(std::string_view key) const {
  const auto it = std::find_if(members.begin(), members.end(),
                               [&](const auto& member) { return member.key == key; });
  return it == members.end() ? nullptr : &it->value;
}

YamlTree* YamlTree::find(std::string_view key) {
  return const_cast<YamlTree*>(static_cast<const YamlTree*>(this)->find(key));
}

Result<YamlTree> parse_yaml(const std::string& text, std::string_view origin,
                            const YamlLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.file_bytes)
    return Error{Code::kTooLarge,
                 concat(origin, ": ", text.size(), " bytes, want at most ", limits.file_bytes)};
  if (!is_utf8(text)) return Error{Code::kInvalidArgument, concat(origin, ": want UTF-8 text")};
  try {
    return Converter(origin, limits).convert(YAML::Load(text), 0);
  } catch (const YAML::Exception& e) {
    return Error{Code::kInvalidArgument, concat(origin, " line ", e.mark.line + 1, ": ", e.msg)};
  } catch (const std::exception& e) {
    return Error{Code::kInvalidArgument, concat(origin, ": ", e.what())};
  }
}

void merge_yaml(YamlTree& base, const YamlTree& overlay) {
  if (base.kind != YamlTree::Kind::kMap || overlay.kind != YamlTree::Kind::kMap) {
    base = overlay;
    return;
  }
  for (const YamlMember& laid : overlay.members) {
    if (YamlTree* member = base.find(laid.key))
      merge_yaml(*member, laid.value);
    else
      base.members.push_back(laid);
  }
}

}  // namespace sis
