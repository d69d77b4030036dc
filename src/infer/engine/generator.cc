#include "infer/engine/generator.h"

#include <cmath>
#include <new>

#include "base/strings.h"
#include "infer/engine/lane.h"

namespace sis::engine {
namespace {

class LaneGenerator final : public Generator {
 public:
  LaneGenerator(const nn::Decoder& decoder, const GeneratorOptions& options, int32_t blocks,
                DeviceExecutor& executor, TaskPool& masks, const Clock& clock,
                GeneratorObserver& observer)
      : options_(options),
        executor_(executor),
        lane_(decoder, options, blocks, masks, clock, observer, [&executor] { executor.wake(); }) {
    executor_.add(lane_, options.lane_weight);
  }
  ~LaneGenerator() override {
    lane_.close();
    executor_.call([this](ops::Context&) {
      lane_.abort(Error{Code::kUnavailable, "generator: closing"});
    });
    executor_.remove(lane_);
    lane_.disconnect();
  }
  Result<std::unique_ptr<Ticket>> submit(GenerateRequest request,
                                         std::shared_ptr<TokenSink> sink) override {
    return lane_.submit(std::move(request), std::move(sink));
  }
  void close() override { lane_.close(); }
  GeneratorGauges gauges() const override { return lane_.gauges(); }
  const GeneratorOptions& options() const override { return options_; }

 private:
  const GeneratorOptions options_;
  DeviceExecutor& executor_;
  GeneratorLane lane_;
};

Error refused(const char* option, const std::string& message) {
  return {Code::kInvalidArgument, concat("generator: ", option, ": ", message)};
}

std::string in_mb(int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

// How many blocks kv_bytes holds, if one sequence of context_max fits.
Result<int32_t> plan_blocks(const GeneratorOptions& options, const kernels::KvLayout& layout) {
  const int64_t block_bytes = layout.block_bytes();
  const int64_t blocks = std::max<int64_t>(0, options.kv_bytes) / block_bytes;
  const int64_t wanted = blocks_for(options.context_max);
  if (blocks < wanted)
    return refused("kv_bytes",
                   concat("want at least ", in_mb(wanted * block_bytes), " for one sequence of ",
                          options.context_max, " tokens, got ", in_mb(options.kv_bytes),
                          " with room for ", blocks * kKvBlockTokens, " tokens"));
  if (blocks > INT32_MAX / kKvBlockTokens)
    return refused("kv_bytes",
                   concat("want at most ", in_mb(INT32_MAX / kKvBlockTokens * block_bytes),
                          ", got ", in_mb(options.kv_bytes)));
  return static_cast<int32_t>(blocks);
}

Status check_options(const GeneratorOptions& options, int32_t model_tokens_max) {
  if (options.context_max < 1 || options.context_max > model_tokens_max)
    return refused("context_max", concat("want 1 to the model's ", model_tokens_max,
                                         " tokens, got ", options.context_max));
  if (options.sequences_max < 1)
    return refused("sequences_max", concat("want at least 1, got ", options.sequences_max));
  // Otherwise decoding could leave no room to prefill at all.
  if (options.step_tokens_max < options.sequences_max)
    return refused("step_tokens_max",
                   concat("want at least sequences_max = ", options.sequences_max, ", got ",
                          options.step_tokens_max));
  if (options.queue_requests_max < 1)
    return refused("queue_requests_max",
                   concat("want at least 1, got ", options.queue_requests_max));
  if (options.queue_wait_max < Duration{} || options.idle_window < Duration{})
    return refused("queue_wait_max, idle_window", "want no negative times");
  if (options.preemptions_max < 0)
    return refused("preemptions_max", concat("want at least 0, got ", options.preemptions_max));
  if (!(options.lane_weight > 0 && std::isfinite(options.lane_weight)))
    return refused("lane_weight", concat("want above 0, got ", options.lane_weight));
  return {};
}

}  // namespace

Result<std::unique_ptr<Generator>> Generator::create(const nn::Decoder& decoder,
                                                     const GeneratorOptions& options,
                                                     DeviceExecutor& executor, TaskPool& masks,
                                                     const Clock& clock,
                                                     GeneratorObserver& observer) {
  GeneratorOptions used = options;
  if (used.context_max == 0) used.context_max = decoder.info().tokens_max;
  SIS_TRY(check_options(used, decoder.info().tokens_max));
  SIS_ASSIGN(const int32_t blocks, plan_blocks(used, decoder.kv_layout()));
  try {
    return std::unique_ptr<Generator>(
        std::make_unique<LaneGenerator>(decoder, used, blocks, executor, masks, clock, observer));
  } catch (const std::bad_alloc&) {
    return Error{Code::kUnavailable,
                 concat("generator: kv_bytes: the system has no ", in_mb(used.kv_bytes), " left")};
  }
}

}  // namespace sis::engine
