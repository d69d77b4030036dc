#include "infer/text/tokenizer/decoder.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "infer/text/tokenizer/byte_level.h"
#include "infer/text/tokenizer/lossy_utf8.h"
#include "infer/text/tokenizer/pattern.h"
#include "infer/text/tokenizer/pre_tokenizer.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

constexpr size_t kTextBytesMax = size_t{1} << 20;  // that replacements still work on

// A step that treats each token alone, as fn(token, is_first) does.
template <class Fn>
class EachToken final : public DecodeStream {
 public:
  explicit EachToken(Fn fn) : fn_(std::move(fn)) {}
  void push(std::string_view text) override {
    std::string token(text);
    fn_(token, first_);
    first_ = false;
    next->push(token);
  }
  void finish() override { next->finish(); }

 private:
  Fn fn_;
  bool first_ = true;
};

// Where a step has no stream for one text of all tokens, it waits for the whole.
using Streams = std::vector<std::unique_ptr<DecodeStream>>;
template <class Fn>
void add_each_or_collector(const Decoder& decoder, bool fused, Streams& steps, Fn fn) {
  if (fused)
    steps.push_back(make_collecting_stream(decoder));
  else
    steps.push_back(std::make_unique<EachToken<Fn>>(std::move(fn)));
}

class WordPiece final : public Decoder {
 public:
  WordPiece(std::string_view prefix, bool cleanup) : prefix_(prefix), cleanup_(cleanup) {}
  void decode(std::vector<std::string>& texts) const override {
    for (size_t i = 0; i < texts.size(); ++i) change(texts[i], i == 0);
  }
  void add_streams(Streams& steps, bool& fused) const override {
    add_each_or_collector(*this, fused, steps,
                          [this](std::string& text, bool first) { change(text, first); });
  }

 private:
  void change(std::string& text, bool first) const {
    if (!first) {
      if (text.starts_with(prefix_))
        text.erase(0, prefix_.size());
      else
        text.insert(0, 1, ' ');
    }
    if (cleanup_) clean_up(text);
  }

  const std::string prefix_;
  const bool cleanup_;
};

class Metaspace final : public Decoder {
 public:
  Metaspace(char32_t mark, bool drops_first) : drops_first_(drops_first) {
    append_utf8(mark_, mark);
  }
  void decode(std::vector<std::string>& texts) const override {
    // In the first text every mark goes, not only the leading one.
    for (size_t i = 0; i < texts.size(); ++i)
      replace_all(texts[i], mark_, i == 0 && drops_first_ ? "" : " ");
  }
  void add_streams(Streams& steps, bool& fused) const override {
    if (fused) {
      steps.push_back(make_replacing_stream(mark_, drops_first_ ? "" : " "));
      return;
    }
    add_each_or_collector(*this, fused, steps, [this](std::string& text, bool first) {
      replace_all(text, mark_, first && drops_first_ ? "" : " ");
    });
  }

 private:
  std::string mark_;
  const bool drops_first_;
};

// Runs of <0xAB> texts become the bytes they name, if those are UTF-8.
class ByteFallback final : public Decoder {
 public:
  void decode(std::vector<std::string>& texts) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (is_utf8(bytes))
        out.push_back(bytes);
      else
        out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
      bytes.clear();
    };
    for (std::string& text : texts) {
      if (const int byte = byte_of(text); byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
      } else {
        flush();
        out.push_back(std::move(text));
      }
    }
    flush();
    texts = std::move(out);
  }
  void add_streams(Streams& steps, bool& fused) const override {
    if (fused)
      steps.push_back(make_collecting_stream(*this));
    else
      steps.push_back(std::make_unique<Stream>());
  }

 private:
  // A run waits for its end: one wrong byte makes all of it U+FFFD.
  class Stream final : public DecodeStream {
   public:
    void push(std::string_view text) override {
      if (const int byte = byte_of(text); byte >= 0) {
        bytes_.push_back(static_cast<char>(byte));
        return;
      }
      end_run();
      next->push(text);
    }
    void finish() override {
      end_run();
      next->finish();
    }

   private:
    void end_run() {
      if (bytes_.empty()) return;
      if (is_utf8(bytes_))
        next->push(bytes_);
      else
        for (size_t i = 0; i < bytes_.size(); ++i) next->push(kReplacement);
      bytes_.clear();
    }
    std::string bytes_;
  };

  static int byte_of(std::string_view text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
    int value = 0;
    // "+5" is a number to the library too.
    if (text[3] == '+') {
      value = hex_of(text[4]);
      return value;
    }
    for (char c : text.substr(3, 2)) {
      const int digit = hex_of(c);
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  }
  static int hex_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  }
};

// All texts become one: of the bytes that byte-level characters stand for, or of the text itself
// where a character stands for none; what is not UTF-8 becomes U+FFFD.
class ByteLevel final : public Decoder {
 public:
  void decode(std::vector<std::string>& texts) const override {
    std::string bytes;
    for (const std::string& text : texts) append_token_bytes(text, bytes);
    std::string whole;
    append_lossy(bytes, whole);
    texts.assign(1, std::move(whole));
  }
  void add_streams(Streams& steps, bool& fused) const override {
    if (fused)
      steps.push_back(make_collecting_stream(*this));
    else
      steps.push_back(std::make_unique<Stream>());
    fused = true;
  }

 private:
  // Characters wait for their last byte.
  class Stream final : public DecodeStream {
   public:
    void push(std::string_view text) override {
      append_token_bytes(text, bytes_);
      std::string whole;
      bytes_.erase(0, append_lossy(bytes_, whole, /*keep_open=*/true));
      if (!whole.empty()) next->push(whole);
    }
    void finish() override {
      if (!bytes_.empty()) next->push(kReplacement);
      next->finish();
    }

   private:
    std::string bytes_;
  };
};

class Fuse final : public Decoder {
 public:
  void decode(std::vector<std::string>& texts) const override {
    std::string whole;
    for (const std::string& text : texts) whole += text;
    texts.assign(1, std::move(whole));
  }
  // Nothing to do: the steps after this one know.
  void add_streams(Streams&, bool& fused) const override { fused = true; }
};

// Up to `start` leading and `stop` trailing `content` characters of each text go.
class Strip final : public Decoder {
 public:
  Strip(char32_t content, size_t start, size_t stop) : start_(start), stop_(stop) {
    append_utf8(content_, content);
  }
  void decode(std::vector<std::string>& texts) const override {
    for (std::string& text : texts) change(text);
  }
  void add_streams(Streams& steps, bool& fused) const override {
    if (fused) {
      steps.push_back(make_stripping_stream(content_, start_, stop_));
      return;
    }
    add_each_or_collector(*this, fused, steps, [this](std::string& text, bool) { change(text); });
  }

 private:
  void change(std::string& text) const {
    std::string_view rest = text;
    for (size_t i = 0; i < start_ && rest.starts_with(content_); ++i)
      rest.remove_prefix(content_.size());
    for (size_t i = 0; i < stop_ && rest.ends_with(content_); ++i)
      rest.remove_suffix(content_.size());
    text = std::string(rest);
  }

  std::string content_;
  const size_t start_, stop_;
};

class Replace final : public Decoder {
 public:
  Replace(Pattern pattern, std::string_view content)
      : pattern_(std::move(pattern)), content_(content) {}
  void decode(std::vector<std::string>& texts) const override {
    for (std::string& text : texts) change(text);
  }
  void add_streams(Streams& steps, bool& fused) const override {
    if (fused && !may_grow()) {
      steps.push_back(make_replacing_stream(pattern_.literal(), content_));
      return;
    }
    add_each_or_collector(*this, fused, steps, [this](std::string& text, bool) { change(text); });
  }

 private:
  bool may_grow() const {
    return pattern_.literal().empty() || pattern_.literal().size() < content_.size();
  }
  void change(std::string& text) const {
    // As with normalizers: a chain made to double texts again and again stops somewhere.
    if (may_grow() && text.size() > kTextBytesMax) return;
    std::string out;
    size_t kept = 0;
    pattern_.for_each_match(text, [&](Regex::Match match) {
      out.append(text, kept, match.begin - kept).append(content_);
      kept = match.end;
    });
    text = out.append(text, kept);
  }

  const Pattern pattern_;
  const std::string content_;
};

class Sequence final : public Decoder {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Decoder>> parts) : parts_(std::move(parts)) {}
  void decode(std::vector<std::string>& texts) const override {
    for (const auto& part : parts_) part->decode(texts);
  }
  void add_streams(Streams& steps, bool& fused) const override {
    for (const auto& part : parts_) part->add_streams(steps, fused);
  }

 private:
  const std::vector<std::unique_ptr<Decoder>> parts_;
};

using Made = Result<std::unique_ptr<Decoder>>;

template <class Class>
Made make_plain(const JsonObject&) {
  return std::unique_ptr<Decoder>(std::make_unique<Class>());
}

Made make_word_piece(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view prefix, config.string("prefix", "##"));
  SIS_ASSIGN(const bool cleanup, config.boolean("cleanup", true));
  return std::unique_ptr<Decoder>(std::make_unique<WordPiece>(prefix, cleanup));
}

Made make_metaspace(const JsonObject& config) {
  SIS_ASSIGN(const char32_t mark, config.character("replacement"));
  SIS_ASSIGN(const PrependScheme scheme, read_prepend_scheme(config));
  return std::unique_ptr<Decoder>(
      std::make_unique<Metaspace>(mark, scheme != PrependScheme::kNever));
}

Made make_strip(const JsonObject& config) {
  SIS_ASSIGN(const char32_t content, config.character("content"));
  SIS_ASSIGN(const int64_t start, config.integer("start", 0, INT32_MAX));
  SIS_ASSIGN(const int64_t stop, config.integer("stop", 0, INT32_MAX));
  return std::unique_ptr<Decoder>(
      std::make_unique<Strip>(content, static_cast<size_t>(start), static_cast<size_t>(stop)));
}

Made make_replace(const JsonObject& config) {
  SIS_ASSIGN(auto pattern, Pattern::from(config, "pattern"));
  SIS_ASSIGN(const std::string_view content, config.insertion("content"));
  return std::unique_ptr<Decoder>(std::make_unique<Replace>(std::move(pattern), content));
}

Made make_sequence(const JsonObject& config) {
  SIS_ASSIGN(const auto configs, config.array("decoders"));
  std::vector<std::unique_ptr<Decoder>> parts;
  SIS_TRY(configs.for_each_object([&](const JsonObject& part) -> Status {
    SIS_ASSIGN(auto made, make_decoder(part));
    parts.push_back(std::move(made));
    return {};
  }));
  return std::unique_ptr<Decoder>(std::make_unique<Sequence>(std::move(parts)));
}

constexpr RegistryRow<Decoder> kDecoders[] = {
    {"BPEDecoder", make_bpe_decoder},
    {"ByteFallback", make_plain<ByteFallback>},
    {"ByteLevel", make_plain<ByteLevel>},
    {"CTC", make_ctc_decoder},
    {"Fuse", make_plain<Fuse>},
    {"Metaspace", make_metaspace},
    {"Replace", make_replace},
    {"Sequence", make_sequence},
    {"Strip", make_strip},
    {"WordPiece", make_word_piece},
};

}  // namespace

Result<std::unique_ptr<Decoder>> make_decoder(const JsonObject& config) {
  return make_by_type<Decoder>(kDecoders, config);
}

}  // namespace sis::text::tok
