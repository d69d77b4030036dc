#include "infer/text/tokenizer/byte_level.h"

#include <array>

#include "infer/text/tokenizer/split_scanner.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

struct Tables {
  std::array<std::array<char, 2>, 256> characters{};
  std::array<uint8_t, 256> lengths{};
  std::array<int16_t, 0x144> bytes{};

  Tables() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const char32_t c = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
      bytes[c] = static_cast<int16_t>(byte);
      char utf8[4];
      lengths[byte] = static_cast<uint8_t>(encode_utf8(c, utf8));
      characters[byte] = {utf8[0], utf8[1]};
    }
  }
};

const Tables& tables() {
  static const Tables instance;
  return instance;
}

class ByteLevelNormalizer final : public Normalizer {
 public:
  void normalize(NormalizedString& string) const override {
    const std::string_view text = string.text();
    NormalizedString::Writer writer(string);
    for (size_t at = 0; at < text.size(); ++at) {
      if (writer.full()) return;
      writer.put(byte_character(static_cast<unsigned char>(text[at])), at);
    }
    writer.commit();
  }
};

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space), use_regex_(use_regex) {}

  void pre_tokenize(PreTokenizedString& string) const override {
    if (add_prefix_space_) add_prefixes(string);
    if (use_regex_) string.scan(KnownSplit::kGpt2);
    if (raw_) return;
    string.rewrite([&](const Piece& piece, PreTokenizedString::Rewriter& writer) {
      for (uint32_t at = piece.begin; at < piece.end; ++at)
        writer.put(byte_character(static_cast<unsigned char>(string.text()[at])), at);
    });
  }
  bool ends_byte_level() const override { return true; }
  void leave_bytes_raw() override { raw_ = true; }

 private:
  static void add_prefixes(PreTokenizedString& string) {
    bool needed = false;
    for (const Piece& piece : string.pieces())
      needed |= piece.added_id < 0 && string.text()[piece.begin] != ' ';
    if (!needed) return;
    string.rewrite([&](const Piece& piece, PreTokenizedString::Rewriter& writer) {
      if (string.text()[piece.begin] != ' ') writer.put(" ", piece.begin);
      writer.keep(piece.begin, piece.end);
    });
  }

  const bool add_prefix_space_, use_regex_;
  bool raw_ = false;
};

}  // namespace

std::string_view byte_character(unsigned char byte) {
  const Tables& all = tables();
  return {all.characters[byte].data(), all.lengths[byte]};
}

int character_byte(char32_t c) { return c < tables().bytes.size() ? tables().bytes[c] : -1; }

void append_token_bytes(std::string_view token, std::string& out) {
  const size_t before = out.size();
  for (size_t at = 0, bytes = 0; at < token.size(); at += bytes) {
    const int byte = character_byte(decode_utf8(token, at, bytes));
    if (byte < 0) {
      out.resize(before);
      out += token;
      return;
    }
    out.push_back(static_cast<char>(byte));
  }
}

Result<std::unique_ptr<Normalizer>> make_byte_level_normalizer(const JsonObject&) {
  return std::unique_ptr<Normalizer>(std::make_unique<ByteLevelNormalizer>());
}

Result<std::unique_ptr<PreTokenizer>> make_byte_level_pre_tokenizer(const JsonObject& config) {
  SIS_ASSIGN(const bool add_prefix_space, config.boolean("add_prefix_space", true));
  SIS_TRY(config.boolean("trim_offsets", true));
  SIS_ASSIGN(const bool use_regex, config.boolean("use_regex", true));
  return std::unique_ptr<PreTokenizer>(std::make_unique<ByteLevel>(add_prefix_space, use_regex));
}

}  // namespace sis::text::tok
