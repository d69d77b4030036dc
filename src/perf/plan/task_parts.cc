#include "perf/plan/task_parts.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;
using Kind = YamlTree::Kind;

constexpr size_t kTextsMax = 100000;

Json to_json(const YamlTree& tree) {
  switch (tree.kind) {
    case Kind::kNull:
      return nullptr;
    case Kind::kList: {
      Json out = Json::array();
      for (const auto& item : tree.items) out.push_back(to_json(item));
      return out;
    }
    case Kind::kMap: {
      Json out = Json::object();
      for (const auto& member : tree.members) out[member.key] = to_json(member.value);
      return out;
    }
    case Kind::kScalar:
      break;
  }
  if (tree.quoted) return tree.scalar;
  if (tree.scalar == "true" || tree.scalar == "True") return true;
  if (tree.scalar == "false" || tree.scalar == "False") return false;
  if (tree.scalar == "null" || tree.scalar == "~") return nullptr;
  if (const auto whole = parse_int(tree.scalar)) return *whole;
  if (const auto number = parse_double(tree.scalar)) return *number;
  return tree.scalar;
}

}  // namespace

TaskTexts read_texts(PlanReader& reader, const std::string& noun, const std::string& fallback) {
  TaskTexts out;
  const std::string plural =
      noun.ends_with('y') ? noun.substr(0, noun.size() - 1) + "ies" : noun + "s";
  out.source.texts = reader.texts(noun, kTextsMax);
  if (auto more = reader.texts(plural, kTextsMax); !more.empty())
    out.source.texts = std::move(more);
  const std::string file = reader.text("file"), lengths = reader.text("lengths");
  out.distinct = reader.flag("distinct", false);
  const int sources = (reader.has(noun) ? 1 : 0) + (reader.has(plural) ? 1 : 0) +
                      (file.empty() ? 0 : 1) + (lengths.empty() ? 0 : 1);
  if (sources > 1)
    reader.fail(noun, concat("want only one of ", noun, ", ", plural, ", file and lengths"));
  if (reader.failed()) return out;
  if (!file.empty()) {
    auto lines = read_lines(file_beside(reader.origin(), file));
    if (lines.ok())
      out.source.texts = std::move(*lines);
    else
      reader.fail("file", lines.error().message);
  } else if (!lengths.empty()) {
    auto spec = LengthSpec::parse(lengths);
    if (spec.ok())
      out.source.lengths = *spec;
    else
      reader.fail("lengths", spec.error().message);
  }
  if (out.source.texts.empty() && !out.source.lengths) out.source.texts = {fallback};
  return out;
}

std::string file_beside(std::string_view origin, const std::string& file) {
  const std::filesystem::path path(file);
  if (path.is_absolute()) return file;
  return (std::filesystem::path(origin).parent_path() / path).string();
}

std::string json_of_yaml(const YamlTree& tree) { return to_json(tree).dump(); }

std::string object_text(PlanReader& reader, std::string_view key) {
  const YamlTree* tree = reader.find(key);
  if (tree == nullptr) return {};
  return tree->kind == Kind::kScalar ? tree->scalar : json_of_yaml(*tree);
}

Status take_model(std::string& model, const TaskTarget& target, const std::string& task) {
  if (model.empty()) model = target.environment.model;
  if (!model.empty()) return {};
  return Error{
      Code::kInvalidArgument,
      concat("task ", in_quotes(task), ": want a model, here or as the environment's `model`")};
}

std::string api_prefix(const net::Url& url) {
  std::string_view path = std::string_view(url.target).substr(0, url.target.find('?'));
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.ends_with("/v1") ? "" : "/v1";
}

net::Url without_v1(net::Url url) {
  if (api_prefix(url).empty())
    url.target.resize(url.target.substr(0, url.target.find('?')).rfind("/v1"));
  return url;
}

}  // namespace sis::perf
