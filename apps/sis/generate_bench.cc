#include "generate_bench.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/kernels/peak.h"
#include "serve/server/embed_loader.h"

namespace sis::apps {
namespace {

struct Step {
  int32_t prefill = 0, decode = 0;
  double seconds = 0;
};

// Keeps what every step did.
class StepLog final : public engine::GeneratorObserver {
 public:
  void on_step(int32_t prefill_tokens, int32_t decode_rows, Duration compute) override {
    steps.push_back({prefill_tokens, decode_rows, to_seconds(compute)});
  }
  void on_admission(int32_t, Duration) override {}
  void on_preemption() override { ++preemptions; }
  void on_tokens_after_cancel(int32_t) override {}

  std::vector<Step> steps;  // executor's thread; read when nothing runs
  int preemptions = 0;
};

// Waits for the end of many requests.
class Gate {
 public:
  void add() { ++open_; }
  void done(const Result<engine::GenerateStats>& stats) {
    std::lock_guard lock(mutex_);
    if (!stats.ok() && error_.empty()) error_ = stats.error().message;
    --open_;
    changed_.notify_all();
  }
  std::string wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_ == 0; });
    return error_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int open_ = 0;
  std::string error_;
};

class CountingSink final : public engine::TokenSink {
 public:
  explicit CountingSink(Gate& gate) : gate_(gate) {}
  bool on_token(int32_t, const engine::TokenEvent&) override { return true; }
  void on_finish(int32_t, engine::Finish) override {}
  void on_end(Result<engine::GenerateStats> stats) override { gate_.done(stats); }

 private:
  Gate& gate_;
};

// The rate of memory: the best of several parts that together are more than the caches hold,
// because whatever disturbs a reading of milliseconds makes it lower.
class MemoryProbe {
 public:
  MemoryProbe() : buffer_(size_t{1} << 30) { std::memset(buffer_.data(), 1, buffer_.size()); }
  double bytes_per_second(ThreadTeam& team) {
    const size_t size = buffer_.size() / kParts;
    double best = 0;
    for (size_t part = 0; part < kParts; ++part)
      best = std::max(best, kernels::measure_read_rate(team, {buffer_.data() + part * size, size}));
    return best;
  }

 private:
  static constexpr size_t kParts = 4;
  Buffer buffer_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// Steps until the last of `batch` prompts is read, while the first ones decode already: so many
// tokens more let all of them decode together for `new_tokens` steps.
int64_t steps_of_prefill(const GenerateBenchOptions& options, int64_t batch, int32_t step_tokens) {
  return batch * options.prompt_tokens / std::max(int64_t{1}, step_tokens - batch) + 2;
}

// What a sequence generates.
int64_t tokens_of_answer(const GenerateBenchOptions& options, int64_t batch, int32_t step_tokens) {
  return options.new_tokens + steps_of_prefill(options, batch, step_tokens);
}

// One batch from nothing: its error, or empty.
std::string run_once(LocalChat& chat, const GenerateBenchOptions& options, int batch, Rng& rng) {
  Gate gate;
  std::vector<std::unique_ptr<engine::Generator::Ticket>> tickets;
  for (int i = 0; i < batch; ++i) gate.add();
  // No step runs before all have been submitted: the first would be done before the last began.
  chat.executor->call([&](ops::Context&) {
    for (int i = 0; i < batch; ++i) {
      engine::GenerateRequest request;
      for (int32_t t = 0; t < options.prompt_tokens; ++t)
        request.prompt.push_back(static_cast<int32_t>(
            rng.below(static_cast<uint64_t>(chat.model.decoder->info().vocab))));
      request.tokens_max = static_cast<int32_t>(
          tokens_of_answer(options, batch, chat.generator->options().step_tokens_max));
      request.ignore_eos = true;
      request.sampling = {.temperature = 0};
      auto ticket =
          chat.generator->submit(std::move(request), std::make_shared<CountingSink>(gate));
      if (!ticket.ok()) {
        gate.done(ticket.error());
        continue;
      }
      tickets.push_back(std::move(*ticket));
    }
  });
  return gate.wait();
}

// Which round runs, on a terminal.
class Progress {
 public:
  void show(int batch, int round, int rounds) {
    if (!terminal_) return;
    if (round == 0)
      std::fprintf(stderr, "\r\x1b[Kbatch %d: warming up", batch);
    else
      std::fprintf(stderr, "\r\x1b[Kbatch %d: round %d of %d", batch, round, rounds);
  }
  void clear() {
    if (terminal_) std::fputs("\r\x1b[K", stderr);
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
};

struct Row {
  double prefill_rate = 0, prefill_share = 0;  // tokens/s, of the multipliers' peak
  double decode_rate = 0, decode_share = 0;    // tokens/s, of the memory's rate
  double step_ms = 0;
};

Row measure(const nn::DecoderInfo& info, const kernels::KvLayout& layout,
            const std::vector<Step>& steps, int batch, const GenerateBenchOptions& options,
            double peak_flops, double memory_rate) {
  double prefill_tokens = 0, prefill_seconds = 0;
  std::vector<double> decode;
  for (const auto& step : steps) {
    if (step.decode == 0) {
      prefill_tokens += step.prefill;
      prefill_seconds += step.seconds;
    } else if (step.prefill == 0 && step.decode == batch) {
      decode.push_back(step.seconds);
    }
  }
  Row row;
  // 2 per weight and token, and 4 * head columns per pair of token and earlier token and layer.
  const double pairs = (options.prompt_tokens + 1) / 2.0;
  const double flops_per_token = 2.0 * static_cast<double>(info.linear_params) +
                                 4.0 * pairs * info.heads * info.head_dim * info.layers;
  if (prefill_seconds > 0) {
    row.prefill_rate = prefill_tokens / prefill_seconds;
    row.prefill_share = row.prefill_rate * flops_per_token / peak_flops;
  }
  const double step = median(decode);
  if (step > 0) {
    const double context = options.prompt_tokens + options.new_tokens / 2.0;
    const double kv_bytes =
        batch * context * static_cast<double>(layout.block_bytes()) / kernels::kKvBlockTokens;
    row.decode_rate = batch / step;
    row.step_ms = step * 1e3;
    row.decode_share = (static_cast<double>(info.step_bytes) + kv_bytes) / step / memory_rate;
  }
  return row;
}

}  // namespace

int run_generate_bench(LocalChatOptions model, const GenerateBenchOptions& options) {
  model.sequences = *std::max_element(options.batches.begin(), options.batches.end());
  model.prefix_cache = false;
  model.step_tokens = std::max(model.step_tokens, 2 * model.sequences);
  const int64_t context =
      options.prompt_tokens + tokens_of_answer(options, model.sequences, model.step_tokens);
  if (model.context == 0)
    model.context = static_cast<int32_t>(std::min<int64_t>(context, INT32_MAX));
  StepLog log;
  auto loaded = load_local_chat(model, log);
  if (!loaded.ok()) {
    std::fprintf(stderr, "sis generate: %s\n", loaded.error().message.c_str());
    return 1;
  }
  LocalChat& chat = **loaded;
  if (context > chat.plan.context) {
    std::fprintf(stderr,
                 "sis generate: --prompt-tokens, --new-tokens: %d and %d want a context of %lld "
                 "tokens (%d sequences begin one after another), this one has %d\n",
                 options.prompt_tokens, options.new_tokens, static_cast<long long>(context),
                 model.sequences, chat.plan.context);
    return 2;
  }
  const auto& info = chat.model.decoder->info();
  std::fprintf(stderr, "%s\nseed %llu, %d rounds, prompts of %d random tokens, %d new tokens\n",
               chat.summary().c_str(), static_cast<unsigned long long>(options.seed),
               options.rounds, options.prompt_tokens, options.new_tokens);
  DType compute = *server::choose_dtype(model.dtype, chat.executor->isa());
  if (compute == DType::kI4) compute = DType::kI8;  // what its products are done in

  Rng rng{options.seed};
  std::printf("%5s  %15s %9s  %15s %9s %9s\n", "batch", "prefill tok/s", "of peak", "decode tok/s",
              "of memory", "step ms");
  MemoryProbe probe;
  Progress progress;
  for (const int batch : options.batches) {
    std::vector<double> prefill, prefill_share, decode, decode_share, step;
    // The first round warms up.
    for (int round = 0; round <= options.rounds; ++round) {
      progress.show(batch, round, options.rounds);
      double peak = 0, memory = 0;
      // The walls are probed beside every round: neighbours and clocks change.
      chat.executor->call([&](ops::Context& context) {
        peak = kernels::measure_peak_flops(context.team, compute, context.isa);
        memory = probe.bytes_per_second(context.team);
      });
      log.steps.clear();
      const std::string error = run_once(chat, options, batch, rng);
      if (!error.empty()) {
        progress.clear();
        std::fprintf(stderr, "sis generate: %s\n", error.c_str());
        return 1;
      }
      if (round == 0) continue;
      Row row;
      chat.executor->call([&](ops::Context&) {  // after the last step's log entry
        row =
            measure(info, chat.model.decoder->kv_layout(), log.steps, batch, options, peak, memory);
      });
      prefill.push_back(row.prefill_rate);
      prefill_share.push_back(row.prefill_share);
      decode.push_back(row.decode_rate);
      decode_share.push_back(row.decode_share);
      step.push_back(row.step_ms);
    }
    progress.clear();
    std::printf("%5d  %15.0f %7.0f %%", batch, median(prefill), 100 * median(prefill_share));
    if (median(step) > 0)
      std::printf("  %15.1f %7.0f %% %9.2f\n", median(decode), 100 * median(decode_share),
                  median(step));
    else
      std::printf("  %15s %9s %9s\n", "-", "-", "-");
    std::fflush(stdout);
    if (median(step) == 0)
      std::fprintf(stderr, "batch %d: no step decoded all sequences together; %s\n", batch,
                   log.preemptions > 0 ? "a larger --kv-memory-mb would hold them"
                                       : "more --new-tokens would");
  }
  if (log.preemptions > 0)
    std::fprintf(stderr, "%d preemptions: the cache was too small for this\n", log.preemptions);
  return 0;
}

}  // namespace sis::apps
