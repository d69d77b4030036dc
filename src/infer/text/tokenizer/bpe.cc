// BPE: a piece begins as single characters (or bytes) and is merged pair by pair (bpe_merge.h).
//
// Byte-level models read pieces of plain bytes where the pre-tokenizer leaves them so, which spares
// writing bytes as characters. Short words come from the thread's cache. A text that is one piece,
// as Gemma's, is cut before each run of marks (U+2581) when no merge reaches over such a place.
#include <algorithm>
#include <array>
#include <atomic>

#include "infer/text/tokenizer/bpe_merge.h"
#include "infer/text/tokenizer/byte_level.h"
#include "infer/text/tokenizer/model.h"
#include "infer/text/tokenizer/word_cache.h"

namespace sis::text::tok {
namespace {

constexpr size_t kMergesMax = 8'000'000;
constexpr size_t kSymbolsKept = 65'536;  // room a thread keeps after a long word
constexpr std::string_view kMark = "\u2581";

struct BpeOptions {
  std::string unknown, prefix, suffix;  // empty: none
  bool fuse_unknown = false, byte_fallback = false, ignore_merges = false;
};

// Numbers models, so that a thread's cache tells them apart; a new model never has an old one's.
uint32_t next_number() {
  static std::atomic<uint32_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

struct BpeScratch {
  std::vector<Symbol> word;
  WordMerger merger;
  WordCache cache;
  std::string token;
};

BpeScratch& scratch() {
  static thread_local BpeScratch instance;
  return instance;
}

class Bpe final : public VocabularyModel {
 public:
  Bpe(Vocabulary vocabulary, MergeTable merges, bool always_heap, bool cuts_at_marks,
      BpeOptions options)
      : VocabularyModel(std::move(vocabulary)),
        merges_(std::move(merges)),
        options_(std::move(options)),
        always_heap_(always_heap),
        plain_(options_.prefix.empty() && options_.suffix.empty()),
        number_(next_number()) {
    if (!options_.unknown.empty()) unknown_id_ = vocabulary_.find(options_.unknown);
    for (size_t byte = 0; byte < 256; ++byte) {
      fallback_ids_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
      level_ids_[byte] = vocabulary_.find(byte_character(static_cast<unsigned char>(byte)));
    }
    // Where characters can be lost, marks that were apart may become neighbours.
    const bool loses_none =
        unknown_id_ >= 0 || (options_.byte_fallback &&
                             *std::min_element(fallback_ids_.begin(), fallback_ids_.end()) >= 0);
    cuts_at_marks_ = cuts_at_marks && plain_ && loses_none && vocabulary_.find(kMark) >= 0;
    for (size_t c = 0; c < 128; ++c) {
      const char character = static_cast<char>(c);
      ascii_ids_[c] = vocabulary_.find({&character, 1});
    }
    for (int32_t id = 0; id < vocabulary_.ids_end(); ++id)
      token_bytes_max_ = std::max(token_bytes_max_, vocabulary_.text(id).size());
  }

  bool take_raw_bytes() override {
    for (const int32_t id : level_ids_)
      if (id < 0) return false;
    return raw_ = plain_;
  }

  void tokenize(const PreTokenizedString& string, size_t tokens_enough,
                std::vector<Token>& out) const override {
    BpeScratch& buffers = scratch();
    const std::string_view text = string.text();
    for (const Piece& piece : string.pieces()) {
      if (out.size() >= tokens_enough) break;
      if (piece.added_id >= 0)
        out.push_back({piece.added_id, piece.begin, piece.end});
      else if (cuts_at_marks_ && !raw_)
        add_by_marks(text, piece, tokens_enough, buffers, out);
      else
        add_word(text, piece.begin, piece.end, piece.begin, buffers, out);
    }
    if (buffers.word.capacity() > kSymbolsKept) buffers.word = {};
    buffers.merger.shrink(kSymbolsKept);
  }

 private:
  // The piece in parts that begin with marks, each alone.
  void add_by_marks(std::string_view text, const Piece& piece, size_t tokens_enough,
                    BpeScratch& buffers, std::vector<Token>& out) const {
    if (options_.ignore_merges) {
      if (const int32_t id = find_whole(text, piece.begin, piece.end, buffers); id >= 0) {
        out.push_back({id, piece.begin, piece.end});
        return;
      }
    }
    const std::string_view whole = text.substr(0, piece.end);
    uint32_t offset = piece.begin;
    for (size_t begin = piece.begin; begin < piece.end && out.size() < tokens_enough;) {
      size_t at = begin;
      while (whole.substr(at).starts_with(kMark)) at += kMark.size();
      const auto end = static_cast<uint32_t>(std::min(whole.find(kMark, at), whole.size()));
      offset = add_word(text, static_cast<uint32_t>(begin), end, offset, buffers, out,
                        /*part=*/true);
      begin = end;
    }
  }

  // Tokens of text[begin, end), which begin at `offset`; returns where they end. Lengths of tokens
  // are added up as the library does: where characters are lost, what follows moves left.
  uint32_t add_word(std::string_view text, uint32_t begin, uint32_t end, uint32_t offset,
                    BpeScratch& buffers, std::vector<Token>& out, bool part = false) const {
    const bool short_word = end - begin <= WordCache::kWordBytesMax;
    WordCache::Key key;
    if (short_word) {
      key = WordCache::key_of(text, begin, end, number_);
      if (const WordCache::Entry* entry = buffers.cache.find(key)) {
        uint32_t from = 0;
        for (size_t i = 0; i < entry->tokens; ++i) {
          out.push_back({entry->ids[i], offset + from, offset + entry->ends[i]});
          from = entry->ends[i];
        }
        return offset + from;
      }
    }
    const size_t first = out.size();
    if (options_.ignore_merges && !part) {
      if (const int32_t id = find_whole(text, begin, end, buffers); id >= 0)
        out.push_back({id, offset, offset + (end - begin)});
    }
    if (out.size() == first) {
      const std::string_view word = text.substr(begin, end - begin);
      raw_ ? read_bytes(word, buffers.word) : read_characters(word, buffers);
      buffers.merger.merge(merges_, always_heap_, buffers.word);
      uint32_t at = offset;
      const auto limit = static_cast<uint32_t>(text.size());
      for (const Symbol& symbol : buffers.word) {
        // A prefix that falls back to bytes counts beyond the text.
        const uint32_t from = std::min(at, limit - 1);
        at = std::min(at + symbol.bytes, limit);
        out.push_back({symbol.id, from, std::max(at, from + 1)});
      }
    }
    const uint32_t done = out.size() > first ? out.back().end : offset;
    if (short_word && out.size() - first <= WordCache::kTokensMax &&
        done - offset <= WordCache::kWordBytesMax) {
      WordCache::Entry& entry = buffers.cache.put(key);
      entry.tokens = static_cast<uint8_t>(out.size() - first);
      for (size_t i = first; i < out.size(); ++i) {
        entry.ids[i - first] = out[i].id;
        entry.ends[i - first] = static_cast<uint8_t>(out[i].end - offset);
      }
    }
    return done;
  }

  int32_t find_whole(std::string_view text, uint32_t begin, uint32_t end,
                     BpeScratch& buffers) const {
    if (end - begin > token_bytes_max_) return -1;
    const std::string_view word = text.substr(begin, end - begin);
    if (!raw_) return vocabulary_.find(word);
    buffers.token.clear();
    for (const char byte : word) buffers.token += byte_character(static_cast<unsigned char>(byte));
    return vocabulary_.find(buffers.token);
  }

  void read_bytes(std::string_view word, std::vector<Symbol>& out) const {
    out.resize(word.size());
    for (size_t i = 0; i < word.size(); ++i)
      out[i] = {level_ids_[static_cast<unsigned char>(word[i])], 1};
  }

  // One symbol per character, or its bytes, or the unknown token, which neighbours may share. A
  // waiting unknown token comes after bytes, as in the library.
  void read_characters(std::string_view word, BpeScratch& buffers) const {
    std::vector<Symbol>& out = buffers.word;
    out.clear();
    Symbol unknown;
    for (size_t at = 0, bytes = 0; at < word.size(); at += bytes) {
      bytes = std::min(utf8_length(word[at]), word.size() - at);
      std::string_view character = word.substr(at, bytes);
      int32_t id = -1;
      if (plain_) {
        id = bytes == 1 && is_ascii(word[at]) ? ascii_ids_[static_cast<size_t>(word[at])]
                                              : vocabulary_.find(character);
      } else {
        buffers.token.clear();
        if (at > 0) buffers.token += options_.prefix;
        buffers.token += character;
        if (at + bytes == word.size()) buffers.token += options_.suffix;
        character = buffers.token;
        id = vocabulary_.find(character);
      }
      if (id >= 0) {
        if (unknown.bytes > 0) out.push_back(unknown);
        unknown = {};
        out.push_back({id, static_cast<uint32_t>(bytes)});
        continue;
      }
      if (options_.byte_fallback && all_bytes_known(character)) {
        for (const char byte : character)
          out.push_back({fallback_ids_[static_cast<unsigned char>(byte)], 1});
        continue;
      }
      if (unknown_id_ < 0) continue;
      if (unknown.bytes > 0 && !options_.fuse_unknown) {
        out.push_back(unknown);
        unknown.bytes = 0;
      }
      unknown = {unknown_id_, unknown.bytes + static_cast<uint32_t>(bytes)};
    }
    if (unknown.bytes > 0) out.push_back(unknown);
  }

  bool all_bytes_known(std::string_view text) const {
    for (const char byte : text)
      if (fallback_ids_[static_cast<unsigned char>(byte)] < 0) return false;
    return true;
  }

  const MergeTable merges_;
  const BpeOptions options_;
  const bool always_heap_;
  const bool plain_;  // neither prefix nor suffix
  const uint32_t number_;
  bool cuts_at_marks_ = false;
  bool raw_ = false;  // pieces are plain bytes
  int32_t unknown_id_ = -1;
  size_t token_bytes_max_ = 0;
  std::array<int32_t, 256> fallback_ids_{}, level_ids_{};
  std::array<int32_t, 128> ascii_ids_{};
};

// "left right" or ["left", "right"].
bool read_pair(simdjson::dom::element element, std::string_view& left, std::string_view& right) {
  std::string_view line;
  if (element.get(line) == simdjson::SUCCESS) {
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) return false;
    left = line.substr(0, space);
    right = line.substr(space + 1);
    return right.find(' ') == std::string_view::npos;
  }
  simdjson::dom::array pair;
  if (element.get(pair) != simdjson::SUCCESS) return false;
  size_t count = 0;
  for (const simdjson::dom::element part : pair) {
    if (count == 2 || part.get(count == 0 ? left : right) != simdjson::SUCCESS) return false;
    ++count;
  }
  return count == 2;
}

Result<std::string> optional_string(const JsonObject& config, std::string_view key) {
  SIS_ASSIGN(const std::string_view text, config.string(key, ""));
  return std::string(text);
}

}  // namespace

Result<std::unique_ptr<Model>> make_bpe(const JsonObject& config) {
  BpeOptions options;
  SIS_ASSIGN(options.unknown, optional_string(config, "unk_token"));
  SIS_ASSIGN(options.prefix, optional_string(config, "continuing_subword_prefix"));
  SIS_ASSIGN(options.suffix, optional_string(config, "end_of_word_suffix"));
  SIS_ASSIGN(options.fuse_unknown, config.boolean("fuse_unk", false));
  SIS_ASSIGN(options.byte_fallback, config.boolean("byte_fallback", false));
  SIS_ASSIGN(options.ignore_merges, config.boolean("ignore_merges", false));
  SIS_ASSIGN(auto vocabulary, read_vocabulary(config, "vocab", Vocabulary::Lookup::kHash));
  SIS_ASSIGN(const JsonArray list, config.array("merges"));
  size_t count = 0;
  for ([[maybe_unused]] const simdjson::dom::element element : list.raw()) ++count;
  if (count > kMergesMax)
    return Error{Code::kInvalidArgument,
                 concat(list.path(), ": ", count, " merges, want at most ", kMergesMax)};

  MergeTable merges(count);
  bool always_heap = false, cuts_at_marks = true;
  uint32_t rank = 0;
  std::string merged;
  SIS_TRY(list.for_each([&](simdjson::dom::element element, size_t index) -> Status {
    const auto refuse = [&](auto&&... what) {
      return Error{Code::kInvalidArgument, concat(list.path_of(index), ": ", what...)};
    };
    std::string_view left, right;
    if (!read_pair(element, left, right)) {
      std::string_view line;
      if (element.get(line) == simdjson::SUCCESS && line.starts_with("#version")) return {};
      return refuse("want \"left right\" or [left, right]");
    }
    if (left.starts_with("#version") && element.is_string()) return {};
    if (right.size() < options.prefix.size())
      return refuse(in_quotes(right), " is shorter than the prefix ", in_quotes(options.prefix));
    merged.assign(left).append(right.substr(options.prefix.size()));
    const int32_t left_id = vocabulary.find(left), right_id = vocabulary.find(right);
    const int32_t id = vocabulary.find(merged);
    if (left_id < 0 || right_id < 0 || id < 0)
      return refuse(in_quotes(left_id < 0    ? left
                              : right_id < 0 ? right
                                             : merged),
                    " is not in the vocabulary");
    always_heap |= left.empty() || right.size() == options.prefix.size();
    cuts_at_marks &= !right.starts_with(kMark) || left.ends_with(kMark);
    merges.put(left_id, right_id, {rank++, id});
    return {};
  }));
  return std::unique_ptr<Model>(std::make_unique<Bpe>(
      std::move(vocabulary), std::move(merges), always_heap, cuts_at_marks, std::move(options)));
}

}  // namespace sis::text::tok
