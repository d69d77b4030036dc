// A request on its way through the generator, and the gate between its sink and its ticket.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "infer/engine/generator.h"
#include "infer/engine/scheduler.h"
#include "infer/engine/token_counts.h"

namespace sis::engine {

// Lets calls through to a sink until it is closed. close() waits for a call in progress on another
// thread; from inside a call it does not wait.
class SinkGate {
 public:
  explicit SinkGate(std::shared_ptr<TokenSink> sink) : sink_(std::move(sink)) {}

  // fn(TokenSink&); false when closed.
  template <class Fn>
  bool call(Fn&& fn) {
    const std::lock_guard lock(mutex_);
    if (closed()) return false;
    const Inside inside(*this);
    fn(*sink_);
    return true;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (depth_ == 0) sink_.reset();
  }
  bool closed() const { return closed_.load(std::memory_order_acquire); }

 private:
  // Counts a call, also one that ends with an exception.
  struct Inside {
    explicit Inside(SinkGate& gate) : gate(gate) { ++gate.depth_; }
    ~Inside() {
      if (--gate.depth_ == 0 && gate.closed()) gate.sink_.reset();
    }
    SinkGate& gate;
  };

  std::recursive_mutex mutex_;       // recursive: a callback may drop its own ticket
  std::shared_ptr<TokenSink> sink_;  // shared with the caller of submit()
  std::atomic<bool> closed_{false};
  int depth_ = 0;
};

struct Request;

struct Choice : Sequence {
  Request* request = nullptr;
  int32_t index = 0;
  int32_t generated = 0;
  bool finished = false;
  TokenCounts counts;  // when penalties are asked for
  std::unique_ptr<text::GrammarMatcher> matcher;
  std::vector<uint64_t> mask;             // of the next token, when there is a grammar
  std::optional<std::string> mask_fault;  // why there is none
};

// Shared by the lane and the ticket: whoever is last frees it.
struct Request {
  Request(GenerateRequest&& call, std::shared_ptr<TokenSink> sink)
      : call(std::move(call)), gate(std::move(sink)) {}

  GenerateRequest call;  // the prompt has moved into the first choice
  SinkGate gate;
  std::atomic<bool> ended{false};  // out of the scheduler, nothing more is called

  // The rest is the lane's once it is submitted. Choices keep their addresses; until the prompt is
  // computed only the first is with the scheduler.
  std::vector<Choice> choices;
  int32_t choices_left = 0;
  int32_t tokens_max = 0;  // cut to the context
  size_t top_count = 0;    // most likely tokens reported per token
  bool penalties = false;
  bool waiting = true;  // counted among those not admitted
  bool first_token_seen = false;
  TimePoint admitted{};
  GenerateStats stats;
  bool prompt_reported = false;
  std::vector<TokenLogprob> prompt_logprobs;  // of prompt tokens 1.., as far as scored
  std::vector<TokenLogprob> prompt_top;       // top_count for each
};

}  // namespace sis::engine
