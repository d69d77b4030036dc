// Answers of a local model, streamed to the terminal as they are made.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "local_chat.h"
#include "serve/tasks/generate.h"

namespace sis::apps {

struct AnswerOptions {
  int32_t tokens_max = 0;  // 0: until the model ends, or the context is full
  float temperature = -1, top_p = -1, min_p = -1;  // below 0: the model's own
  int32_t top_k = -1;
  int64_t seed = -1;  // below 0: a new one every time
};
// --max-tokens, --temperature, --top-p, --top-k, --min-p, --seed.
void add_options(CLI::App& app, AnswerOptions& options);

struct Answer {
  std::string content, reasoning;
  tasks::FinishReason reason = tasks::FinishReason::kStop;
  bool stopped = false;  // by stop_answer()
  tasks::Usage usage;    // of a stopped one as far as it came, in time of the device alone
};
// "prompt 12 tokens (4 cached) in 8.1 ms, 64 tokens at 107.3 tokens/s, stopped at the limit"
// "stopped after 64 tokens at 107.3 tokens/s; prompt 12 tokens (4 cached) in 8.1 ms"
std::string describe(const Answer& answer);

class ChatSession {
 public:
  static Result<std::unique_ptr<ChatSession>> open(const LocalChatOptions& options);
  virtual ~ChatSession() = default;

  virtual std::string summary() const = 0;
  virtual const tasks::TextModel& model() const = 0;
  virtual engine::GeneratorGauges gauges() const = 0;
  // Writes the text to stdout piece by piece, reasoning dimmed on a terminal, and waits for its
  // end.
  virtual Result<Answer> run(tasks::GenerateCall call, const AnswerOptions& options) = 0;
};

// Ends the answer that is being made, soon; may be called in a signal handler.
void stop_answer();

}  // namespace sis::apps
