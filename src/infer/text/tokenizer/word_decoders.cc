// The decoders of original BPE and of CTC, and what decoders of words share.
#include <algorithm>
#include <optional>

#include "infer/text/tokenizer/decoder.h"

namespace sis::text::tok {
namespace {

using Streams = std::vector<std::unique_ptr<DecodeStream>>;

// Original BPE: a suffix marks the ends of words.
class BpeDecoder final : public Decoder {
 public:
  explicit BpeDecoder(std::string_view suffix) : suffix_(suffix) {}
  void decode(std::vector<std::string>& texts) const override {
    for (size_t i = 0; i < texts.size(); ++i)
      replace_all(texts[i], suffix_, i + 1 == texts.size() ? "" : " ");
  }
  void add_streams(Streams& steps, bool& fused) const override {
    if (fused)
      steps.push_back(make_collecting_stream(*this));
    else
      steps.push_back(std::make_unique<Stream>(suffix_));
  }

 private:
  // One token waits, since the last is treated differently.
  class Stream final : public DecodeStream {
   public:
    explicit Stream(std::string_view suffix) : suffix_(suffix) {}
    void push(std::string_view text) override {
      if (waiting_) pass(" ");
      waiting_ = text;
    }
    void finish() override {
      if (waiting_) pass("");
      next->finish();
    }

   private:
    void pass(std::string_view to) {
      replace_all(*waiting_, suffix_, to);
      next->push(*waiting_);
    }
    const std::string suffix_;
    std::optional<std::string> waiting_;
  };

  const std::string suffix_;
};

// Connectionist temporal classification: repeats are one token, the pad token separates.
class Ctc final : public Decoder {
 public:
  Ctc(std::string_view pad, std::string_view delimiter, bool cleanup)
      : pad_(pad), delimiter_(delimiter), cleanup_(cleanup) {}
  void decode(std::vector<std::string>& texts) const override {
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    for (std::string& text : texts) {
      replace_all(text, pad_, "");
      if (!cleanup_) continue;
      clean_up(text);
      replace_all(text, delimiter_, " ");
    }
    std::erase_if(texts, [](const std::string& text) { return text.empty(); });
  }
  void add_streams(Streams& steps, bool& fused) const override {
    if (fused)
      steps.push_back(make_collecting_stream(*this));
    else
      steps.push_back(std::make_unique<Stream>(*this));
  }

 private:
  class Stream final : public DecodeStream {
   public:
    explicit Stream(const Ctc& decoder) : decoder_(decoder) {}
    void push(std::string_view text) override {
      if (before_ == text) return;
      before_ = text;
      std::vector<std::string> texts{*before_};
      decoder_.decode(texts);
      if (!texts.empty()) next->push(texts[0]);
    }
    void finish() override { next->finish(); }

   private:
    const Ctc& decoder_;
    std::optional<std::string> before_;
  };

  const std::string pad_, delimiter_;
  const bool cleanup_;
};

}  // namespace

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  size_t at = text.find(from);
  if (at == std::string::npos) return;
  std::string out;
  size_t kept = 0;
  for (; at != std::string::npos; at = text.find(from, kept)) {
    out.append(text, kept, at - kept).append(to);
    kept = at + from.size();
  }
  out.append(text, kept);
  text = std::move(out);
}

void clean_up(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  if (text.find(' ') == std::string::npos) return;
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

Result<std::unique_ptr<Decoder>> make_bpe_decoder(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view suffix, config.string("suffix", "</w>"));
  return std::unique_ptr<Decoder>(std::make_unique<BpeDecoder>(suffix));
}

Result<std::unique_ptr<Decoder>> make_ctc_decoder(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view pad, config.string("pad_token", "<pad>"));
  SIS_ASSIGN(const std::string_view delimiter, config.string("word_delimiter_token", "|"));
  SIS_ASSIGN(const bool cleanup, config.boolean("cleanup", true));
  return std::unique_ptr<Decoder>(std::make_unique<Ctc>(pad, delimiter, cleanup));
}

}  // namespace sis::text::tok
