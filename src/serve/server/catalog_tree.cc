#include "serve/server/catalog_tree.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/strings.h"

namespace sis::server {
namespace {

class Converter {
 public:
  explicit Converter(std::string_view origin) : origin_(origin) {}

  Result<Tree> convert(const YAML::Node& node, int depth) {
    Tree tree;
    tree.line = node.Mark().is_null() ? 0 : node.Mark().line + 1;
    if (depth > kYamlDepthMax)
      return error(tree.line, concat("nested deeper than ", kYamlDepthMax));
    if (++nodes_ > kYamlNodesMax)
      return error(tree.line,
                   concat("more than ", kYamlNodesMax, " values once aliases are expanded"));
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return tree;
      case YAML::NodeType::Scalar:
        tree.kind = Tree::Kind::kScalar;
        tree.scalar = node.Scalar();
        scalar_bytes_ += static_cast<int64_t>(tree.scalar.size());
        if (scalar_bytes_ > 4 * kYamlBytesMax)
          return error(tree.line, concat("more than ", 4 * kYamlBytesMax,
                                         " bytes of text once aliases are expanded"));
        return tree;
      case YAML::NodeType::Sequence:
        tree.kind = Tree::Kind::kList;
        for (const auto& item : node) {
          SIS_ASSIGN(Tree child, convert(item, depth + 1));
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

  Result<Tree> convert_map(const YAML::Node& node, Tree tree, int depth) {
    tree.kind = Tree::Kind::kMap;
    Tree merged;  // of `<<` keys; the map's own members win
    merged.kind = Tree::Kind::kMap;
    for (const auto& member : node) {
      if (!member.first.IsScalar())
        return error(tree.line, "want plain text as the key of a mapping");
      const std::string& key = member.first.Scalar();
      SIS_ASSIGN(Tree child, convert(member.second, depth + 1));
      if (key == "<<") {
        SIS_TRY(take_merge(std::move(child), merged));
        continue;
      }
      if (tree.find(key))
        return error(child.line, concat("key ", in_quotes(key), " appears twice in one mapping"));
      tree.members.push_back({key, std::move(child)});
    }
    for (auto& member : merged.members)
      if (!tree.find(member.key)) tree.members.push_back(std::move(member));
    return tree;
  }

  // One mapping or a list of them; earlier ones win.
  Status take_merge(Tree from, Tree& merged) {
    if (from.kind == Tree::Kind::kList) {
      for (auto& item : from.items) SIS_TRY(take_merge(std::move(item), merged));
      return {};
    }
    if (from.kind != Tree::Kind::kMap) return error(from.line, "want a mapping after '<<'");
    for (auto& member : from.members)
      if (!merged.find(member.key)) merged.members.push_back(std::move(member));
    return {};
  }

  std::string_view origin_;
  int nodes_ = 0;
  int64_t scalar_bytes_ = 0;
};

}  // namespace

const Tree* Tree::find(std::string_view key) const {
  const auto it = std::find_if(members.begin(), members.end(),
                               [&](const auto& member) { return member.key == key; });
  return it == members.end() ? nullptr : &it->value;
}

Result<Tree> parse_yaml(const std::string& text, std::string_view origin) {
  if (static_cast<int64_t>(text.size()) > kYamlBytesMax)
    return Error{Code::kTooLarge,
                 concat(origin, ": ", text.size(), " bytes, want at most ", kYamlBytesMax)};
  if (!is_utf8(text)) return Error{Code::kInvalidArgument, concat(origin, ": want UTF-8 text")};
  try {
    return Converter(origin).convert(YAML::Load(text), 0);
  } catch (const YAML::Exception& e) {
    return Error{Code::kInvalidArgument, concat(origin, " line ", e.mark.line + 1, ": ", e.msg)};
  } catch (const std::exception& e) {
    return Error{Code::kInvalidArgument, concat(origin, ": ", e.what())};
  }
}

void merge_tree(Tree& base, const Tree& overlay) {
  if (base.kind != Tree::Kind::kMap || overlay.kind != Tree::Kind::kMap) {
    base = overlay;
    return;
  }
  for (const TreeMember& laid : overlay.members) {
    const auto it = std::find_if(base.members.begin(), base.members.end(),
                                 [&](const auto& member) { return member.key == laid.key; });
    if (it == base.members.end())
      base.members.push_back(laid);
    else
      merge_tree(it->value, laid.value);
  }
}

}  // namespace sis::server
