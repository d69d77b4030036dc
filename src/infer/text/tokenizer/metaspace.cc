// Metaspace: spaces become a visible mark (SentencePiece's U+2581) that begins each piece.
#include "infer/text/tokenizer/pre_tokenizer.h"

namespace sis::text::tok {
namespace {

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(char32_t mark, PrependScheme scheme, bool split) : scheme_(scheme), split_(split) {
    append_utf8(mark_, mark);
  }

  void pre_tokenize(PreTokenizedString& string) const override {
    string.rewrite([&](const Piece& piece, PreTokenizedString::Rewriter& writer) {
      const std::string_view text = string.text_of(piece);
      const bool prepend = scheme_ == PrependScheme::kAlways ||
                           (scheme_ == PrependScheme::kFirst && string.input_begin(piece) == 0);
      if (prepend && text[0] != ' ' && !text.starts_with(mark_)) writer.put(mark_, piece.begin);
      uint32_t kept = 0;  // bytes of the piece written so far
      for (uint32_t at = 0; at < text.size();) {
        const bool space = text[at] == ' ';
        if (!space && (text[at] != mark_[0] || !text.substr(at).starts_with(mark_))) {
          ++at;
          continue;
        }
        writer.keep(piece.begin + kept, piece.begin + at);
        if (split_) writer.end_piece();
        writer.put(mark_, piece.begin + at);
        at += space ? 1 : static_cast<uint32_t>(mark_.size());
        kept = at;
      }
      writer.keep(piece.begin + kept, piece.end);
    });
  }

  bool needs_spans() const override { return scheme_ == PrependScheme::kFirst; }

 private:
  std::string mark_;
  const PrependScheme scheme_;
  const bool split_;
};

}  // namespace

Result<PrependScheme> read_prepend_scheme(const JsonObject& config) {
  SIS_ASSIGN(const bool add_prefix_space, config.boolean("add_prefix_space", true));
  SIS_ASSIGN(const std::string_view name,
             config.string("prepend_scheme", add_prefix_space ? "always" : "never"));
  if (name == "never") return PrependScheme::kNever;
  if (!add_prefix_space)
    return Error{Code::kInvalidArgument,
                 concat(config.path_of("prepend_scheme"),
                        ": want never, as add_prefix_space is false, found ", in_quotes(name))};
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  return Error{Code::kInvalidArgument,
               concat(config.path_of("prepend_scheme"), ": want always, first or never, found ",
                      in_quotes(name))};
}

Result<std::unique_ptr<PreTokenizer>> make_metaspace_pre_tokenizer(const JsonObject& config) {
  SIS_ASSIGN(const char32_t mark, config.character("replacement"));
  SIS_ASSIGN(const PrependScheme scheme, read_prepend_scheme(config));
  SIS_ASSIGN(const bool split, config.boolean("split", true));
  return std::unique_ptr<PreTokenizer>(std::make_unique<Metaspace>(mark, scheme, split));
}

}  // namespace sis::text::tok
