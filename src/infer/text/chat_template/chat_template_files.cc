#include "infer/text/chat_template/chat_template_files.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/file.h"
#include "infer/text/chat_template/json_text.h"

namespace sis::text {
namespace {

namespace fs = std::filesystem;
using tmpl::Kind;
using tmpl::Value;

constexpr uintmax_t kJsonBytesMax = 64u << 20;
constexpr size_t kTemplatesMax = 64;
constexpr std::string_view kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                            "pad_token", "cls_token", "mask_token"};

// Nothing when there is no such file.
Result<std::optional<std::string>> read_if_there(const fs::path& path, uintmax_t bytes_max) {
  auto text = read_file(path, bytes_max);
  if (text.ok()) return std::optional(std::move(*text));
  if (text.error().code == Code::kNotFound) return std::optional<std::string>();
  return std::move(text).error();
}

Result<std::optional<Value>> read_json(const fs::path& path) {
  SIS_ASSIGN(auto text, read_if_there(path, kJsonBytesMax));
  if (!text) return std::optional<Value>();
  SIS_ASSIGN(Value value, tmpl::from_json(*text, path.string()));
  if (!value.is(Kind::kDict))
    return Error{Code::kInvalidArgument,
                 concat(path.string(), ": want an object, found ", tmpl::type_name(value))};
  return std::optional<Value>(std::move(value));
}

using Sources = std::map<std::string, std::string>;

Result<Sources> jinja_files(const fs::path& folder, const TemplateLimits& limits) {
  Sources sources;
  SIS_ASSIGN(auto main, read_if_there(folder / "chat_template.jinja", limits.source_bytes));
  if (main) sources["default"] = std::move(*main);
  std::error_code ec;
  for (fs::directory_iterator at(folder / "additional_chat_templates", ec), end; !ec && at != end;
       at.increment(ec)) {
    if (at->path().extension() != ".jinja") continue;
    if (sources.size() >= kTemplatesMax)
      return Error{Code::kTooLarge,
                   concat(folder.string(), ": more than ", kTemplatesMax, " chat templates")};
    SIS_ASSIGN(auto text, read_if_there(at->path(), limits.source_bytes));
    if (text) sources[at->path().stem().string()] = std::move(*text);
  }
  return sources;
}

// `chat_template` of a JSON file: a text, {name: text} or [{"name": ..., "template": ...}].
Result<Sources> sources_in(const Value& config, const std::string& file) {
  Sources sources;
  const auto wrong = [&](std::string_view wanted, const Value& found) {
    return Error{Code::kInvalidArgument, concat(file, ": chat_template: want ", wanted, ", found ",
                                                tmpl::type_name(found))};
  };
  const Value* given = config.as_dict().find("chat_template");
  if (given == nullptr || given->is(Kind::kNone)) return sources;
  if (given->is_string()) {
    sources["default"] = given->text();
  } else if (given->is(Kind::kDict)) {
    for (const auto& [name, text] : given->entries()) {
      if (!text.is_string()) return wrong("texts by name", text);
      sources[std::string(name.text())] = text.text();
    }
  } else if (given->is(Kind::kList)) {
    for (const Value& one : given->items()) {
      if (!one.is(Kind::kDict)) return wrong("objects with name and template", one);
      const Value* name = one.as_dict().find("name");
      const Value* text = one.as_dict().find("template");
      if (name == nullptr || text == nullptr || !name->is_string() || !text->is_string())
        return wrong("objects with name and template as texts", one);
      sources[std::string(name->text())] = text->text();
    }
  } else {
    return wrong("a text or a list", *given);
  }
  if (sources.size() > kTemplatesMax)
    return Error{Code::kTooLarge, concat(file, ": more than ", kTemplatesMax, " chat templates")};
  return sources;
}

using Tokens = std::map<std::string_view, Value>;  // by kTokenNames

// A token is a text or an object with its text as `content`; null takes one away.
Status read_tokens(const Value& config, const std::string& file, Tokens& tokens) {
  for (std::string_view name : kTokenNames) {
    const Value* given = config.as_dict().find(name);
    if (given == nullptr) continue;
    if (given->is(Kind::kNone)) {
      tokens.erase(name);
      continue;
    }
    const Value* text = given->is(Kind::kDict) ? given->as_dict().find("content") : given;
    if (text == nullptr || !text->is_string())
      return Error{Code::kInvalidArgument,
                   concat(file, ": ", name, ": want a text or an object with content, found ",
                          tmpl::type_name(*given))};
    tokens[name] = *text;
  }
  return {};
}

// Those of tokenizer_config.json. special_tokens_map.json, of older checkpoints, has the last word
// where that file does not spell out the added tokens, and none where it does.
Result<Value> token_texts(const std::optional<Value>& config, const fs::path& root) {
  Tokens tokens;
  if (config) SIS_TRY(read_tokens(*config, (root / "tokenizer_config.json").string(), tokens));
  if (!config || config->as_dict().find("added_tokens_decoder") == nullptr) {
    const fs::path file = root / "special_tokens_map.json";
    SIS_ASSIGN(const auto map, read_json(file));
    if (map) SIS_TRY(read_tokens(*map, file.string(), tokens));
  }
  Value::Entries entries;
  for (std::string_view name : kTokenNames)
    if (const auto found = tokens.find(name); found != tokens.end())
      entries.emplace_back(Value::string(std::string(name)), found->second);
  return Value::dict(std::move(entries));
}

}  // namespace

Result<ChatTemplates> ChatTemplates::from_folder(const std::string& folder,
                                                 const TemplateLimits& limits) {
  const fs::path root(folder);
  SIS_ASSIGN(const auto config, read_json(root / "tokenizer_config.json"));
  SIS_ASSIGN(Sources sources, jinja_files(root, limits));
  if (sources.empty()) {
    SIS_ASSIGN(const auto legacy, read_json(root / "chat_template.json"));
    if (legacy) {
      SIS_ASSIGN(sources, sources_in(*legacy, (root / "chat_template.json").string()));
    }
  }
  if (sources.empty() && config) {
    SIS_ASSIGN(sources, sources_in(*config, (root / "tokenizer_config.json").string()));
  }
  if (sources.empty())
    return Error{Code::kNotFound,
                 concat(folder,
                        ": no chat template: want chat_template.jinja, chat_template.json "
                        "or chat_template in tokenizer_config.json")};
  ChatTemplates made;
  for (const auto& [name, source] : sources) {
    auto parsed = ChatTemplate::parse(source, limits);
    if (!parsed)
      return prefixed(concat(folder, ": template '", name, "'"), std::move(parsed).error());
    made.templates_.emplace(name, std::move(parsed).value());
  }
  SIS_ASSIGN(made.special_tokens_, token_texts(config, root));
  return made;
}

ChatTemplates ChatTemplates::from_template(ChatTemplate only, tmpl::Value special_tokens) {
  ChatTemplates made;
  made.templates_.emplace("default", std::move(only));
  made.special_tokens_ = std::move(special_tokens);
  return made;
}

Result<const ChatTemplate*> ChatTemplates::choose(const std::string& name, bool with_tools) const {
  const auto tool_use = templates_.find("tool_use");
  const auto found = !name.empty()                                ? templates_.find(name)
                     : with_tools && tool_use != templates_.end() ? tool_use
                                                                  : templates_.find("default");
  if (found != templates_.end()) return &found->second;
  std::vector<std::string> names;
  for (const auto& [known, parsed] : templates_) names.push_back(known);
  return Error{Code::kNotFound, concat("chat template '", name.empty() ? "default" : name,
                                       "' does not exist; there are: ", join_list(names))};
}

}  // namespace sis::text
