// How much work a model has before it, and when one more request would be answered: a policy on a
// given clock, no threads.
//
// Work is counted in tokens: estimated from a request's bytes when it asks, corrected when it is
// tokenised, halved while it runs (on average half is done), gone when it leaves.
// What a token costs is measured on the model's steps (step_cost.h), and only where work was
// waiting: steps of an idle model say nothing about a busy one. Before there are enough of those
// nothing is forecast.
//
// Two rules keep a wrong forecast from standing forever: where a place is free nobody is refused,
// and the forecast's own error is allowed for, but never with more than a third of the time that a
// request has.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "serve/admission/step_cost.h"

namespace sis::admission {

// What is known of a request before it is tokenised.
struct Size {
  int64_t bytes = 0;              // of its texts, or of its body
  int64_t tokens = 0;             // what is tokenised already, beside the bytes
  int32_t answer_tokens_max = 0;  // per sequence; 0: nothing is generated
  int32_t sequences = 1;          // that are generated beside each other (choices, prompts)
};

struct BacklogOptions {
  // Sequences that run together. 1 where requests follow each other through batches.
  int32_t parallel = 1;
};

struct Forecast {
  Duration start{};   // from now until the device begins with it
  Duration finish{};  // from now until its answer
};

class Backlog {
 public:
  explicit Backlog(const BacklogOptions& options) : options_(options) {}

  // A request's share of the backlog; kept by its place and given back with it.
  struct Entry {
    Size size;
    Work whole;  // all it brings
    Work left;   // what counts now
    bool running = false;
    bool exact = false;  // corrected
  };
  Entry estimate(const Size& size) const;
  // When a newcomer would start and be answered, the error not included; nullopt: not known yet.
  std::optional<Forecast> forecast(const Entry& entry) const;
  // How much longer than forecast a request may take that has this much time.
  Duration slack(Duration budget) const;
  // Whether one sequence more would run at once.
  bool has_free_place() const { return sequences_ < options_.parallel; }
  // Time for all that is here; zero while prices are not known.
  Duration drain() const;

  void add(const Entry& entry);
  void remove(const Entry& entry);
  // Tokenised: the prompt tokens the device has to compute for it.
  void correct(Entry& entry, int64_t prompt_tokens);
  void start(Entry& entry);  // the device has begun
  // An answer was complete with so many tokens per sequence.
  void learn_answer(double answer_tokens);
  // A request took `actual` where `forecast` was said.
  void learn_error(Duration forecast, Duration actual);

  // A step of the model ended.
  void on_step(TimePoint end, const Work& done, Duration compute);

  int64_t requests() const { return requests_; }
  const Work& left() const { return left_; }

 private:
  const BacklogOptions options_;
  StepCost cost_;
  Work whole_, left_;  // of all entries
  int64_t requests_ = 0, sequences_ = 0;
  bool left_behind_ = false;  // by the last step
  double tokens_per_byte_ = 0.25;
  double answer_tokens_ = -1;  // mean of a sequence; below 0: none has ended yet
  double error_seconds_ = 0;   // about one forecast in a hundred is further out
};

}  // namespace sis::admission
