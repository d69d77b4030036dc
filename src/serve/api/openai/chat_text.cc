#include "serve/api/openai/chat_text.h"

#include <vector>

#include "serve/api/json_text.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

using tasks::Delta;
using tasks::FinishReason;
using tasks::LogprobPiece;
using tasks::TokenLogprobs;
using tasks::Usage;
using telemetry::append_json_string;

// {"token":...,"logprob":...,"bytes":[...] with the brace left open.
void open_token(std::string& out, const LogprobPiece& piece) {
  out += R"({"token":)";
  append_json_string(out, token_text(piece.bytes));
  out += R"(,"logprob":)";
  append_float(out, printable_logprob(piece.logprob));
  out += R"(,"bytes":[)";
  for (size_t i = 0; i < piece.bytes.size(); ++i) {
    if (i > 0) out += ',';
    append_int(out, static_cast<unsigned char>(piece.bytes[i]));
  }
  out += ']';
}

void append_logprobs(std::string& out, const std::vector<TokenLogprobs>& tokens) {
  out += R"({"content":[)";
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (t > 0) out += ',';
    open_token(out, tokens[t].token);
    out += R"(,"top_logprobs":[)";
    for (size_t i = 0; i < tokens[t].top.size(); ++i) {
      if (i > 0) out += ',';
      open_token(out, tokens[t].top[i]);
      out += '}';
    }
    out += "]}";
  }
  out += R"(],"refusal":null})";
}

// The first piece of a call names it; clients join what they get, so nothing comes twice.
void append_call_piece(std::string& out, const Delta::ToolCall& call) {
  out += R"({"index":)";
  append_int(out, call.index);
  if (!call.id.empty()) {
    out += R"(,"id":)";
    append_json_string(out, call.id);
    out += R"(,"type":"function")";
  }
  out += R"(,"function":{)";
  if (!call.name.empty()) {
    out += R"("name":)";
    append_json_string(out, call.name);
    out += ',';
  }
  out += R"("arguments":)";
  append_json_string(out, call.arguments);
  out += "}}";
}

class ChatPrinter final : public AnswerPrinter {
 public:
  explicit ChatPrinter(const ChatPrinterOptions& options)
      : logprobs_(options.logprobs), choices_(static_cast<size_t>(options.choices)) {
    std::string head = R"({"id":)";
    append_json_string(head, options.head.id);
    head += R"(,"object":"chat.completion)";
    std::string created = R"(","created":)";
    append_int(created, options.head.created);
    stamp_ = head + created;
    std::string rest = created + R"(,"model":)";
    append_json_string(rest, options.head.model);
    rest += R"(,"system_fingerprint":)";
    append_json_string(rest, options.head.fingerprint);
    whole_ = head + rest + R"(,"service_tier":"default")";
    chunk_ = "data: " + head + ".chunk" + rest + R"(,"choices":[)";
    chunk_end_ = options.usage_null ? "],\"usage\":null}\n\n" : "]}\n\n";
  }

  std::string kept(const std::string& whole) const override { return whole.substr(stamp_.size()); }
  std::string again(const std::string& kept) const override { return stamp_ + kept; }

  void prompt(size_t, std::vector<TokenLogprobs>) override {}

  void delta(std::string& out, int32_t choice, const Delta& delta) override {
    Choice& state = choices_[static_cast<size_t>(choice)];
    const bool only_calls =
        !delta.tool_calls.empty() && delta.content.empty() && delta.reasoning.empty();
    if (!state.begun && !only_calls) begin(out, choice);
    open(out, choice);
    const char* comma = "";
    if (!state.begun) {
      out += R"("role":"assistant","content":null)";
      comma = ",";
      state.begun = true;
    }
    if (!delta.reasoning.empty()) {
      out += R"("reasoning_content":)";
      append_json_string(out, delta.reasoning);
      comma = ",";
    }
    // A delta that only brings logprobs says so with an empty text.
    if (!delta.content.empty() || (delta.reasoning.empty() && delta.tool_calls.empty())) {
      out += comma;
      out += R"("content":)";
      append_json_string(out, delta.content);
      comma = ",";
    }
    if (!delta.tool_calls.empty()) {
      out += comma;
      out += R"("tool_calls":[)";
      for (size_t i = 0; i < delta.tool_calls.size(); ++i) {
        if (i > 0) out += ',';
        append_call_piece(out, delta.tool_calls[i]);
        note_arguments(state, delta.tool_calls[i]);
      }
      out += ']';
    }
    out += R"(},"logprobs":)";
    if (logprobs_ && !delta.logprobs.empty())
      append_logprobs(out, delta.logprobs);
    else
      out += "null";
    out += R"(,"finish_reason":null})";
    out += chunk_end_;
  }

  void finish(std::string& out, int32_t choice, FinishReason reason) override {
    Choice& state = choices_[static_cast<size_t>(choice)];
    if (!state.begun) begin(out, choice);
    // Joined arguments are JSON, also those of a call without any.
    if (reason == FinishReason::kToolCalls)
      for (size_t i = 0; i < state.has_arguments.size(); ++i)
        if (!state.has_arguments[i]) {
          Delta empty;
          empty.tool_calls.push_back(
              {.index = static_cast<int32_t>(i), .id = {}, .name = {}, .arguments = "{}"});
          delta(out, choice, empty);
        }
    open(out, choice);
    out += R"(},"logprobs":null,"finish_reason":")";
    out += finish_word(reason);
    out += R"("})";
    out += chunk_end_;
  }

  void usage(std::string& out, const Usage& usage) override {
    out += chunk_;
    out += R"(],"usage":)";
    append_usage(out, usage);
    out += "}\n\n";
  }

  std::string whole(const std::vector<GatheredChoice>& choices, const Usage& usage) override {
    std::string out = whole_;
    out += R"(,"choices":[)";
    for (size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      append_choice(out, i, choices[i]);
    }
    out += R"(],"usage":)";
    append_usage(out, usage);
    out += '}';
    return out;
  }

 private:
  struct Choice {
    bool begun = false;               // its role is sent
    std::vector<bool> has_arguments;  // of its calls
  };

  static void note_arguments(Choice& state, const Delta::ToolCall& call) {
    const auto index = static_cast<size_t>(call.index);
    if (state.has_arguments.size() <= index) state.has_arguments.resize(index + 1);
    if (!call.arguments.empty()) state.has_arguments[index] = true;
  }

  // Up to the members of the delta.
  void open(std::string& out, int32_t choice) {
    out += chunk_;
    out += R"({"index":)";
    append_int(out, choice);
    out += R"(,"delta":{)";
  }

  void begin(std::string& out, int32_t choice) {
    choices_[static_cast<size_t>(choice)].begun = true;
    open(out, choice);
    out +=
        R"("role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null})";
    out += chunk_end_;
  }

  void append_choice(std::string& out, size_t index, const GatheredChoice& choice) const {
    out += R"({"index":)";
    append_int(out, static_cast<int64_t>(index));
    out += R"(,"message":{"role":"assistant","content":)";
    if (choice.content.empty() && !choice.tool_calls.empty())
      out += "null";
    else
      append_json_string(out, choice.content);
    out += R"(,"refusal":null)";
    if (!choice.reasoning.empty()) {
      out += R"(,"reasoning_content":)";
      append_json_string(out, choice.reasoning);
    }
    if (!choice.tool_calls.empty()) {
      out += R"(,"tool_calls":[)";
      for (size_t i = 0; i < choice.tool_calls.size(); ++i) {
        const Delta::ToolCall& call = choice.tool_calls[i];
        out += i > 0 ? R"(,{"id":)" : R"({"id":)";
        append_json_string(out, call.id);
        out += R"(,"type":"function","function":{"name":)";
        append_json_string(out, call.name);
        out += R"(,"arguments":)";
        const bool none = call.arguments.empty() && choice.reason == FinishReason::kToolCalls;
        append_json_string(out, none ? "{}" : std::string_view(call.arguments));
        out += "}}";
      }
      out += ']';
    }
    out += R"(},"logprobs":)";
    if (logprobs_)
      append_logprobs(out, choice.logprobs);
    else
      out += "null";
    out += R"(,"finish_reason":")";
    out += finish_word(choice.reason);
    out += R"("})";
  }

  const bool logprobs_;
  std::string stamp_;  // what no two answers share, up to the time
  std::string whole_, chunk_, chunk_end_;
  std::vector<Choice> choices_;
};

}  // namespace

const char* finish_word(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
  }
  return "stop";
}

std::unique_ptr<AnswerPrinter> chat_printer(const ChatPrinterOptions& options) {
  return std::make_unique<ChatPrinter>(options);
}

}  // namespace sis::api
