#include "perf/load/chat_judge.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "perf/load/json_answer.h"
#include "perf/load/openai_http.h"
#include "perf/load/sse_judge.h"

namespace sis::perf {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr int64_t kTokensMax = 1'000'000'000;

struct Usage {
  int64_t prompt = -1, completion = -1, cached = -1;
};

// What is wrong with the count `name`, if anything; missing and null are not.
std::string read_count(element from, const char* name, int64_t& count) {
  element value;
  if (from[name].get(value) || value.is_null()) return {};
  if (value.get(count) || count < 0 || count > kTokensMax) {
    count = -1;
    return concat("usage.", name, ": want a whole number 0..", kTokensMax, ", got ",
                  in_quotes(simdjson::minify(value), 30));
  }
  return {};
}

std::string read_usage(element from, Usage& usage) {
  if (std::string why = read_count(from, "prompt_tokens", usage.prompt); !why.empty()) return why;
  if (std::string why = read_count(from, "completion_tokens", usage.completion); !why.empty())
    return why;
  element details;
  if (from["prompt_tokens_details"].get(details)) return {};
  return read_count(details, "cached_tokens", usage.cached);
}

std::string_view text_of(element from, const char* name) {
  std::string_view text;
  return from[name].get(text) ? std::string_view() : text;
}

bool has_content(element delta) {
  for (const char* name : {"content", "reasoning_content", "reasoning", "refusal"})
    if (!text_of(delta, name).empty()) return true;
  array calls;
  if (!delta["tool_calls"].get(calls) && calls.begin() != calls.end()) return true;
  object call;  // the older form of a tool call
  return !delta["function_call"].get(call);
}

class ChatStreamJudge final : public SseJudge {
 public:
  ChatStreamJudge(const ChatJudgeOptions& options, JsonAnswer& json)
      : json_(json),
        chat_(options.shape == AnswerShape::kChat),
        choices_(static_cast<size_t>(options.choices)) {}

  void begin() override {
    SseJudge::begin();
    std::fill(choices_.begin(), choices_.end(), Choice{});
    id_.clear();
    done_ = false;
    finished_at_ = TimePoint{};
    usage_ = Usage{};
  }

  Judgement end(uint64_t) override {
    if (failure_.empty()) check_end();
    if (!failure_.empty()) return {.error = failure_};
    Generation generation{.cached_tokens = usage_.cached, .pieces = pieces_, .gaps = gaps_};
    generation.counted_by_server = usage_.completion >= 0;
    generation.output_tokens =
        usage_.completion >= 0 ? usage_.completion : static_cast<int64_t>(pieces_.size());
    // With several choices there is no one time between two tokens.
    if (usage_.completion > 1 && choices_.size() == 1 && !pieces_.empty())
      generation.per_token = (finished_at_ - pieces_.front()) / (usage_.completion - 1);
    return {.ok = true, .items = 1, .prompt_tokens = usage_.prompt, .generation = generation};
  }

 private:
  struct Choice {
    bool begun = false, finished = false, has_piece = false;
    TimePoint last_piece{};
  };

  void take_event(const SseEvent& event, TimePoint now) override {
    if (done_) return fail(": want nothing after [DONE], got ", in_quotes(event.data, 60));
    if (trim(event.data) == "[DONE]") {
      done_ = true;
      return;
    }
    element document;
    if (const auto error = json_.read(event.data, document); error)
      return fail(" is not JSON (", simdjson::error_message(error),
                  "): ", in_quotes(event.data, 60));
    element error;
    if (event.name == "error" || (!document["error"].get(error) && !error.is_null())) {
      failure_ = concat("error event: ", error_message(event.data));
      return;
    }
    array choices;
    if (document["choices"].get(choices))
      return fail(" has no array 'choices': ", in_quotes(event.data, 60));
    element usage;
    const bool has_usage = !document["usage"].get(usage) && usage.is_object();
    if (!has_usage && choices.begin() == choices.end()) return;
    if (has_usage) {
      if (const std::string why = read_usage(usage, usage_); !why.empty()) return fail(": ", why);
    }
    const std::string_view id = text_of(document, "id");
    if (id.empty()) return fail(" has no 'id'");
    if (id_.empty()) id_ = id;
    if (id != id_)
      return fail(": id ", in_quotes(id), ", but the answer began with ", in_quotes(id_));
    for (const element choice : choices) {
      take_choice(choice, now);
      if (!failure_.empty()) return;
    }
  }

  void take_choice(element from, TimePoint now) {
    int64_t index = 0;
    if (from["index"].get(index) || index < 0 || index >= static_cast<int64_t>(choices_.size()))
      return fail(": choice without an 'index' 0..", choices_.size() - 1);
    Choice& choice = choices_[static_cast<size_t>(index)];
    bool content = false;
    if (chat_) {
      element delta;
      if (from["delta"].get(delta) || !delta.is_object())
        return fail(": choice ", index, " has no object 'delta'");
      if (!choice.begun && text_of(delta, "role") != "assistant")
        return fail(": choice ", index, " begins without the role 'assistant'");
      content = has_content(delta);
    } else {
      std::string_view text;
      if (from["text"].get(text)) return fail(": choice ", index, " has no string 'text'");
      content = !text.empty();
    }
    choice.begun = true;
    if (content) {
      if (choice.finished) return fail(": choice ", index, " goes on after its finish_reason");
      if (pieces_.size() == kPiecesMax) return fail(": over ", kPiecesMax, " pieces of content");
      if (choice.has_piece) gaps_.push_back(now - choice.last_piece);
      choice.has_piece = true;
      choice.last_piece = now;
      pieces_.push_back(now);
    }
    if (!text_of(from, "finish_reason").empty()) {
      choice.finished = true;
      finished_at_ = now;
    }
  }

  void check_end() {
    if (events_ == 0) {
      failure_ = concat("status 200 without events: ", error_message(sse_.stray_line()));
      return;
    }
    if (!done_) {
      failure_ = concat("stream ended without [DONE] after ", events_, " events",
                        sse_.inside_event() ? ", inside the next one" : "");
      return;
    }
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (choices_[i].finished) continue;
      failure_ = choices_[i].begun ? concat("choice ", i, " has no finish_reason")
                                   : concat("no event of choice ", i);
      return;
    }
  }

  JsonAnswer& json_;
  const bool chat_;
  std::vector<Choice> choices_;
  std::string id_;
  bool done_ = false;
  TimePoint finished_at_{};
  Usage usage_;
};

class ChatJudge final : public Judge {
 public:
  explicit ChatJudge(const ChatJudgeOptions& options) : options_(options) {
    SIS_CHECK(options.choices >= 1 && options.choices <= kChoicesMax, "choices=", options.choices);
  }

  Judgement judge(uint64_t, const Answer& answer) override {
    if (answer.status != 200) return wrong_status(answer);
    element document;
    if (std::string why = json_.parse(answer.body, document); !why.empty())
      return {.error = std::move(why)};
    Usage usage;
    if (std::string why = check(document, usage); !why.empty()) return {.error = std::move(why)};
    Judgement judgement{.ok = true, .items = 1, .prompt_tokens = usage.prompt};
    if (usage.completion >= 0)
      judgement.generation = Generation{.output_tokens = usage.completion,
                                        .counted_by_server = true,
                                        .cached_tokens = usage.cached};
    return judgement;
  }

  std::unique_ptr<StreamJudge> make_stream() override {
    if (!options_.stream) return nullptr;
    return std::make_unique<ChatStreamJudge>(options_, json_);
  }

 private:
  std::string check(element document, Usage& usage) {
    element error;
    if (!document["error"].get(error) && !error.is_null())
      return concat("status 200 with an error: ", error_message(simdjson::minify(document)));
    if (text_of(document, "id").empty()) return "answer has no 'id'";
    array choices;
    if (document["choices"].get(choices)) return "answer has no array 'choices'";
    int64_t count = 0;
    for (const element choice : choices) {
      int64_t index = 0;
      if (choice["index"].get(index) || index != count)
        return concat("choices[", count, "].index: want ", count);
      element message;
      std::string_view text;
      if (options_.shape == AnswerShape::kChat) {
        if (choice["message"].get(message) || text_of(message, "role") != "assistant")
          return concat("choices[", count, "] has no message of the assistant");
      } else if (choice["text"].get(text)) {
        return concat("choices[", count, "] has no string 'text'");
      }
      if (text_of(choice, "finish_reason").empty())
        return concat("choices[", count, "] has no finish_reason");
      ++count;
    }
    if (count != options_.choices)
      return concat("answer has ", count, " choices, want ", options_.choices);
    element from;
    return document["usage"].get(from) ? std::string() : read_usage(from, usage);
  }

  ChatJudgeOptions options_;
  JsonAnswer json_;
};

}  // namespace

std::unique_ptr<Judge> make_chat_judge(const ChatJudgeOptions& options) {
  return std::make_unique<ChatJudge>(options);
}

}  // namespace sis::perf
