#include "infer/text/tokenizer/legacy_sentencepiece.h"

#include <unordered_map>

#include "infer/text/tokenizer/sentencepiece.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

constexpr size_t kMergesMax = 8'000'000;

constexpr std::string_view kDecodeMarks =
    R"({"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"})";

struct Piece {
  std::string text;
  double score = 0;
};

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve(bytes.size() * 4 / 3 + 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t word = 0;
    for (size_t i = 0; i < 3; ++i)
      word = word << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (size_t i = 0; i < 4; ++i)
      out += at + i > bytes.size() ? '=' : kDigits[word >> (18 - 6 * i) & 63];
  }
  return out;
}

std::string unigram_json(const std::vector<Piece>& pieces, int64_t unknown_id, bool byte_fallback) {
  std::string out = fmt::format(
      R"({{"type":"Unigram","unk_id":{},"byte_fallback":{},"exact_scores":true,"vocab":[)",
      unknown_id, byte_fallback);
  for (const Piece& piece : pieces)
    out += fmt::format("{}[{},{}]", &piece == pieces.data() ? "" : ",", json_string(piece.text),
                       piece.score);
  return out += "]}";
}

// The merges that a list of pieces stands for: every way to cut a piece in two pieces, in the
// order of the pieces and then of the cuts.
Result<std::string> bpe_json(const std::vector<Piece>& pieces, std::string_view unknown) {
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < pieces.size(); ++id) ids.emplace(pieces[id].text, id);
  std::string vocab, merges;
  size_t count = 0;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string_view text = pieces[id].text;
    if (ids[text] != id) continue;
    vocab += fmt::format("{}{}:{}", id == 0 ? "" : ",", json_string(text), id);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if (is_continuation(text[cut])) continue;
      const std::string_view left = text.substr(0, cut), right = text.substr(cut);
      if (!ids.contains(left) || !ids.contains(right)) continue;
      if (++count > kMergesMax)
        return Error{Code::kInvalidArgument,
                     concat("sentencepiece model: more than ", kMergesMax, " merges")};
      merges += fmt::format("{}[{},{}]", merges.empty() ? "" : ",", json_string(left),
                            json_string(right));
    }
  }
  return fmt::format(
      R"({{"type":"BPE","fuse_unk":true,"byte_fallback":true,"unk_token":{},"vocab":{{{}}},"merges":[{}]}})",
      unknown.empty() ? std::string("null") : json_string(unknown), vocab, merges);
}

// The parts of one family's tokenizer.json.
struct Family {
  std::vector<Piece> pieces;
  std::string model, normalizer, pre_tokenizer, decoder, post_processor;
};

Result<std::pair<std::string, int64_t>> find_piece(const std::vector<Piece>& pieces,
                                                   const std::string& text) {
  for (size_t id = 0; id < pieces.size(); ++id)
    if (pieces[id].text == text) return std::pair{text, static_cast<int64_t>(id)};
  return Error{Code::kInvalidArgument,
               concat("sentencepiece model: the special token ", in_quotes(text), " is missing")};
}

// Unigram over words that begin with marks.
void use_words(const SentencePieceModel& model, int64_t unknown_id, bool prefix, Family& family) {
  family.model = unigram_json(family.pieces, unknown_id, false);
  if (!model.charsmap.empty())
    family.normalizer = fmt::format(R"({{"type":"Precompiled","precompiled_charsmap":"{}"}})",
                                    base64(model.charsmap));
  const std::string metaspace = fmt::format(
      R"({{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"{}","split":true}})",
      prefix ? "always" : "never");
  family.pre_tokenizer = fmt::format(
      R"({{"type":"Sequence","pretokenizers":[{{"type":"WhitespaceSplit"}},{}]}})", metaspace);
  family.decoder = metaspace;
}

Status make_xlm_roberta(const SentencePieceModel& model, const LegacyConfig& config,
                        Family& family) {
  // fairseq's first four, then the pieces after SentencePiece's three, then the mask.
  std::vector<Piece> pieces{{config.token("bos_token", "<s>")},
                            {config.token("pad_token", "<pad>")},
                            {config.token("eos_token", "</s>")},
                            {config.token("unk_token", "<unk>")}};
  if (family.pieces.size() > 3)
    pieces.insert(pieces.end(), family.pieces.begin() + 3, family.pieces.end());
  pieces.push_back({config.token("mask_token", "<mask>")});
  family.pieces = std::move(pieces);
  use_words(model, 3, config.flag("add_prefix_space", true), family);
  const std::string cls = json_string(family.pieces[0].text),
                    sep = json_string(family.pieces[2].text);
  const auto special = [](const std::string& token) {
    return fmt::format(R"({{"SpecialToken":{{"id":{},"type_id":0}}}})", token);
  };
  const auto sequence = [](char name) {
    return fmt::format(R"({{"Sequence":{{"id":"{}","type_id":0}}}})", name);
  };
  family.post_processor = fmt::format(
      R"("post_processor":{{"type":"TemplateProcessing","single":[{0},{1},{3}],"pair":[{0},{1},{3},{3},{2},{3}],"special_tokens":{{{4}:{{"id":{4},"ids":[0],"tokens":[{4}]}},{5}:{{"id":{5},"ids":[2],"tokens":[{5}]}}}}}})",
      special(cls), sequence('A'), sequence('B'), special(sep), cls, sep);
  return {};
}

Status make_t5(const SentencePieceModel& model, const LegacyConfig& config, Family& family) {
  constexpr int kExtraIds = 100;
  for (int i = kExtraIds - 1; i >= 0; --i)
    family.pieces.push_back({fmt::format("<extra_id_{}>", i)});
  use_words(model, 2, true, family);
  SIS_ASSIGN(const auto eos, find_piece(family.pieces, config.token("eos_token", "</s>")));
  family.post_processor = around_json({}, {eos});
  // Both texts are of type 0.
  for (size_t at; (at = family.post_processor.find("\"type_id\":1")) != std::string::npos;)
    family.post_processor[at + 10] = '0';
  return {};
}

Status add_bos_and_eos(const LegacyConfig& config, std::string_view bos, std::string_view eos,
                       Family& family) {
  std::vector<std::pair<std::string, int64_t>> before, after;
  if (config.flag("add_bos_token", true)) {
    SIS_ASSIGN(before.emplace_back(), find_piece(family.pieces, config.token("bos_token", bos)));
  }
  if (config.flag("add_eos_token", false)) {
    SIS_ASSIGN(after.emplace_back(), find_piece(family.pieces, config.token("eos_token", eos)));
  }
  if (!before.empty() || !after.empty()) family.post_processor = around_json(before, after);
  return {};
}

Status make_llama(const SentencePieceModel&, const LegacyConfig& config, Family& family) {
  SIS_ASSIGN(family.model, bpe_json(family.pieces, ""));
  const bool prefix = config.flag("add_prefix_space", true);
  const char* scheme = !prefix ? "never" : config.flag("legacy", false) ? "always" : "first";
  family.pre_tokenizer = fmt::format(
      R"({{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"{}","split":false}})",
      scheme);
  family.decoder =
      fmt::format(R"({{"type":"Sequence","decoders":[{}{}]}})", kDecodeMarks,
                  prefix ? R"(,{"type":"Strip","content":" ","start":1,"stop":0})" : "");
  return add_bos_and_eos(config, "<s>", "</s>", family);
}

Status make_gemma(const SentencePieceModel&, const LegacyConfig& config, Family& family) {
  SIS_ASSIGN(family.model, bpe_json(family.pieces, config.token("unk_token", "<unk>")));
  family.normalizer = R"({"type":"Replace","pattern":{"String":" "},"content":"\u2581"})";
  family.pre_tokenizer =
      R"({"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false})";
  family.decoder = fmt::format(R"({{"type":"Sequence","decoders":[{}]}})", kDecodeMarks);
  return add_bos_and_eos(config, "<bos>", "<eos>", family);
}

struct FamilyRow {
  std::string_view tokenizer_class;
  SentencePieceModel::Type type;
  Status (*make)(const SentencePieceModel&, const LegacyConfig&, Family&);
  std::vector<std::pair<const char*, const char*>> tokens;  // that it has without being told
};

const std::vector<FamilyRow>& families() {
  static const std::vector<FamilyRow> rows{
      {"GemmaTokenizer",
       SentencePieceModel::kBpe,
       make_gemma,
       {{"unk_token", "<unk>"},
        {"bos_token", "<bos>"},
        {"eos_token", "<eos>"},
        {"pad_token", "<pad>"},
        {"mask_token", "<mask>"}}},
      {"LlamaTokenizer",
       SentencePieceModel::kBpe,
       make_llama,
       {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}}},
      {"T5Tokenizer",
       SentencePieceModel::kUnigram,
       make_t5,
       {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}}},
      {"XLMRobertaTokenizer",
       SentencePieceModel::kUnigram,
       make_xlm_roberta,
       {{"bos_token", "<s>"},
        {"eos_token", "</s>"},
        {"sep_token", "</s>"},
        {"cls_token", "<s>"},
        {"unk_token", "<unk>"},
        {"pad_token", "<pad>"},
        {"mask_token", "<mask>"}}}};
  return rows;
}

}  // namespace

Result<std::string> sentencepiece_tokenizer_json(std::string_view model_file,
                                                 const LegacyFiles& files) {
  SIS_ASSIGN(LegacyConfig config, read_legacy_config(files));
  SIS_ASSIGN(const SentencePieceModel model, read_sentencepiece(model_file));
  const FamilyRow* row = nullptr;
  std::string known;
  for (const FamilyRow& one : families()) {
    if (one.tokenizer_class == config.tokenizer_class) row = &one;
    known += concat(known.empty() ? "" : ", ", one.tokenizer_class);
  }
  if (row == nullptr)
    return Error{
        Code::kInvalidArgument,
        concat("tokenizer_config.json: tokenizer_class ", in_quotes(config.tokenizer_class),
               " is not supported with a sentencepiece model (there are ", known, ")")};
  if (row->type != model.type)
    return Error{Code::kInvalidArgument,
                 concat("sentencepiece model: ", row->tokenizer_class, " wants type ",
                        static_cast<int>(row->type), ", found ", static_cast<int>(model.type))};

  Family family;
  std::vector<LegacyToken> first;
  for (const SentencePiece& piece : model.pieces) {
    family.pieces.push_back({std::string(piece.text), static_cast<double>(piece.score)});
    if (piece.type == SentencePiece::kControl || piece.type == SentencePiece::kUserDefined)
      first.push_back(
          {.content = std::string(piece.text), .special = piece.type == SentencePiece::kControl});
  }
  for (const auto& [name, content] : row->tokens)
    config.named.try_emplace(name, LegacyToken{.content = content, .special = true});
  SIS_TRY(row->make(model, config, family));
  if (row->tokenizer_class == "T5Tokenizer")
    for (size_t id = model.pieces.size(); id < family.pieces.size(); ++id)
      first.push_back({.content = family.pieces[id].text, .special = true});

  std::string out = concat("{\"version\":\"1.0\",", added_tokens_json(first, config));
  const auto add = [&](std::string_view key, const std::string& part) {
    if (!part.empty()) out += concat(",\"", key, "\":", part);
  };
  add("normalizer", family.normalizer);
  add("pre_tokenizer", family.pre_tokenizer);
  add("decoder", family.decoder);
  if (!family.post_processor.empty()) out += concat(",", family.post_processor);
  add("model", family.model);
  return out + "}";
}

}  // namespace sis::text::tok
