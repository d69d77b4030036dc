// One request between submit() and its end: turns what the engine says into what the stream hears.
//
// The engine calls on its executor's thread, everybody else on any: one mutex keeps the stream's
// calls apart and in order, and is held while they last. Whoever ends the request first wins; from
// then on nothing is called.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "infer/engine/generator.h"
#include "serve/tasks/choice_text.h"
#include "serve/tasks/generate.h"

namespace sis::tasks {

class GenerateRun;

// Who keeps the open requests.
class GenerateHost {
 public:
  virtual ~GenerateHost() = default;
  // The request is over: once, under its mutex, before its stream hears so.
  virtual void forget(const GenerateRun& run) = 0;
  // A ticket that cannot be destroyed where its request ended, inside the engine's call.
  virtual void bury(std::unique_ptr<engine::Generator::Ticket> ticket) = 0;
};

class GenerateRun final : public engine::TokenSink {
 public:
  GenerateRun(GenerateCall call, std::shared_ptr<GenerateStream> stream,
              std::shared_ptr<GenerateHost> host, const Clock& clock);

  // For who prepares the request, one thread at a time.
  const GenerateCall& call() const { return call_; }
  TextPlan& plan() { return plan_; }
  bool over() const;
  // Before the engine has it. `prompt` is kept where its tokens are asked for.
  void prepared(std::span<const int32_t> prompt, uint64_t seed);
  // Right after the engine has taken it. By then the request may be over.
  void attach(std::unique_ptr<engine::Generator::Ticket> ticket);

  // Ends the request and withdraws it from the engine; not inside a call of the engine.
  void fail(Error error);
  void cancel();  // the stream hears nothing

  void on_admitted(const engine::GenerateStats& stats) override;
  void on_prompt_logprobs(std::span<const engine::TokenEvent> events) override;
  bool on_token(int32_t choice, const engine::TokenEvent& event) override;
  void on_finish(int32_t choice, engine::Finish finish) override;
  void on_end(Result<engine::GenerateStats> stats) override;

 private:
  struct Choice {
    std::unique_ptr<ChoiceText> text;
    bool finished = false;
  };
  // Under the mutex:
  void finish_choice(int32_t choice, engine::Finish finish);
  // Gives the stream back, which may own the request's ticket: to be let go after the mutex.
  [[nodiscard]] std::shared_ptr<GenerateStream> end(Result<Usage> usage);
  Usage usage_of(const engine::GenerateStats& stats) const;

  const GenerateCall call_;
  const std::shared_ptr<GenerateHost> host_;  // outlives the service for a moment with the request
  const Clock& clock_;
  const TimePoint submitted_;
  TextPlan plan_;

  mutable std::mutex mutex_;
  std::shared_ptr<GenerateStream> stream_;  // null: over
  std::unique_ptr<engine::Generator::Ticket> ticket_;
  std::vector<Choice> choices_;
  std::vector<int32_t> prompt_;
  TimePoint prepared_{};
  std::optional<TimePoint> first_token_;
  bool started_ = false;
};

}  // namespace sis::tasks
