// Generates text for many clients at once: template, tokens, sampling, stop rules, structured
// output, tools, reasoning.
//
// submit() hands the work to the prep pool (template and tokenising, grammar), then to the model's
// Generator. What comes back is text in the client's terms: content, reasoning and tool calls, in
// pieces that never split a character, never show the start of a stop string and never take
// anything back. One request's failure, timeout or disconnect never touches its companions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task_pool.h"
#include "infer/engine/generator.h"
#include "infer/text/chat_template/chat_request.h"
#include "serve/tasks/text_model.h"

namespace sis::tasks {

struct Tool {
  std::string name;
  std::string parameters;  // JSON Schema as JSON text; empty: no arguments
  bool strict = false;
  std::string place;  // in the request, for errors: "functions[0]"; empty: "tools[i].function"
};

enum class ToolChoice : uint8_t { kNone, kAuto, kRequired };

struct ResponseFormat {
  enum class Kind : uint8_t { kText, kJsonObject, kJsonSchema, kRegex, kEbnf };
  Kind kind = Kind::kText;
  std::string source;   // the schema (JSON text), the regex or the grammar
  bool strict = false;  // kJsonSchema: an unsupported keyword is an error even where ignoring it
                        // would only allow more
  std::string field;    // where `source` came from, for `param` of errors; empty: response_format
};

// Absent values are the model's defaults, then the server's.
struct GenerateCall {
  // The prompt: a conversation for the model's template, or a text, or ids.
  std::optional<text::ChatRequest> chat;
  std::string text;
  std::vector<int32_t> ids;
  bool prompt_is_ids = false;

  std::optional<int32_t> tokens_max;  // clamped to the server's ceiling and to the context
  int32_t tokens_min = 0;
  int32_t choices = 1;
  std::optional<float> temperature, top_p, min_p, frequency_penalty, presence_penalty,
      repetition_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;  // absent: one is drawn
  std::vector<std::pair<int32_t, float>> logit_bias;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_ids;
  bool ignore_eos = false;
  bool skip_special_tokens = true;
  int32_t logprobs = -1;         // as engine::GenerateRequest
  bool prompt_logprobs = false;  // with echo
  ResponseFormat format;
  std::vector<Tool> tools;  // what may be called; what the template shows is in `chat`
  ToolChoice tool_choice = ToolChoice::kAuto;
  bool parallel_tool_calls = true;
  std::string cache_salt;
  TimePoint deadline = TimePoint::max();  // the client's; the server's timeouts may come first
};

struct LogprobPiece {
  std::string bytes;  // the token's raw bytes, not always whole characters
  int32_t id = 0;
  float logprob = 0;
};
struct TokenLogprobs {
  LogprobPiece token;
  std::vector<LogprobPiece> top;  // most likely first
};

// One addition to a choice. Several members may be set; empty strings add nothing.
struct Delta {
  std::string content;
  std::string reasoning;
  struct ToolCall {
    int32_t index = 0;      // of the call within the choice
    std::string id, name;   // in the first piece of a call only
    std::string arguments;  // next piece of the JSON text
  };
  std::vector<ToolCall> tool_calls;
  std::vector<TokenLogprobs> logprobs;  // of the tokens this text comes from
};

enum class FinishReason : uint8_t { kStop, kLength, kToolCalls };

struct Usage {
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;
  int32_t completion_tokens = 0;  // sampled in all choices, end of sequence included
  int32_t reasoning_tokens = 0;   // of these
  Duration queue{}, prepare{}, prefill{}, decode{};
};

// Called one at a time and in order; must be cheap and not call back into the service, nor destroy
// the ticket inside a call. Text comes on the device executor's thread; refusals inside submit() or
// on the prep pool, deadlines inside sweep(). Nothing is called after the ticket's destruction has
// returned, which waits for a call in progress.
class GenerateStream {
 public:
  virtual ~GenerateStream() = default;
  // The prompt tokens the device has to compute: once they are counted, and again, less those that
  // the cache holds, before on_start().
  virtual void on_prompt_tokens(int32_t tokens) { (void)tokens; }
  // Admitted to the running set: from here on an error comes in the middle of an answer.
  virtual void on_start(int32_t prompt_tokens) = 0;
  // Before the first delta, when prompt_logprobs are asked for; the first token has no logprob.
  virtual void on_prompt(std::vector<TokenLogprobs> tokens) { (void)tokens; }
  virtual void on_delta(int32_t choice, Delta delta) = 0;
  virtual void on_finish(int32_t choice, FinishReason reason) = 0;
  // Once and last.
  virtual void on_end(Result<Usage> usage) = 0;
};

struct GenerateDefaults {
  float temperature = 1, top_p = 1, min_p = 0, repetition_penalty = 1;
  int32_t top_k = 0;
  int32_t tokens_max = 512;          // when the request says nothing
  int32_t tokens_ceiling = 2048;     // larger requests are clamped
  int32_t prompt_tokens_max = 4096;  // longer: kInvalidArgument
  Duration prepare_timeout = from_seconds(10);
  Duration generate_timeout = from_seconds(60);  // from the end of preparation
};

class GenerateService {
 public:
  class Ticket {  // destroying it cancels the request
   public:
    virtual ~Ticket() = default;
  };

  // `model.templates` may be null: then only text and ids can be prompts. `eos_ids` as the
  // checkpoint's generation_config.json has them. Keeps references to all of these.
  static std::unique_ptr<GenerateService> create(const TextModel& model,
                                                 std::vector<int32_t> eos_ids,
                                                 const GenerateDefaults& defaults,
                                                 engine::Generator& generator, TaskPool& prep,
                                                 const Clock& clock);
  // What is open ends with kUnavailable; tickets may be destroyed later.
  virtual ~GenerateService() = default;

  // The stream hears everything, refusals included (on_end with the error, maybe inside submit()).
  // Errors: kInvalidArgument with `param` (unknown schema keyword, a template's refusal, a prompt
  // too long), kOverloaded, kDeadline, kUnavailable, kInternal.
  virtual std::unique_ptr<Ticket> submit(GenerateCall call,
                                         std::shared_ptr<GenerateStream> stream) = 0;

  // Makes what the first grammar would wait for: a second's work at 150 000 tokens.
  virtual Status warm() { return {}; }
  // Ends what is over its deadline; to be called every few milliseconds, not inside a callback.
  virtual void sweep() = 0;
  virtual void close() = 0;    // refuses new requests; what is admitted runs on
  virtual void end_all() = 0;  // ends what is open with kUnavailable, too
  virtual const TextModel& model() const = 0;
  virtual const GenerateDefaults& defaults() const = 0;
  virtual int64_t requests_open() const = 0;
};

}  // namespace sis::tasks
