#include "infer/text/tokenizer/legacy_vocab.h"

#include <optional>
#include <unordered_map>

#include "base/strings.h"
#include "infer/text/tokenizer/json.h"
#include "infer/text/tokenizer/legacy_config.h"

namespace sis::text::tok {
namespace {

void append_json_string(std::string& out, std::string_view text) { out += json_string(text); }

// A special token is given as a string or as {"content": ...}.
Result<std::string> special_token(const JsonObject* config, std::string_view key,
                                  std::string_view fallback) {
  if (config == nullptr || !config->find(key)) return std::string(fallback);
  std::string_view content;
  if (config->find(key)->get(content) != simdjson::SUCCESS) {
    SIS_ASSIGN(const JsonObject object, config->object(key));
    SIS_ASSIGN(content, object.string("content"));
  }
  return std::string(content);
}

}  // namespace

Result<std::string> bert_tokenizer_json(std::string_view vocab_txt,
                                        std::string_view tokenizer_config) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::optional<JsonObject> config;
  if (!tokenizer_config.empty()) {
    const simdjson::padded_string padded(tokenizer_config);
    if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS)
      return Error{Code::kInvalidArgument,
                   concat("tokenizer_config.json: ", simdjson::error_message(error))};
    SIS_ASSIGN(config, JsonObject::from(root, "tokenizer_config.json"));
  }
  const JsonObject* options = config ? &*config : nullptr;
  bool lowercase = true, chinese = true;
  std::string strip_accents = "null";
  if (options != nullptr) {
    SIS_ASSIGN(lowercase, options->boolean("do_lower_case", true));
    SIS_ASSIGN(chinese, options->boolean("tokenize_chinese_chars", true));
    if (options->find("strip_accents")) {
      SIS_ASSIGN(const bool strip, options->boolean("strip_accents"));
      strip_accents = strip ? "true" : "false";
    }
  }

  std::unordered_map<std::string_view, int64_t> ids;
  std::vector<std::string_view> tokens;
  for (size_t at = 0; at < vocab_txt.size();) {
    const size_t end = std::min(vocab_txt.find('\n', at), vocab_txt.size());
    std::string_view token = vocab_txt.substr(at, end - at);
    if (token.ends_with('\r')) token.remove_suffix(1);
    at = end + 1;
    // Of a token that comes twice the last line counts, as in a Python dict.
    ids[token] = static_cast<int64_t>(tokens.size());
    tokens.push_back(token);
  }
  const auto id_of = [&](std::string_view token) -> Result<int64_t> {
    if (const auto at = ids.find(token); at != ids.end()) return at->second;
    return Error{Code::kInvalidArgument,
                 concat("vocab.txt: the special token ", in_quotes(token), " is missing")};
  };

  SIS_ASSIGN(const std::string unk, special_token(options, "unk_token", "[UNK]"));
  SIS_ASSIGN(const std::string sep, special_token(options, "sep_token", "[SEP]"));
  SIS_ASSIGN(const std::string pad, special_token(options, "pad_token", "[PAD]"));
  SIS_ASSIGN(const std::string cls, special_token(options, "cls_token", "[CLS]"));
  SIS_ASSIGN(const std::string mask, special_token(options, "mask_token", "[MASK]"));
  SIS_ASSIGN(const int64_t sep_id, id_of(sep));
  SIS_ASSIGN(const int64_t cls_id, id_of(cls));

  std::string out = R"({"version":"1.0","added_tokens":[)";
  bool first = true;
  for (const std::string* token : {&pad, &unk, &cls, &sep, &mask}) {
    if (!ids.contains(*token)) continue;
    out += first ? "" : ",";
    first = false;
    out += R"({"special":true,"normalized":false,"content":)";
    append_json_string(out, *token);
    out += '}';
  }
  out += fmt::format(
      R"(],"normalizer":{{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":{},"strip_accents":{},"lowercase":{}}})",
      chinese, strip_accents, lowercase);
  out +=
      R"(,"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"BertProcessing","sep":[)";
  append_json_string(out, sep);
  out += fmt::format(R"(,{}],"cls":[)", sep_id);
  append_json_string(out, cls);
  out += fmt::format(R"(,{}]}},"decoder":{{"type":"WordPiece","prefix":"##","cleanup":true}})",
                     cls_id);
  out +=
      R"(,"model":{"type":"WordPiece","continuing_subword_prefix":"##","max_input_chars_per_word":100,"unk_token":)";
  append_json_string(out, unk);
  out += R"(,"vocab":{)";
  first = true;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (ids[tokens[id]] != static_cast<int64_t>(id)) continue;
    out += first ? "" : ",";
    first = false;
    append_json_string(out, tokens[id]);
    out += fmt::format(":{}", id);
  }
  out += "}}}";
  return out;
}

}  // namespace sis::text::tok
