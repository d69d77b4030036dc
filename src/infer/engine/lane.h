// The generator's work on the device: takes requests in, runs one step at a time, hands tokens out.
//
// submit(), tickets, close() and gauges() on any thread; ready_at(), step() and abort() on the
// executor's. The two sides meet in an inbox behind a mutex that is held for moments only, never
// during a step.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "infer/engine/inbox.h"
#include "infer/engine/mask_work.h"
#include "infer/engine/request.h"
#include "infer/engine/sampler.h"
#include "infer/engine/step_pace.h"

namespace sis::engine {

class GeneratorLane final : public Lane {
 public:
  // `options` are checked and complete, `blocks` is what kv_bytes holds. `wake` tells the executor
  // that ready_at() has changed; it is not called after disconnect().
  GeneratorLane(const nn::Decoder& decoder, const GeneratorOptions& options, int32_t blocks,
                TaskPool& masks, const Clock& clock, GeneratorObserver& observer,
                std::function<void()> wake);
  ~GeneratorLane() override;

  Result<std::unique_ptr<Generator::Ticket>> submit(GenerateRequest request,
                                                    std::shared_ptr<TokenSink> sink);
  void close();
  void disconnect();
  GeneratorGauges gauges() const;

  std::optional<TimePoint> ready_at(TimePoint now) override;
  void step(ops::Context& context) override;
  // Ends what was admitted with kInternal and forgets all prefixes; who waits goes on waiting.
  void failed(const std::string& what) override;
  // Ends everything with this error.
  void abort(const Error& error);

  // For tests: every block is free or kept for later, when nothing runs.
  const PrefixCache& cache() const { return cache_; }

 private:
  using Requests = std::vector<std::shared_ptr<Request>>;

  void take_arrivals();
  void drop_cancelled();
  void report_plan(TimePoint now);
  void build_batch();
  void start_masks();
  void ask_sampler(Mat<float> logits);
  SampleRow question(const Choice& choice, int32_t index, const float* logits) const;
  void deliver(TimePoint now);
  void report_prompt(Request& request);
  void deliver_tokens(Choice& choice, std::span<const SampleRow> rows, TimePoint now);
  // How the choice ends with this token, if it does (or the whole request has ended).
  std::optional<Finish> deliver_token(Choice& choice, const SampleRow& row);
  void finish(Choice& choice, Finish finish);
  void end(Request& request, Result<GenerateStats> result);
  void leave(Request& request);  // without a word to the sink
  void waits_no_longer(Request& request);
  void forget_ended();
  void update_gauges();

  const nn::Decoder& decoder_;
  const GeneratorOptions options_;
  const int32_t vocab_;
  const Clock& clock_;
  GeneratorObserver& observer_;
  KvPool pool_;
  PrefixCache cache_;
  Scheduler scheduler_;
  StepPace pace_;
  MaskWork masks_;
  std::shared_ptr<Inbox> inbox_;  // shared with the tickets, which may outlive the generator

  Requests requests_;  // waiting and running; ended ones until the end of the step
  uint64_t arrivals_ = 0;

  // Of the step in progress; kept for their memory.
  StepPlan plan_;
  Requests arrived_;
  std::vector<int32_t> ids_;
  std::vector<ops::KvRows> kv_rows_;
  std::vector<int32_t> logit_rows_;
  std::vector<SampleRow> rows_;
  std::vector<TokenLogprob> top_;

  std::atomic<int32_t> preempted_{0}, running_{0}, used_{0}, cached_{0};
};

}  // namespace sis::engine
