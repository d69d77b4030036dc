// How much work a model has before it, and when one more request would be answered: a policy on a
// given clock, no threads.
//
// Work is counted in tokens: estimated from a request's bytes when it asks, corrected when it is
// tokenised, half of its answer taken off once it runs, all of it gone when it leaves. What a token
// costs is measured on the model's steps (step_cost.h), and only where work was waiting: steps of
// an idle model say nothing about a busy one. Before there are enough of those nothing is forecast.
//
// Two rules keep a wrong forecast from standing forever: where a place is free nothing is refused,
// and its error is followed, but never allowed more than a third of the time a request has.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "serve/admission/step_cost.h"

namespace sis::admission {

// What a request is known to bring before it is tokenised.
struct Size {
  int64_t bytes = 0;              // of its texts, or of its body
  int64_t tokens = 0;             // what is tokenised already, beside the bytes
  int32_t answer_tokens_max = 0;  // per sequence; 0: nothing is generated
  int32_t sequences = 1;          // that run beside each other (choices, prompts)
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
    Work work;
    bool running = false;
  };
  Entry estimate(const Size& size) const;
  // When a request of this work would start and finish, error not included; nullopt: not known yet.
  std::optional<Forecast> forecast(const Work& work) const;
  // How much longer than its forecast a request of this budget may take.
  Duration slack(Duration budget) const;
  // Whether a sequence more would run at once.
  bool has_free_place() const { return sequences_ < options_.parallel; }
  // Time the device needs for all that is here.
  Duration drain() const;

  void add(const Entry& entry);
  void remove(const Entry& entry);
  // Tokenised: its true prompt (0: others compute it).
  void correct(Entry& entry, int64_t prompt_tokens);
  void start(Entry& entry);  // the device has begun
  // Answered: what it generated per sequence, and how long it took against its forecast.
  void learn_answer(int64_t answer_tokens);
  void learn_error(Duration forecast, Duration actual);

  // One step of the model ended. What is left beside it tells whether the device was fully used.
  void on_step(TimePoint end, const Work& done, Duration compute);

  int64_t requests() const { return requests_; }
  const Work& work() const { return work_; }

 private:
  double seconds(const Work& work) const;  // on the device, as long as others share it as they do

  const BacklogOptions options_;
  StepCost cost_;
  Work work_;  // of all entries; running ones with half of their answers
  int64_t requests_ = 0, sequences_ = 0, running_ = 0;
  double tokens_per_byte_ = 0.25;
  double answer_tokens_ = -1;  // mean; below 0: none has ended yet
  double error_seconds_ = 0;   // that few requests exceed
};

}  // namespace sis::admission
