#include "infer/text/tokenizer/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/check.h"
#include "base/file.h"
#include "base/strings.h"
#include "infer/text/tokenizer/added_vocabulary.h"
#include "infer/text/tokenizer/decoder.h"
#include "infer/text/tokenizer/legacy_bpe.h"
#include "infer/text/tokenizer/legacy_config.h"
#include "infer/text/tokenizer/legacy_sentencepiece.h"
#include "infer/text/tokenizer/legacy_vocab.h"
#include "infer/text/tokenizer/model.h"
#include "infer/text/tokenizer/normalizer.h"
#include "infer/text/tokenizer/post_processor.h"
#include "infer/text/tokenizer/pre_tokenizer.h"
#include "infer/text/tokenizer/token_limits_json.h"

namespace sis::text {
namespace {

using namespace tok;

constexpr size_t kFileBytesMax = size_t{512} << 20;
constexpr size_t kInputBytesMax = size_t{1} << 30;    // offsets and spans have 32 bits
constexpr size_t kScratchBytesMax = size_t{4} << 20;  // what a thread keeps between calls
constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

// Buffers of one thread, so that encoding allocates only its result.
struct Scratch {
  NormalizedString normalized;
  PreTokenizedString pieces;
  std::vector<Token> tokens;
  std::string repaired;

  void shrink() {
    normalized.shrink(kScratchBytesMax);
    pieces.shrink(kScratchBytesMax);
    if (tokens.capacity() > kScratchBytesMax / sizeof(Token)) tokens = {};
    if (repaired.capacity() > kScratchBytesMax) repaired = {};
  }
};

Scratch& scratch() {
  static thread_local Scratch instance;
  return instance;
}

// `text` with U+FFFD for every byte that is not part of well-formed UTF-8.
std::string repair_utf8(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = std::min(utf8_length(text[at]), text.size() - at);
    if (is_utf8(text.substr(at, bytes))) {
      out.append(text, at, bytes);
      at += bytes;
    } else {
      out += "\xEF\xBF\xBD";
      ++at;
    }
  }
  return out;
}

// Lengths that two sequences keep of `budget` tokens: the longer gives first.
std::pair<size_t, size_t> longest_first(size_t first, size_t second, size_t budget) {
  if (first + second <= budget) return {first, second};
  const bool swap = first > second;
  size_t shorter = std::min(first, second);
  size_t longer = shorter > budget ? shorter : std::max(shorter, budget - shorter);
  if (shorter + longer > budget) {
    shorter = budget / 2;
    longer = shorter + budget % 2;
  }
  return swap ? std::pair{longer, shorter} : std::pair{shorter, longer};
}

// Lengths that two sequences keep of `budget` tokens. One alone gives until nothing is left of it,
// where the library fails.
std::pair<size_t, size_t> keep_of(size_t first, size_t second, size_t budget,
                                  const EncodeOptions& options) {
  const auto strategy =
      options.truncation ? options.truncation->strategy : Truncation::Strategy::kLongestFirst;
  const size_t surplus = first + second > budget ? first + second - budget : 0;
  switch (strategy) {
    case Truncation::Strategy::kLongestFirst:
      return longest_first(first, second, budget);
    case Truncation::Strategy::kOnlyFirst:
      return {first - std::min(first, surplus), second};
    case Truncation::Strategy::kOnlySecond:
      return {first, second - std::min(second, surplus)};
  }
  return {first, second};
}

void truncate(TokenRun& run, size_t tokens, const EncodeOptions& options) {
  if (run.ids.size() <= tokens) return;
  const bool left = options.truncation && options.truncation->left;
  const auto cut = [&](auto& values) {
    if (values.size() <= tokens) return;
    if (left) values.erase(values.begin(), values.end() - static_cast<ptrdiff_t>(tokens));
    values.resize(tokens);
  };
  cut(run.ids);
  cut(run.type_ids);
  cut(run.offsets);
  cut(run.values);
}

class TokenizerImpl final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> make(const JsonObject& config);

  Encoding encode(std::string_view text, const EncodeOptions& options) const override {
    std::vector<TokenRun> runs(1);
    const size_t budget = token_budget(options, /*pair=*/false);
    const bool left = options.truncation && options.truncation->left;
    fill(runs[0], text, options, left ? kNoLimit : budget);
    truncate(runs[0], budget, options);
    return finish(runs, options);
  }

  Encoding encode_pair(std::string_view first, std::string_view second,
                       const EncodeOptions& options) const override {
    std::vector<TokenRun> runs(2);
    // No early stop here: which of the two is longer decides who gives way.
    fill(runs[0], first, options, kNoLimit);
    fill(runs[1], second, options, kNoLimit);
    const auto [keep_first, keep_second] = keep_of(runs[0].ids.size(), runs[1].ids.size(),
                                                   token_budget(options, /*pair=*/true), options);
    truncate(runs[0], keep_first, options);
    truncate(runs[1], keep_second, options);
    runs[1].type_ids.assign(runs[1].ids.size(), 1);
    return finish(runs, options);
  }

  std::string decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    std::vector<std::string> texts;
    texts.reserve(ids.size());
    for (int32_t id : ids) {
      if (const auto text = token_to_decode(id, skip_special_tokens)) texts.emplace_back(*text);
    }
    if (decoder_ != nullptr) decoder_->decode(texts);
    std::string out;
    for (size_t i = 0; i < texts.size(); ++i) {
      if (decoder_ == nullptr && i > 0) out += ' ';
      out += texts[i];
    }
    return out;
  }

  std::optional<std::string_view> token_to_decode(int32_t id,
                                                  bool skip_special_tokens) const override {
    const AddedToken* added = added_.find(id);
    if (added == nullptr && !model_->has_id(id)) return std::nullopt;
    const std::string_view text =
        added != nullptr ? added->normalized_content : model_->id_to_token(id);
    if (skip_special_tokens && added_.is_special(text)) return std::nullopt;
    return text;
  }

  const Decoder* decoder() const override { return decoder_.get(); }

  const std::optional<Truncation>& truncation() const override { return truncation_; }
  const std::optional<Padding>& padding() const override { return padding_; }

  int32_t vocab_size() const override { return vocab_size_; }

  std::optional<int32_t> token_to_id(std::string_view token) const override {
    if (const AddedToken* added = added_.find(token)) return added->id;
    const int32_t id = model_->token_to_id(token);
    return id < 0 ? std::nullopt : std::optional(id);
  }

  std::string_view id_to_token(int32_t id) const override {
    if (const AddedToken* added = added_.find(id)) return added->normalized_content;
    return model_->id_to_token(id);
  }

 private:
  // Tokens that may come from texts when special ones have their place.
  size_t token_budget(const EncodeOptions& options, bool pair) const {
    if (!options.truncation && options.tokens_max <= 0) return kNoLimit;
    const int32_t tokens_max =
        options.truncation ? options.truncation->tokens_max : options.tokens_max;
    const int32_t added = options.add_special_tokens && post_processor_ != nullptr
                              ? post_processor_->added_tokens(pair)
                              : 0;
    return static_cast<size_t>(std::max(0, tokens_max - added));
  }

  // Normalises and cuts `text` into scratch.pieces.
  void cut(std::string_view text, bool tracked, Scratch& scratch) const {
    PreTokenizedString& pieces = scratch.pieces;
    pieces.reset(tracked);
    const auto add_text = [&](size_t begin, size_t end) {
      scratch.normalized.reset(text.substr(begin, end - begin), static_cast<uint32_t>(begin),
                               tracked);
      if (normalizer_ != nullptr) normalizer_->normalize(scratch.normalized);
      const auto bytes = static_cast<uint32_t>(scratch.normalized.text().size());
      const uint32_t base = pieces.append(scratch.normalized);
      if (added_.finds_nothing(/*raw=*/false)) {
        pieces.add_piece(base, base + bytes);
        return;
      }
      added_.for_each_part(pieces.text().substr(base, bytes), /*raw=*/false,
                           [&](size_t part_begin, size_t part_end, int32_t id) {
                             pieces.add_piece(base + static_cast<uint32_t>(part_begin),
                                              base + static_cast<uint32_t>(part_end), id);
                           });
    };
    if (added_.finds_nothing(/*raw=*/true)) {
      add_text(0, text.size());
    } else {
      added_.for_each_part(text, /*raw=*/true, [&](size_t begin, size_t end, int32_t id) {
        if (id < 0) {
          add_text(begin, end);
          return;
        }
        scratch.normalized.reset(text.substr(begin, end - begin), static_cast<uint32_t>(begin),
                                 tracked);
        const uint32_t base = pieces.append(scratch.normalized);
        pieces.add_piece(base, base + static_cast<uint32_t>(end - begin), id);
      });
    }
    if (pre_tokenizer_ != nullptr) pre_tokenizer_->pre_tokenize(pieces);
  }

  void fill(TokenRun& run, std::string_view text, const EncodeOptions& options,
            size_t tokens_enough) const {
    SIS_CHECK(text.size() <= kInputBytesMax, "text of ", text.size(), " bytes");
    Scratch& buffers = scratch();
    if (!simdjson::validate_utf8(text.data(), text.size())) [[unlikely]] {
      buffers.repaired = repair_utf8(text);
      text = buffers.repaired;
    }
    const bool by_spans =
        normalizer_ != nullptr && pre_tokenizer_ != nullptr && pre_tokenizer_->needs_spans();
    const bool tracked = options.with_offsets || by_spans;
    cut(text, tracked, buffers);
    buffers.tokens.clear();
    model_->tokenize(buffers.pieces, tokens_enough, buffers.tokens);

    const size_t count = std::min(buffers.tokens.size(), tokens_enough);
    run.ids.reserve(count + kRoomForSpecials);
    run.ids.resize(count);
    for (size_t i = 0; i < count; ++i) run.ids[i] = buffers.tokens[i].id;
    run.type_ids.reserve(count + kRoomForSpecials);
    run.type_ids.assign(count, 0);
    if (options.with_offsets) {
      const std::vector<Span>& spans = buffers.pieces.spans();
      run.offsets.reserve(count + kRoomForSpecials);
      for (size_t i = 0; i < count; ++i) {
        const Token& token = buffers.tokens[i];
        run.offsets.emplace_back(static_cast<int32_t>(spans[token.begin].begin),
                                 static_cast<int32_t>(spans[token.end - 1].end));
      }
      if (post_processor_ != nullptr && post_processor_->needs_values()) {
        run.input = text;
        run.values = values_of(buffers, count);
      }
    }
    buffers.shrink();
  }

  std::vector<std::string> values_of(const Scratch& buffers, size_t count) const {
    std::vector<std::string> values;
    values.reserve(count);
    const std::string_view text = buffers.pieces.text();
    const std::vector<Piece>& pieces = buffers.pieces.pieces();
    size_t piece = 0;
    for (size_t i = 0; i < count; ++i) {
      const Token& token = buffers.tokens[i];
      const std::string_view covered = text.substr(token.begin, token.end - token.begin);
      while (piece < pieces.size() && pieces[piece].end <= token.begin) ++piece;
      const bool added = piece < pieces.size() && pieces[piece].added_id >= 0;
      values.emplace_back(added ? covered : model_->value_of(token.id, covered));
    }
    return values;
  }

  Encoding finish(std::vector<TokenRun>& runs, const EncodeOptions& options) const {
    if (post_processor_ != nullptr)
      post_processor_->process(runs, options.add_special_tokens, options.with_offsets);
    Encoding out;
    if (runs.empty()) return out;
    size_t count = 0;
    for (const TokenRun& run : runs) count += run.ids.size();
    if (runs.size() == 1) {
      out.ids = std::move(runs[0].ids);
      out.type_ids = std::move(runs[0].type_ids);
      out.offsets = std::move(runs[0].offsets);
      return out;
    }
    out.ids.reserve(count);
    out.type_ids.reserve(count);
    for (const TokenRun& run : runs) {
      out.ids.insert(out.ids.end(), run.ids.begin(), run.ids.end());
      out.type_ids.insert(out.type_ids.end(), run.type_ids.begin(), run.type_ids.end());
      out.offsets.insert(out.offsets.end(), run.offsets.begin(), run.offsets.end());
    }
    return out;
  }

  static constexpr size_t kRoomForSpecials = 4;

  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<PostProcessor> post_processor_;
  std::unique_ptr<Decoder> decoder_;
  AddedVocabulary added_;
  std::optional<Truncation> truncation_;
  std::optional<Padding> padding_;
  int32_t vocab_size_ = 0;
};

// The part of tokenizer.json under `key`, made by `make`; nothing when it is null or absent.
template <class Interface>
Status read_part(const JsonObject& config, std::string_view key,
                 Result<std::unique_ptr<Interface>> (*make)(const JsonObject&),
                 std::unique_ptr<Interface>& part) {
  if (!config.find(key)) return {};
  SIS_ASSIGN(const JsonObject object, config.object(key));
  SIS_ASSIGN(part, make(object));
  return {};
}

Result<std::unique_ptr<Tokenizer>> TokenizerImpl::make(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view version, config.string("version", "1.0"));
  if (version != "1.0")
    return Error{Code::kInvalidArgument, concat("version: want 1.0, found ", in_quotes(version))};
  auto tokenizer = std::make_unique<TokenizerImpl>();
  SIS_TRY(read_part(config, "normalizer", make_normalizer, tokenizer->normalizer_));
  SIS_TRY(read_part(config, "pre_tokenizer", make_pre_tokenizer, tokenizer->pre_tokenizer_));
  SIS_TRY(read_part(config, "model", make_model, tokenizer->model_));
  SIS_TRY(read_part(config, "post_processor", make_post_processor, tokenizer->post_processor_));
  SIS_TRY(read_part(config, "decoder", make_decoder, tokenizer->decoder_));
  SIS_ASSIGN(tokenizer->truncation_, read_truncation(config));
  SIS_ASSIGN(tokenizer->padding_, read_padding(config));
  if (tokenizer->model_ == nullptr) return config.wrong("model", "an object");
  // Both must agree, the model first: it only takes bytes where none can be missing.
  if (tokenizer->pre_tokenizer_ != nullptr && tokenizer->pre_tokenizer_->ends_byte_level() &&
      tokenizer->model_->take_raw_bytes())
    tokenizer->pre_tokenizer_->leave_bytes_raw();
  SIS_ASSIGN(tokenizer->added_,
             AddedVocabulary::build(config, *tokenizer->model_, tokenizer->normalizer_.get()));
  tokenizer->vocab_size_ =
      tokenizer->model_->vocab_size() + tokenizer->added_.count_beside(*tokenizer->model_);
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

// tokenizer.json, or what older files say put into one.
Result<std::string> json_of_folder(const std::string& folder) {
  const std::filesystem::path base(folder);
  const auto there = [&](const char* name) {
    std::error_code error;
    return std::filesystem::exists(base / name, error);
  };
  if (there("tokenizer.json")) return read_file(base / "tokenizer.json", kFileBytesMax);
  LegacyFiles files;
  for (const auto& [name, text] : {std::pair{"tokenizer_config.json", &files.tokenizer_config},
                                   {"special_tokens_map.json", &files.special_tokens_map},
                                   {"added_tokens.json", &files.added_tokens}}) {
    if (!there(name)) continue;
    SIS_ASSIGN(*text, read_file(base / name, kFileBytesMax));
  }
  const auto in_folder = [&](Result<std::string> json) -> Result<std::string> {
    if (!json) return prefixed(folder, json.error());
    return json;
  };
  if (there("vocab.json") && there("merges.txt")) {
    SIS_ASSIGN(const std::string vocab, read_file(base / "vocab.json", kFileBytesMax));
    SIS_ASSIGN(const std::string merges, read_file(base / "merges.txt", kFileBytesMax));
    return in_folder(byte_level_tokenizer_json(vocab, merges, files));
  }
  for (const char* name :
       {"tokenizer.model", "sentencepiece.bpe.model", "spiece.model", "sentencepiece.model"}) {
    if (!there(name)) continue;
    SIS_ASSIGN(const std::string model, read_file(base / name, kFileBytesMax));
    return in_folder(sentencepiece_tokenizer_json(model, files));
  }
  if (there("vocab.txt")) {
    SIS_ASSIGN(const std::string vocab, read_file(base / "vocab.txt", kFileBytesMax));
    return in_folder(bert_tokenizer_json(vocab, files.tokenizer_config));
  }
  return Error{Code::kNotFound,
               concat(folder,
                      ": has neither tokenizer.json nor vocab.txt, vocab.json with "
                      "merges.txt or a sentencepiece model")};
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_json(std::string_view json) {
  if (json.size() > kFileBytesMax)
    return Error{Code::kTooLarge,
                 concat("tokenizer.json: ", json.size(), " bytes, want at most ", kFileBytesMax)};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const simdjson::padded_string padded(json);
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS)
    return Error{Code::kInvalidArgument,
                 concat("tokenizer.json: ", simdjson::error_message(error))};
  auto config = JsonObject::from(root, "");
  if (!config) return prefixed("tokenizer.json", config.error());
  auto tokenizer = TokenizerImpl::make(*config);
  if (!tokenizer) return prefixed("tokenizer.json", tokenizer.error());
  return tokenizer;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_folder(const std::string& folder) {
  auto json = json_of_folder(folder);
  if (!json) return std::move(json).error();
  auto tokenizer = from_json(*json);
  if (!tokenizer) return prefixed(folder, tokenizer.error());
  return tokenizer;
}

}  // namespace sis::text
