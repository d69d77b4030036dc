#include "serve/api/openai/completions_text.h"

#include <algorithm>
#include <utility>

#include "serve/api/json_text.h"
#include "serve/api/openai/chat_text.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

using tasks::Delta;
using tasks::FinishReason;
using tasks::LogprobPiece;
using tasks::TokenLogprobs;
using tasks::Usage;
using telemetry::append_json_string;

// Characters that begin in these bytes; so a character split over tokens counts once.
int64_t characters_begun(std::string_view bytes) {
  return std::count_if(bytes.begin(), bytes.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

// The four lists of the API's logprobs, filled token by token.
class LogprobLists {
 public:
  LogprobLists(std::string& out, int64_t offset) : out_(out), offset_(offset) {}

  // `known`: the first token of a prompt has no logprob.
  void add(const TokenLogprobs& token, bool known) {
    const char* comma = tokens_.empty() ? "" : ",";
    tokens_ += comma;
    append_json_string(tokens_, token_text(token.token.bytes));
    values_ += comma;
    top_ += comma;
    if (known) {
      append_float(values_, printable_logprob(token.token.logprob));
      add_top(token);
    } else {
      values_ += "null";
      top_ += "null";
    }
    offsets_ += comma;
    append_int(offsets_, offset_);
    offset_ += characters_begun(token.token.bytes);
  }

  // Writes the object; returns where the next token's text begins.
  int64_t finish() {
    out_ += R"({"tokens":[)" + tokens_ + R"(],"token_logprobs":[)" + values_ +
            R"(],"top_logprobs":[)" + top_ + R"(],"text_offset":[)" + offsets_ + "]}";
    return offset_;
  }

 private:
  // The sampled token is always among them.
  void add_top(const TokenLogprobs& token) {
    top_ += '{';
    bool own = false;
    for (const LogprobPiece& piece : token.top) {
      add_entry(piece);
      own |= piece.id == token.token.id;
    }
    if (!own) add_entry(token.token);
    top_ += '}';
  }
  void add_entry(const LogprobPiece& piece) {
    if (top_.back() != '{') top_ += ',';
    append_json_string(top_, token_text(piece.bytes));
    top_ += ':';
    append_float(top_, printable_logprob(piece.logprob));
  }

  std::string& out_;
  int64_t offset_;
  std::string tokens_, values_, top_, offsets_;
};

class CompletionPrinter final : public AnswerPrinter {
 public:
  explicit CompletionPrinter(CompletionPrinterOptions options)
      : options_(std::move(options)),
        prompts_(options_.prompts),
        choices_(options_.prompts * static_cast<size_t>(options_.choices)) {
    head_ = R"({"id":)";
    append_json_string(head_, options_.head.id);
    head_ += R"(,"object":"text_completion","created":)";
    append_int(head_, options_.head.created);
    head_ += R"(,"model":)";
    append_json_string(head_, options_.head.model);
    head_ += R"(,"system_fingerprint":)";
    append_json_string(head_, options_.head.fingerprint);
    head_ += R"(,"choices":[)";
    chunk_end_ = options_.usage_null ? "],\"usage\":null}\n\n" : "]}\n\n";
  }

  void prompt(size_t prompt, std::vector<TokenLogprobs> tokens) override {
    prompts_[prompt] = std::move(tokens);
  }

  void delta(std::string& out, int32_t choice, const Delta& delta) override {
    begin(out, choice);
    chunk(out, choice, delta.content, {}, delta.logprobs, nullptr);
  }

  void finish(std::string& out, int32_t choice, FinishReason reason) override {
    begin(out, choice);
    chunk(out, choice, {}, {}, {}, finish_word(reason));
  }

  void usage(std::string& out, const Usage& usage) override {
    out += "data: ";
    out += head_;
    out += R"(],"usage":)";
    append_usage(out, usage);
    out += "}\n\n";
  }

  std::string whole(const std::vector<GatheredChoice>& choices, const Usage& usage) override {
    std::string out = head_;
    for (size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      const size_t prompt = prompt_of(i);
      const std::string echo = options_.echo.empty() ? std::string() : options_.echo[prompt];
      append_choice(out, i, echo + choices[i].content, options_.logprobs >= 0, prompts_[prompt],
                    choices[i].logprobs, finish_word(choices[i].reason));
    }
    out += R"(],"usage":)";
    append_usage(out, usage);
    out += '}';
    return out;
  }

 private:
  struct Choice {
    bool begun = false;  // its prompt is echoed
    int64_t offset = 0;  // characters sent
  };

  size_t prompt_of(size_t choice) const { return choice / static_cast<size_t>(options_.choices); }

  // With echo the prompt comes first, in a chunk of its own.
  void begin(std::string& out, int32_t choice) {
    const auto index = static_cast<size_t>(choice);
    if (std::exchange(choices_[index].begun, true) || options_.echo.empty()) return;
    const size_t prompt = prompt_of(index);
    chunk(out, choice, options_.echo[prompt], prompts_[prompt], {}, nullptr);
  }

  void chunk(std::string& out, int32_t choice, std::string_view text,
             const std::vector<TokenLogprobs>& prompt, const std::vector<TokenLogprobs>& tokens,
             const char* reason) {
    out += "data: ";
    out += head_;
    const bool with_logprobs = options_.logprobs >= 0 && (!prompt.empty() || !tokens.empty());
    append_choice(out, static_cast<size_t>(choice), text, with_logprobs, prompt, tokens, reason);
    out += chunk_end_;
  }

  void append_choice(std::string& out, size_t index, std::string_view text, bool with_logprobs,
                     const std::vector<TokenLogprobs>& prompt,
                     const std::vector<TokenLogprobs>& tokens, const char* reason) {
    out += R"({"text":)";
    append_json_string(out, text);
    out += R"(,"index":)";
    append_int(out, static_cast<int64_t>(index));
    out += R"(,"logprobs":)";
    if (with_logprobs) {
      LogprobLists lists(out, choices_[index].offset);
      for (size_t i = 0; i < prompt.size(); ++i) lists.add(prompt[i], i > 0);
      for (const TokenLogprobs& token : tokens) lists.add(token, true);
      choices_[index].offset = lists.finish();
    } else {
      out += "null";
    }
    out += R"(,"finish_reason":)";
    if (reason == nullptr) {
      out += "null}";
    } else {
      out += '"';
      out += reason;
      out += "\"}";
    }
  }

  const CompletionPrinterOptions options_;
  std::vector<std::vector<TokenLogprobs>> prompts_;
  std::vector<Choice> choices_;
  std::string head_, chunk_end_;
};

}  // namespace

std::unique_ptr<AnswerPrinter> completion_printer(CompletionPrinterOptions options) {
  return std::make_unique<CompletionPrinter>(std::move(options));
}

}  // namespace sis::api
