#include "infer/text/grammar/vocabulary.h"

#include <algorithm>

#include "base/strings.h"
#include "infer/text/tokenizer/byte_level.h"
#include "infer/text/tokenizer/decoder.h"

namespace sis::text {
namespace {

constexpr int32_t kVocabSizeMax = 1 << 22;

// How a tokenizer's decoder turns one token into bytes, away from both ends of the text. Tokens
// that hold half a character do not survive decoding alone, so the two ways to write these are
// told by trying.
class TokenReader {
 public:
  explicit TokenReader(const Tokenizer& tokenizer) : decoder_(tokenizer.decoder()) {
    if (decoder_ == nullptr) return;
    byte_level_ =
        decoded({kAnchor, "\xC4\xA0\xC4\x8A", kAnchor}) == concat(kAnchor, " \n", kAnchor);
    byte_fallback_ = decoded({kAnchor, "<0x0A>", kAnchor}) == concat(kAnchor, "\n", kAnchor);
    begin_ = decoded({kAnchor});
    const std::string two = decoded({kAnchor, kAnchor});
    if (two.starts_with(begin_)) end_ = two.substr(begin_.size());
  }

  std::string bytes_of(std::string_view token) const {
    if (decoder_ == nullptr) return concat(" ", token);
    std::string bytes;
    if (byte_level_) {
      tok::append_token_bytes(token, bytes);
      return bytes;
    }
    if (byte_fallback_) {
      if (const int byte = fallback_byte(token); byte >= 0) return {static_cast<char>(byte)};
    }
    bytes = decoded({kAnchor, std::string(token), kAnchor});
    if (bytes.size() < begin_.size() + end_.size() || !bytes.starts_with(begin_) ||
        !bytes.ends_with(end_))
      return std::string(token);
    return bytes.substr(begin_.size(), bytes.size() - begin_.size() - end_.size());
  }

 private:
  static constexpr const char* kAnchor = "a";

  std::string decoded(std::vector<std::string> tokens) const {
    decoder_->decode(tokens);
    std::string text;
    for (const std::string& part : tokens) text += part;
    return text;
  }
  static int fallback_byte(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
    int value = 0;
    for (const char c : token.substr(3, 2)) {
      if (c >= '0' && c <= '9')
        value = value * 16 + (c - '0');
      else if (c >= 'A' && c <= 'F')
        value = value * 16 + (c - 'A' + 10);
      else
        return -1;
    }
    return value;
  }

  const tok::Decoder* decoder_;
  bool byte_level_ = false, byte_fallback_ = false;
  std::string begin_, end_;  // what the anchors decode to
};

bool looks_like_control(std::string_view name) {
  return name.size() > 4 &&
         ((name.starts_with("<|") && name.ends_with("|>")) ||
          (name.starts_with("<\xEF\xBD\x9C") && name.ends_with("\xEF\xBD\x9C>")));
}

}  // namespace

Result<std::shared_ptr<const GrammarVocabulary>> GrammarVocabulary::create(
    const Tokenizer& tokenizer, const GrammarVocabularyOptions& options) {
  const TokenReader reader(tokenizer);
  std::vector<Token> tokens(static_cast<size_t>(std::max(tokenizer.vocab_size(), 0)));
  for (size_t id = 0; id < tokens.size(); ++id) {
    const auto index = static_cast<int32_t>(id);
    const auto name = tokenizer.token_to_decode(index, /*skip_special_tokens=*/false);
    if (!name) continue;
    Token& token = tokens[id];
    token.is_control = !tokenizer.token_to_decode(index, /*skip_special_tokens=*/true) ||
                       looks_like_control(*name);
    token.bytes = token.is_control ? std::string(*name) : reader.bytes_of(*name);
  }
  return create(tokens, options);
}

Result<std::shared_ptr<const GrammarVocabulary>> GrammarVocabulary::create(
    const std::vector<Token>& tokens, const GrammarVocabularyOptions& options) {
  const auto count = static_cast<int64_t>(tokens.size());
  if (options.vocab_size > kVocabSizeMax || count > kVocabSizeMax)
    return Error{Code::kInvalidArgument,
                 concat("vocabulary: want at most ", kVocabSizeMax, " tokens, got ",
                        std::max<int64_t>(options.vocab_size, count))};
  std::shared_ptr<GrammarVocabulary> made(new GrammarVocabulary);
  made->vocab_size_ = options.vocab_size > 0 ? options.vocab_size : static_cast<int32_t>(count);
  made->eos_tokens_ = options.eos_tokens;
  for (const int32_t id : options.eos_tokens)
    if (id < 0 || id >= made->vocab_size_)
      return Error{Code::kInvalidArgument, concat("vocabulary: end token ", id,
                                                  ", want one of 0 to ", made->vocab_size_ - 1)};
  const size_t kept = std::min(tokens.size(), static_cast<size_t>(made->vocab_size_));
  size_t text_bytes = 0;
  for (const Token& token : tokens) text_bytes += token.bytes.size();
  if (text_bytes > UINT32_MAX)
    return Error{Code::kInvalidArgument, "vocabulary: want less than 4 GiB of tokens"};
  made->text_.reserve(text_bytes);
  made->offsets_.reserve(kept + 1);
  made->is_control_.resize(kept);
  for (size_t id = 0; id < kept; ++id) {
    made->offsets_.push_back(static_cast<uint32_t>(made->text_.size()));
    made->text_ += tokens[id].bytes;
    made->is_control_[id] = tokens[id].is_control;
  }
  made->offsets_.push_back(static_cast<uint32_t>(made->text_.size()));

  std::vector<std::pair<std::string_view, int32_t>> all;
  for (size_t i = 0; i < kept; ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string_view bytes = made->token_bytes(id);
    if (bytes.empty()) continue;
    if (tokens[i].is_control) {
      made->control_.try_emplace(bytes, id);
      continue;
    }
    if (made->is_eos(id) || bytes.size() > grammar::TokenTrie::kTokenBytesMax) continue;
    all.emplace_back(bytes, id);
  }
  std::sort(all.begin(), all.end());
  for (const grammar::CharClass one : grammar::kCharClasses)
    made->slices_[static_cast<size_t>(one)] = grammar::TokenSlices(one, all, made->mask_words());
  made->trie_ = grammar::TokenTrie(std::move(all));
  return std::shared_ptr<const GrammarVocabulary>(std::move(made));
}

std::string_view GrammarVocabulary::token_bytes(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) + 1 >= offsets_.size()) return {};
  const auto i = static_cast<size_t>(id);
  return std::string_view(text_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
}

bool GrammarVocabulary::is_control(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < is_control_.size() &&
         is_control_[static_cast<size_t>(id)];
}

std::optional<int32_t> GrammarVocabulary::control_token(std::string_view name) const {
  const auto found = control_.find(name);
  return found == control_.end() ? std::nullopt : std::optional(found->second);
}

bool GrammarVocabulary::is_eos(int32_t id) const {
  return std::find(eos_tokens_.begin(), eos_tokens_.end(), id) != eos_tokens_.end();
}

size_t GrammarVocabulary::bytes() const {
  size_t bytes = text_.capacity() + offsets_.capacity() * sizeof(uint32_t) +
                 is_control_.size() / 8 + trie_.bytes();
  for (const grammar::TokenSlices& slices : slices_) bytes += slices.bytes();
  return bytes;
}

}  // namespace sis::text
