#include "infer/text/tokenizer/legacy_bpe.h"

#include "infer/text/tokenizer/split_scanner.h"

namespace sis::text::tok {
namespace {

constexpr std::string_view kGpt2 = "GPT2Tokenizer", kRoberta = "RobertaTokenizer",
                           kQwen2 = "Qwen2Tokenizer", kWhisper = "WhisperTokenizer";

// Each line but the first's "#version" is a merge; blank ones are passed over.
std::string merges_json(std::string_view merges_txt) {
  std::string out = "[";
  for (size_t at = 0; at < merges_txt.size();) {
    const size_t end = std::min(merges_txt.find('\n', at), merges_txt.size());
    std::string_view line = merges_txt.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    if (out.size() > 1) out += ',';
    out += json_string(line);
  }
  return out += ']';
}

// Where ids come from: the vocabulary, then the added tokens in their order.
class Ids {
 public:
  Ids(const JsonObject& vocab, const LegacyConfig& config) : vocab_(vocab), next_(0) {
    for ([[maybe_unused]] const auto& entry : vocab.raw()) ++next_;
    for (const LegacyToken& token : config.added) add(token.content);
    for (const auto& [name, token] : config.named) add(token.content);
  }
  Result<std::pair<std::string, int64_t>> of(const std::string& token) const {
    int64_t id = 0;
    if (const auto element = vocab_.find(token); element && element->get(id) == simdjson::SUCCESS)
      return std::pair{token, id};
    if (const auto at = added_.find(token); at != added_.end()) return std::pair{token, at->second};
    return Error{Code::kInvalidArgument,
                 concat("vocab.json: the special token ", in_quotes(token), " is missing")};
  }

 private:
  void add(const std::string& token) {
    if (!vocab_.find(token) && !added_.contains(token)) added_[token] = next_++;
  }
  const JsonObject& vocab_;
  int64_t next_;
  std::map<std::string, int64_t> added_;
};

// "post_processor" of each class; empty when it adds nothing.
Result<std::string> post_processor_json(std::string_view kind, const LegacyConfig& config,
                                        const Ids& ids) {
  if (kind == kRoberta) {
    SIS_ASSIGN(const auto cls, ids.of(config.token("cls_token", "<s>")));
    SIS_ASSIGN(const auto sep, ids.of(config.token("sep_token", "</s>")));
    return fmt::format(
        R"("post_processor":{{"type":"RobertaProcessing","sep":[{},{}],"cls":[{},{}],"trim_offsets":{},"add_prefix_space":{}}},)",
        json_string(sep.first), sep.second, json_string(cls.first), cls.second,
        config.flag("trim_offsets", true), config.flag("add_prefix_space", false));
  }
  std::vector<std::pair<std::string, int64_t>> before, after;
  if (kind == kWhisper) {
    for (const char* token : {"<|startoftranscript|>", "<|notimestamps|>"}) {
      SIS_ASSIGN(before.emplace_back(), ids.of(token));
    }
    SIS_ASSIGN(after.emplace_back(), ids.of(config.token("eos_token", "<|endoftext|>")));
  } else {
    if (config.flag("add_bos_token", false)) {
      SIS_ASSIGN(before.emplace_back(), ids.of(config.token("bos_token", "<|endoftext|>")));
    }
    if (config.flag("add_eos_token", false)) {
      SIS_ASSIGN(after.emplace_back(), ids.of(config.token("eos_token", "<|endoftext|>")));
    }
  }
  if (before.empty() && after.empty()) return std::string();
  return around_json(before, after) + ",";
}

}  // namespace

Result<std::string> byte_level_tokenizer_json(std::string_view vocab_json,
                                              std::string_view merges_txt,
                                              const LegacyFiles& files) {
  SIS_ASSIGN(LegacyConfig config, read_legacy_config(files));
  const std::string_view kind = config.tokenizer_class.empty() ? kGpt2 : config.tokenizer_class;
  if (kind != kGpt2 && kind != kRoberta && kind != kQwen2 && kind != kWhisper)
    return Error{Code::kInvalidArgument,
                 concat("tokenizer_config.json: tokenizer_class ", in_quotes(kind),
                        " is not supported with vocab.json and merges.txt (there are ", kGpt2, ", ",
                        kQwen2, ", ", kRoberta, ", ", kWhisper, ")")};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const simdjson::padded_string padded(vocab_json);
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS)
    return Error{Code::kInvalidArgument, concat("vocab.json: ", simdjson::error_message(error))};
  SIS_ASSIGN(const JsonObject vocab, JsonObject::from(root, "vocab.json"));

  // Special tokens that a class has without being told.
  if (kind == kRoberta) {
    for (const auto& [name, content] : {std::pair{"bos_token", "<s>"},
                                        {"eos_token", "</s>"},
                                        {"sep_token", "</s>"},
                                        {"cls_token", "<s>"},
                                        {"unk_token", "<unk>"},
                                        {"pad_token", "<pad>"},
                                        {"mask_token", "<mask>"}})
      config.named.try_emplace(name, LegacyToken{.content = content, .special = true});
  } else {
    for (const char* name : {"bos_token", "eos_token", "unk_token"})
      if (kind != kQwen2 || name != std::string_view("bos_token"))
        config.named.try_emplace(name, LegacyToken{.content = "<|endoftext|>", .special = true});
    if (kind == kQwen2)
      config.named.try_emplace("pad_token",
                               LegacyToken{.content = "<|endoftext|>", .special = true});
  }
  const Ids ids(vocab, config);
  SIS_ASSIGN(const std::string post_processor, post_processor_json(kind, config, ids));
  const bool prefix = config.flag("add_prefix_space", false);
  std::string around;
  if (kind == kQwen2)
    around = fmt::format(
        R"("normalizer":{{"type":"NFC"}},"pre_tokenizer":{{"type":"Sequence","pretokenizers":[{{"type":"Split","pattern":{{"Regex":{}}},"behavior":"Isolated","invert":false}},{{"type":"ByteLevel","add_prefix_space":{},"trim_offsets":true,"use_regex":false}}]}},)",
        json_string(split_expression(KnownSplit::kQwen2)), prefix);
  else
    around = fmt::format(
        R"("pre_tokenizer":{{"type":"ByteLevel","add_prefix_space":{},"trim_offsets":true,"use_regex":true}},)",
        prefix);
  return fmt::format(
      R"({{"version":"1.0",{},{}{}"decoder":{{"type":"ByteLevel"}},"model":{{"type":"BPE","vocab":{},"merges":{}}}}})",
      added_tokens_json({}, config), around, post_processor, simdjson::minify(root),
      merges_json(merges_txt));
}

}  // namespace sis::text::tok
