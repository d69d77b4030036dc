#include "perf/plan/values.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "perf/plan/reader.h"

namespace sis::perf {
namespace {

using Kind = YamlTree::Kind;

Error setting_error(std::string_view setting, std::string_view what) {
  return Error{Code::kInvalidArgument, concat("--set ", in_quotes(setting), ": ", what)};
}

// The value at a path's next step; nullptr when there is none.
YamlTree* step_into(YamlTree& tree, const std::string& key) {
  if (tree.kind == Kind::kMap) return tree.find(key);
  if (tree.kind != Kind::kList) return nullptr;
  const auto index = parse_int(key);
  if (!index || *index < 0 || *index >= static_cast<int64_t>(tree.items.size())) return nullptr;
  return &tree.items[static_cast<size_t>(*index)];
}

Status apply_setting(YamlTree& plan, const std::string& setting, std::string_view origin) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) return setting_error(setting, "want NAME=VALUE");
  const std::string name = setting.substr(0, equals);
  auto value = parse_yaml(setting.substr(equals + 1), concat("--set ", in_quotes(name)), kPlanYaml);
  if (!value.ok()) return value.error();
  value->line = 0;

  if (YamlTree* variables = plan.find("variables");
      variables != nullptr && variables->kind == Kind::kMap) {
    if (YamlTree* variable = variables->find(name)) {
      *variable = std::move(*value);
      return {};
    }
  }
  YamlTree* at = &plan;
  std::string path;
  const auto steps = split(name, '.');
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    YamlTree* next = step_into(*at, steps[i]);
    if (next == nullptr)
      return setting_error(setting, concat(origin, " has no variable ", in_quotes(name), " and ",
                                           path.empty() ? "no key " : concat(path, " has no "),
                                           in_quotes(steps[i])));
    path += concat(path.empty() ? "" : ".", steps[i]);
    at = next;
  }
  if (YamlTree* last = step_into(*at, steps.back())) {
    *last = std::move(*value);
    return {};
  }
  if (at->kind != Kind::kMap || steps.size() == 1)
    return setting_error(setting, concat(origin, " has no variable and no key of this name"));
  at->members.push_back({steps.back(), 0, std::move(*value)});
  return {};
}

int size_of(const YamlTree& tree) {
  int size = 1;
  for (const auto& item : tree.items) size += size_of(item);
  for (const auto& member : tree.members) size += size_of(member.value);
  return size;
}

class Filler {
 public:
  Filler(const YamlTree* variables, const Environment& environment, std::string_view origin)
      : variables_(variables), environment_(environment), origin_(origin) {}

  Status fill(YamlTree& tree, const std::string& path, int depth) {
    if (depth > kPlanYaml.depth || ++values_ > kPlanYaml.values)
      return plan_error(origin_, tree, path, "too much once variables are filled in");
    for (auto& item : tree.items) SIS_TRY(fill(item, path, depth + 1));
    for (auto& member : tree.members)
      SIS_TRY(
          fill(member.value, path.empty() ? member.key : concat(path, ".", member.key), depth + 1));
    if (tree.kind != Kind::kScalar || tree.scalar.find("${") == std::string::npos) return {};
    return fill_scalar(tree, path);
  }

 private:
  Status fill_scalar(YamlTree& tree, const std::string& path) {
    const std::string text = tree.scalar;
    std::string out;
    for (size_t i = 0; i < text.size();) {
      const size_t at = text.find("${", i);
      if (at == std::string::npos) {
        out += text.substr(i);
        break;
      }
      if (at > i && text[at - 1] == '$') {  // $${
        out += text.substr(i, at - 1 - i);
        out += "${";
        i = at + 2;
        continue;
      }
      out += text.substr(i, at - i);
      const size_t end = text.find('}', at);
      if (end == std::string::npos)
        return plan_error(origin_, tree, path, concat("want '}' behind ", in_quotes(text)));
      const std::string name = text.substr(at + 2, end - at - 2);
      if (!name.starts_with("env:") && at == 0 && end + 1 == text.size() && !tree.quoted)
        return take_whole(tree, path, name);
      SIS_ASSIGN(const std::string value, value_of(tree, path, name));
      out += value;
      if (out.size() > static_cast<size_t>(kPlanYaml.file_bytes))
        return plan_error(origin_, tree, path, "too long once variables are filled in");
      i = end + 1;
    }
    tree.scalar = std::move(out);
    return {};
  }

  Result<const YamlTree*> variable(const YamlTree& at, const std::string& path,
                                   const std::string& name) const {
    const YamlTree* found = variables_ != nullptr ? variables_->find(name) : nullptr;
    if (found != nullptr) return found;
    std::vector<std::string> names;
    if (variables_ != nullptr)
      for (const auto& member : variables_->members) names.push_back(member.key);
    return plan_error(origin_, at, path,
                      concat("no variable ", in_quotes(name),
                             "; variables are: ", names.empty() ? "none" : join_list(names),
                             " (of the process: ${env:NAME})"));
  }

  Status take_whole(YamlTree& tree, const std::string& path, const std::string& name) {
    SIS_ASSIGN(const YamlTree* value, variable(tree, path, name));
    const int line = tree.line;
    values_ += size_of(*value);
    if (values_ > kPlanYaml.values)
      return plan_error(origin_, tree, path, "too much once variables are filled in");
    tree = *value;
    tree.line = line;
    return {};
  }

  Result<std::string> value_of(const YamlTree& at, const std::string& path,
                               const std::string& name) const {
    if (!name.starts_with("env:")) {
      SIS_ASSIGN(const YamlTree* value, variable(at, path, name));
      if (value->kind != Kind::kScalar)
        return plan_error(
            origin_, at, path,
            concat("variable ", in_quotes(name), ": want text here, got ", found_text(*value)));
      return value->scalar;
    }
    // ${env:NAME} or ${env:NAME:-what else}
    std::string variable_name = name.substr(4);
    std::optional<std::string> fallback;
    if (const size_t dash = variable_name.find(":-"); dash != std::string::npos) {
      fallback = variable_name.substr(dash + 2);
      variable_name.resize(dash);
    }
    auto value = environment_ ? environment_(variable_name) : std::nullopt;
    if (value && !value->empty()) return *value;
    if (fallback) return *fallback;
    return plan_error(origin_, at, path,
                      concat("the environment variable ", in_quotes(variable_name),
                             " is not set; ${env:NAME:-default} does without"));
  }

  const YamlTree* variables_;
  const Environment& environment_;
  std::string_view origin_;
  int values_ = 0;
};

}  // namespace

Status apply_settings(YamlTree& plan, const std::vector<std::string>& settings,
                      std::string_view origin) {
  for (const auto& setting : settings) SIS_TRY(apply_setting(plan, setting, origin));
  return {};
}

Status fill_in_values(YamlTree& plan, const Environment& environment, std::string_view origin) {
  YamlTree variables;
  const auto found = std::find_if(plan.members.begin(), plan.members.end(),
                                  [](const auto& member) { return member.key == "variables"; });
  if (found != plan.members.end()) {
    variables = std::move(found->value);
    plan.members.erase(found);
    if (variables.kind != Kind::kMap && variables.kind != Kind::kNull)
      return plan_error(origin, variables, "variables",
                        concat("want a mapping of names to values, got ", found_text(variables)));
    // Variables may hold ${env:...}, not each other.
    SIS_TRY(Filler(nullptr, environment, origin).fill(variables, "variables", 0));
  }
  return Filler(&variables, environment, origin).fill(plan, "", 0);
}

}  // namespace sis::perf
