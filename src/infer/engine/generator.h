// Generates for many requests at once with one decoder: continuous batching over a paged cache.
//
// Requests wait in order of arrival, enter the running set when the cache has room for their
// prompt, are prefilled in chunks beside the decoding of others, and leave on their last token.
// When blocks run out the youngest sequence gives its blocks back and is computed again later;
// nothing a client sees changes by that. Full blocks stay in the cache after their sequence and are
// shared by every prompt that begins the same way under the same salt.
//
// The cache's memory is fixed from the start, so a step never runs out of memory: where a server
// would halve its batch and cool down, preemption delays one sequence.
//
// submit() and cancelling from any thread; the sinks are called on the executor's thread. A
// sequence's tokens depend on its request alone: not on company, chunks, sharing or preemption.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task_pool.h"
#include "infer/engine/device_executor.h"
#include "infer/nn/decoder.h"
#include "infer/text/grammar/grammar.h"

namespace sis::engine {

// How one token is chosen from its logits, in this order: grammar mask and logit_bias, penalties,
// temperature, top_k, top_p, min_p, draw.
struct Sampling {
  float temperature = 1;  // 0 (below 1e-5): the largest logit; ties go to the lowest id
  float top_p = 1;        // (0, 1]
  int32_t top_k = 0;      // 0: all
  float min_p = 0;        // [0, 1]
  float frequency_penalty = 0, presence_penalty = 0;  // over generated tokens
  float repetition_penalty = 1;                       // over prompt and generated tokens, > 0
  std::vector<std::pair<int32_t, float>> logit_bias;  // id, added
  uint64_t seed = 0;  // choice k draws as choice 0 with seed + k would
};

struct GenerateRequest {
  std::vector<int32_t> prompt;  // at least one token, all inside the vocabulary
  int32_t tokens_max = 0;       // per choice; 0: only score the prompt, choices end with kLength
  int32_t tokens_min = 0;       // until then eos_ids and stop_ids are not sampled
  int32_t choices = 1;          // at most 128; prefilled once
  Sampling sampling;
  std::vector<int32_t> eos_ids;   // end the choice, reported as its last token; may lie outside
                                  // the vocabulary
  std::vector<int32_t> stop_ids;  // the same, by the client's wish
  bool ignore_eos = false;        // eos_ids are tokens like others; under a grammar, never sampled
  int32_t logprobs = -1;          // -1: none; k <= 32: of the token and of the k most likely ones
  bool prompt_logprobs = false;   // also for the prompt's tokens but the first, with as many others
  std::shared_ptr<const text::Grammar> grammar;  // null: anything
  std::string cache_salt;                        // prompts share blocks under equal salts only
};

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural, of the model's own distribution (before bias and temperature)
};

struct TokenEvent {
  int32_t id = 0;
  float logprob = 0;                  // when asked for
  std::span<const TokenLogprob> top;  // when asked for, most likely first
};

enum class Finish : uint8_t {
  kEos,      // sampled one of eos_ids
  kStopId,   // sampled one of stop_ids
  kSink,     // on_token() said no more
  kLength,   // tokens_max reached, or the context is full
  kGrammar,  // the text is complete and nothing but the end could follow; maybe no last token
};

struct GenerateStats {
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;  // of the prompt, found in the cache at the first admission
  int32_t preemptions = 0;    // of all choices
  Duration queue{};           // submit to admission
  Duration prefill{};         // admission to the first token
};

// Called on the executor's thread, in order; must be cheap and must not call back into the
// generator, but may destroy its own ticket. Nothing is called after the ticket's destruction has
// returned.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  virtual void on_admitted(const GenerateStats& stats) { (void)stats; }
  // Once and before the first token: tokens 1 .. of the prompt.
  virtual void on_prompt_logprobs(std::span<const TokenEvent> events) { (void)events; }
  // False ends the choice after this token.
  virtual bool on_token(int32_t choice, const TokenEvent& event) = 0;
  virtual void on_finish(int32_t choice, Finish finish) = 0;
  // Once, after the last on_finish() or instead of what is missing. Errors: kOverloaded (queue wait
  // over its limit), kUnavailable (the generator is destroyed), kInternal (logits not finite, a
  // grammar that contradicts itself or leads to a text that no token goes on with). Who was
  // admitted is never refused for lack of memory.
  virtual void on_end(Result<GenerateStats> stats) = 0;
};

struct GeneratorOptions {
  int32_t sequences_max = 8;      // decoding together
  int32_t step_tokens_max = 256;  // rows per step; decode rows first, the rest is prefill; at least
                                  // sequences_max
  double step_stretch = 2;        // a step with decoding sequences may take so many times a step of
                                  // theirs alone, for each prompt to compute; 0: no such limit
  int32_t queue_requests_max = 64;            // not admitted yet
  Duration queue_wait_max = from_seconds(2);  // submit to admission; 0: no limit
  Duration idle_window{};   // wait for company when nothing runs; half of queue_wait_max at most
  int32_t context_max = 0;  // tokens per sequence, prompt included; 0: the model's
  int64_t kv_bytes = 0;     // the cache's memory, rounded down to blocks
  int32_t preemptions_max = 3;  // per sequence, then others give theirs first; 0: no limit
  bool prefix_cache = true;
  double lane_weight = 1;
};

struct GeneratorGauges {
  int32_t waiting = 0;  // requests not admitted, and sequences that were preempted
  int32_t running = 0;  // sequences
  int32_t blocks_total = 0, blocks_used = 0, blocks_cached = 0;  // cached: kept, nobody uses them
};

// What the generator tells about itself; executor's thread, must be cheap.
class GeneratorObserver {
 public:
  virtual ~GeneratorObserver() = default;
  virtual void on_step(int32_t prefill_tokens, int32_t decode_rows, Duration compute) = 0;
  virtual void on_admission(int32_t running, Duration waited) = 0;
  virtual void on_preemption() = 0;
  virtual void on_tokens_after_cancel(int32_t tokens) = 0;  // rows computed for nobody
  // The line was full for a newcomer: so many wait. The submitting thread.
  virtual void on_line_full(int32_t /*waiting*/) {}
  // So many left the line because they had waited too long, the oldest for so long; others wait on.
  virtual void on_line_expired(int32_t /*dropped*/, int32_t /*waiting*/, Duration /*oldest*/) {}
  // A step or a mask ended with an exception, which its requests hear of without `what`.
  virtual void on_failure(const std::string& what) { (void)what; }
};

class Generator {
 public:
  // Maps the cache's memory. kInvalidArgument for an option out of its range, naming it, and when
  // kv_bytes does not hold one sequence of context_max; kUnavailable when there is no such memory.
  // `masks` computes grammar masks beside the forward pass. Keeps references to all of these.
  static Result<std::unique_ptr<Generator>> create(const nn::Decoder& decoder,
                                                   const GeneratorOptions& options,
                                                   DeviceExecutor& executor, TaskPool& masks,
                                                   const Clock& clock, GeneratorObserver& observer);
  virtual ~Generator() = default;  // what is unfinished ends with kUnavailable

  // Destroying it cancels the request: waits at most for a callback in progress; the blocks return
  // within one step.
  class Ticket {
   public:
    virtual ~Ticket() = default;
  };
  // kInvalidArgument with `param` (id outside the vocabulary, a value out of its range; for a
  // prompt that leaves no room in the context with the reason "context_length_exceeded"),
  // kOverloaded (the line is full), kUnavailable (closing). The sink is kept until the ticket is
  // destroyed. Tickets may outlive the generator.
  virtual Result<std::unique_ptr<Ticket>> submit(GenerateRequest request,
                                                 std::shared_ptr<TokenSink> sink) = 0;
  virtual void close() = 0;  // refuses new requests; what was accepted, waiting or not, runs on
  virtual GeneratorGauges gauges() const = 0;
  virtual const GeneratorOptions& options() const = 0;  // as used: context_max resolved
};

}  // namespace sis::engine
