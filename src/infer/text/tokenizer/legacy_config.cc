#include "infer/text/tokenizer/legacy_config.h"

#include <algorithm>
#include <set>

namespace sis::text::tok {
namespace {

constexpr std::string_view kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
constexpr std::string_view kFlags[] = {"add_bos_token", "add_eos_token", "add_prefix_space",
                                       "trim_offsets", "legacy"};

// A token is given as a string or as an object with flags.
Result<LegacyToken> read_token(simdjson::dom::element element, std::string path, bool special) {
  LegacyToken token{.special = special};
  std::string_view content;
  if (element.get(content) == simdjson::SUCCESS) {
    token.content = content;
    return token;
  }
  SIS_ASSIGN(const JsonObject object, JsonObject::from(element, std::move(path)));
  SIS_ASSIGN(content, object.string("content"));
  token.content = content;
  SIS_ASSIGN(token.special, object.boolean("special", special));
  SIS_ASSIGN(token.normalized, object.boolean("normalized", false));
  SIS_ASSIGN(token.lstrip, object.boolean("lstrip", false));
  SIS_ASSIGN(token.rstrip, object.boolean("rstrip", false));
  SIS_ASSIGN(token.single_word, object.boolean("single_word", false));
  return token;
}

// fn(JsonObject) on a file's object, if there is one.
template <class Fn>
Status with_file(const std::string& text, std::string_view name, Fn&& fn) {
  if (text.empty()) return {};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const simdjson::padded_string padded(text);
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS)
    return Error{Code::kInvalidArgument, concat(name, ": ", simdjson::error_message(error))};
  auto object = JsonObject::from(root, "");
  if (!object) return prefixed(name, object.error());
  if (Status status = fn(*object); !status) return prefixed(name, status.error());
  return {};
}

Status read_named(const JsonObject& object, LegacyConfig& config,
                  std::vector<LegacyToken>& additional) {
  for (const std::string_view name : kNames) {
    const auto element = object.find(name);
    if (!element || config.named.contains(name)) continue;
    SIS_ASSIGN(config.named[std::string(name)], read_token(*element, object.path_of(name), true));
    config.named.find(name)->second.special = true;
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const auto element = object.find(key);
    simdjson::dom::array list;
    if (!element || element->get(list) != simdjson::SUCCESS) continue;
    for (const simdjson::dom::element one : list) {
      SIS_ASSIGN(LegacyToken token, read_token(one, object.path_of(key), true));
      token.special = true;
      additional.push_back(std::move(token));
    }
  }
  return {};
}

Result<int64_t> read_id(std::string_view text) {
  const auto id = parse_int(text);
  if (id && *id >= 0 && *id <= INT32_MAX) return *id;
  return Error{Code::kInvalidArgument,
               concat("added_tokens_decoder: want an id, found ", in_quotes(text))};
}

}  // namespace

Result<LegacyConfig> read_legacy_config(const LegacyFiles& files) {
  LegacyConfig config;
  std::map<int64_t, LegacyToken> by_id;
  std::vector<LegacyToken> additional;
  SIS_TRY(with_file(files.tokenizer_config, "tokenizer_config.json",
                    [&](const JsonObject& object) -> Status {
                      SIS_ASSIGN(std::string_view name, object.string("tokenizer_class", ""));
                      if (name.ends_with("Fast")) name.remove_suffix(4);
                      config.tokenizer_class = name;
                      for (const std::string_view flag : kFlags) {
                        bool value = false;
                        if (const auto element = object.find(flag);
                            element && element->get(value) == simdjson::SUCCESS)
                          config.flags[std::string(flag)] = value;
                      }
                      SIS_TRY(read_named(object, config, additional));
                      if (!object.find("added_tokens_decoder")) return {};
                      SIS_ASSIGN(const JsonObject decoder, object.object("added_tokens_decoder"));
                      for (const auto& [key, element] : decoder.raw()) {
                        SIS_ASSIGN(const int64_t id, read_id(key));
                        SIS_ASSIGN(by_id[id], read_token(element, decoder.path_of(key), false));
                      }
                      return {};
                    }));
  SIS_TRY(
      with_file(files.special_tokens_map, "special_tokens_map.json",
                [&](const JsonObject& object) { return read_named(object, config, additional); }));
  SIS_TRY(
      with_file(files.added_tokens, "added_tokens.json", [&](const JsonObject& object) -> Status {
        for (const auto& [content, element] : object.raw()) {
          int64_t id = 0;
          if (element.get(id) != simdjson::SUCCESS || id < 0 || id > INT32_MAX)
            return Error{Code::kInvalidArgument,
                         concat(in_quotes(content), ": want an id, found ", json_kind(element))};
          by_id.try_emplace(id, LegacyToken{.content = std::string(content)});
        }
        return {};
      }));
  for (auto& [id, token] : by_id) config.added.push_back(std::move(token));
  for (LegacyToken& token : additional) config.added.push_back(std::move(token));
  return config;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      out += c;
  }
  return out += '"';
}

std::string added_tokens_json(const std::vector<LegacyToken>& first, const LegacyConfig& config) {
  std::string out = "\"added_tokens\":[";
  std::vector<LegacyToken> all = first;
  all.insert(all.end(), config.added.begin(), config.added.end());
  for (const std::string_view name : kNames)
    if (const auto at = config.named.find(name); at != config.named.end())
      all.push_back(at->second);
  std::set<std::string, std::less<>> special, seen;
  for (const LegacyToken& token : all)
    if (token.special) special.insert(token.content);
  for (const LegacyToken& token : all) {
    if (token.content.empty() || !seen.insert(token.content).second) continue;
    if (seen.size() > 1) out += ',';
    out += fmt::format(
        R"({{"content":{},"special":{},"normalized":{},"lstrip":{},"rstrip":{},"single_word":{}}})",
        json_string(token.content), special.contains(token.content), token.normalized, token.lstrip,
        token.rstrip, token.single_word);
  }
  return out += ']';
}

std::string around_json(const std::vector<std::pair<std::string, int64_t>>& before,
                        const std::vector<std::pair<std::string, int64_t>>& after) {
  const auto one = [&](char name, int type) {
    std::vector<std::string> parts;
    const auto add = [&](const std::pair<std::string, int64_t>& token) {
      parts.push_back(fmt::format(R"({{"SpecialToken":{{"id":{},"type_id":{}}}}})",
                                  json_string(token.first), type));
    };
    for (const auto& token : before) add(token);
    parts.push_back(fmt::format(R"({{"Sequence":{{"id":"{}","type_id":{}}}}})", name, type));
    for (const auto& token : after) add(token);
    return fmt::format("{}", fmt::join(parts, ","));
  };
  std::map<std::string, int64_t> ids(before.begin(), before.end());
  ids.insert(after.begin(), after.end());
  std::vector<std::string> tokens;
  for (const auto& [token, id] : ids)
    tokens.push_back(
        fmt::format(R"({0}:{{"id":{0},"ids":[{1}],"tokens":[{0}]}})", json_string(token), id));
  const std::string first = one('A', 0);
  return fmt::format(
      R"("post_processor":{{"type":"TemplateProcessing","single":[{}],"pair":[{},{}],"special_tokens":{{{}}}}})",
      first, first, one('B', 1), fmt::join(tokens, ","));
}

}  // namespace sis::text::tok
