// Any bytes as the body of a chat, a text completion, an inference or a tokenization: refused or
// read, never a crash.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "serve/api/infer/infer_json.h"
#include "serve/api/openai/chat_json.h"
#include "serve/api/openai/completions_json.h"
#include "serve/api/text/tokenize_json.h"

using namespace sis;

namespace {

// Knows no token: the routes only ask it for the default prompt.
class NoTokenizer final : public text::Tokenizer {
 public:
  text::Encoding encode(std::string_view, const text::EncodeOptions&) const override { return {}; }
  text::Encoding encode_pair(std::string_view, std::string_view,
                             const text::EncodeOptions&) const override {
    return {};
  }
  std::string decode(const std::vector<int32_t>&, bool) const override { return {}; }
  const std::optional<text::Truncation>& truncation() const override { return truncation_; }
  const std::optional<text::Padding>& padding() const override { return padding_; }
  int32_t vocab_size() const override { return 1000; }
  std::optional<int32_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::string_view id_to_token(int32_t) const override { return {}; }
  std::optional<std::string_view> token_to_decode(int32_t, bool) const override {
    return std::nullopt;
  }
  const text::tok::Decoder* decoder() const override { return nullptr; }

 private:
  std::optional<text::Truncation> truncation_;
  std::optional<text::Padding> padding_;
};

text::ChatTemplates small_template() {
  auto parsed = text::ChatTemplate::parse(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ m.tool_calls }}{% endfor %}");
  if (!parsed.ok()) std::abort();
  return text::ChatTemplates::from_template(std::move(*parsed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const NoTokenizer tokenizer;
  static const text::ChatTemplates templates = small_template();
  static const tasks::TextModel model{
      .name = "m", .tokenizer = &tokenizer, .templates = &templates, .tokens_max = 100};
  const api::FindModel find = [](const std::string& name) -> Result<api::FoundModel> {
    const bool embeds = name.starts_with("e");  // has no text to give
    return api::FoundModel{.facts = {.name = name, .vocab_size = 1000},
                           .text = embeds ? nullptr : &model};
  };
  std::string body(reinterpret_cast<const char*>(data), size);
  body.resize(size + 64);
  for (const bool strict : {false, true}) {
    const auto chat = api::parse_chat_call({body.data(), size}, strict, find);
    if (chat.ok()) {
      if (!chat->fields.call.chat) std::abort();
      (void)text::apply_chat_template(templates, *chat->fields.call.chat);
    }
    const auto completion =
        api::parse_completion_call({body.data(), size}, {.strict_fields = strict}, find);
    if (completion.ok() && completion->calls.empty()) std::abort();
  }
  const auto infer = api::parse_infer({body.data(), size}, {}, find);
  if (infer.ok() && infer->prompt.empty()) std::abort();
  constexpr api::TextLimits kLimits{.texts_max = 4, .chars_max = 256};
  if (auto tokenize = api::parse_tokenize({body.data(), size}, kLimits); tokenize.ok())
    (void)api::run_tokenize(std::move(*tokenize), model, kLimits);
  if (const auto detokenize = api::parse_detokenize({body.data(), size}, kLimits); detokenize.ok())
    (void)api::run_detokenize(*detokenize, model);
  return 0;
}
