// Who runs in the next step, with how many tokens, and who has to wait: a policy on a given clock,
// without model or threads.
//
// Sequences wait in one line in order of arrival and nobody is overtaken. The first of the line is
// admitted when a place is free and the cache has blocks for all its tokens, less those it finds
// there, plus a small reserve; all these blocks are taken at once, so a prefill never runs short.
// Every step holds one row of each decoding sequence, then chunks of prefills in order of arrival
// in what is left of the step's tokens.
//
// A decoding sequence that needs a block when none is left takes it from the youngest: that one
// gives back all its blocks, returns to the line and computes its tokens again later (most of them
// are found in the cache). After `preemptions_max` of that a sequence is spared as long as there is
// another to choose. The oldest always runs on, so all come to their end.
//
// The cache's memory is fixed and a sequence alone always fits, so running out of blocks is the
// only shortage there is: no step fails for memory and no limit needs lowering afterwards.
// Executor thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "infer/engine/prefix_cache.h"

namespace sis::engine {

// Blocks of a cache of `blocks` that admissions beside others leave free.
constexpr int32_t admission_reserve(int32_t blocks) { return blocks / 64 > 1 ? blocks / 64 : 1; }
// Blocks that a cache wants so that `blocks` are left beside its reserve.
constexpr int64_t with_admission_reserve(int64_t blocks) { return blocks + blocks / 63 + 1; }

// One choice of one request. Who owns it fills the first part, the scheduler the rest.
struct Sequence {
  uint64_t order = 0;  // smaller is older; all different
  TimePoint submitted{};
  std::string_view salt;
  std::vector<int32_t> tokens;  // prompt and what was generated; grows by one per sampled token
  int32_t prompt_tokens = 0;
  bool sampled = true;  // logits of the last token are wanted
  int32_t scored = -1;  // prompt rows whose logits were seen already; -1: they are not wanted

  enum class State : uint8_t { kOutside, kWaiting, kRunning };
  State state = State::kOutside;
  bool fresh = true;       // not admitted yet
  bool prefilling = true;  // nothing sampled since the last admission
  int32_t computed = 0;    // tokens whose keys and values lie in `blocks`
  int32_t cached = 0;      // of the first admission: tokens found in the cache
  int32_t preemptions = 0;
  std::vector<int32_t> blocks;
  std::vector<BlockHash> hashes;  // of the full blocks, as far as they were needed
  int32_t published = 0;          // blocks made known, or found known
};

struct SchedulerOptions {
  int32_t sequences_max = 8;      // running
  int32_t step_tokens_max = 256;  // >= sequences_max
  int32_t scored_rows_max = 64;   // rows of prompt logits per step: their memory is bounded
  Duration queue_wait_max{};      // submit to first admission; 0: no limit
  Duration idle_window{};  // wait for company when nothing runs, never so long that it ages anyone
  int32_t preemptions_max = 3;
};

// What a sequence does in a step: computes tokens[past, past + tokens).
struct StepPart {
  Sequence* sequence = nullptr;
  int32_t past = 0;
  int32_t tokens = 0;
  int32_t scored_begin = 0, scored_end = 0;  // positions whose logits score the next prompt token
  bool sample = false;                       // the last row's logits choose a token
};

struct StepPlan {
  std::vector<StepPart> parts;
  int32_t prefill_tokens = 0, decode_rows = 0;
  std::vector<Sequence*> admitted;   // for the first time
  std::vector<Sequence*> preempted;  // back in line
  std::vector<Sequence*> expired;    // waited too long, no longer with the scheduler
  void clear();
};

class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, PrefixCache& cache);

  // Into the line, by its order. The sequence must stay where it is until it is removed.
  void add(Sequence& sequence);
  // `to` goes on where `from` is after commit(), before the next token was added to `from`: it
  // shares the full blocks and gets a copy of the last partial one. Its tokens are set already.
  // Without a free place or block it waits in line like one preempted.
  void fork(const Sequence& from, Sequence& to);
  // From wherever it is; its blocks are released.
  void remove(Sequence& sequence);

  // When there is something to do: now, at the end of the idle window, or never.
  std::optional<TimePoint> ready_at(TimePoint now) const;
  // Fills `plan` (its memory is reused), with `prefill_max` prompt tokens at most. Sequences
  // without new tokens must have been removed.
  void plan(TimePoint now, StepPlan& plan, int32_t prefill_max = INT32_MAX);
  // A plan of nothing but who has waited too long: for a device that computes nothing now.
  void plan_expired(TimePoint now, StepPlan& plan);
  // When the next one will have; never when nobody may.
  std::optional<TimePoint> expires_at() const;
  // The plan was computed: counts it and makes full blocks known.
  void commit(const StepPlan& plan);

  int32_t waiting() const { return static_cast<int32_t>(line_.size()); }
  int32_t waiting_fresh() const;  // of these, never admitted
  int32_t running() const { return static_cast<int32_t>(running_.size()); }
  int32_t decoding() const;  // of the running ones, behind their prompt

 private:
  void expire(TimePoint now, StepPlan& plan);
  void take_decode_blocks(StepPlan& plan);
  Sequence& victim() const;
  void preempt(Sequence& sequence, StepPlan& plan);
  bool admit(Sequence& sequence);
  void add_chunk(Sequence& sequence, StepPlan& plan, int32_t& tokens_left, int32_t& scored_left);
  std::optional<TimePoint> idle_until() const;
  // The key of full block `index`, given that the blocks before it are in sequence.blocks.
  BlockKey key(Sequence& sequence, int32_t index) const;
  void publish(Sequence& sequence);
  void release_blocks(Sequence& sequence);

  const SchedulerOptions options_;
  PrefixCache& cache_;
  const int32_t reserve_blocks_;    // left free by admissions beside others
  std::vector<Sequence*> line_;     // by order
  std::vector<Sequence*> running_;  // by order
};

}  // namespace sis::engine
