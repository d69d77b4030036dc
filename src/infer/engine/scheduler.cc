#include "infer/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace sis::engine {
namespace {

bool older(const Sequence* a, const Sequence* b) { return a->order < b->order; }

void insert_by_order(std::vector<Sequence*>& list, Sequence& sequence) {
  list.insert(std::ranges::upper_bound(list, &sequence, older), &sequence);
}

int32_t length(const Sequence& sequence) { return static_cast<int32_t>(sequence.tokens.size()); }

}  // namespace

void StepPlan::clear() {
  parts.clear();
  prefill_tokens = decode_rows = 0;
  admitted.clear();
  preempted.clear();
  expired.clear();
}

Scheduler::Scheduler(const SchedulerOptions& options, PrefixCache& cache)
    : options_(options), cache_(cache), reserve_blocks_(admission_reserve(cache.blocks())) {
  SIS_CHECK(options.sequences_max >= 1 && options.step_tokens_max >= options.sequences_max &&
                options.scored_rows_max >= 1,
            "sequences_max=", options.sequences_max, " step_tokens_max=", options.step_tokens_max);
  running_.reserve(static_cast<size_t>(options.sequences_max));
}

void Scheduler::add(Sequence& sequence) {
  SIS_CHECK(sequence.state == Sequence::State::kOutside, "order=", sequence.order);
  sequence.state = Sequence::State::kWaiting;
  insert_by_order(line_, sequence);
}

void Scheduler::fork(const Sequence& from, Sequence& to) {
  SIS_CHECK(from.state == Sequence::State::kRunning && to.state == Sequence::State::kOutside,
            "order=", from.order, " to order=", to.order);
  to.fresh = false;
  to.hashes = from.hashes;
  const bool partial = from.computed % kKvBlockTokens != 0;
  const bool place = running() < options_.sequences_max;
  const int32_t copy = place && partial ? cache_.take() : KvPool::kNone;
  if (!place || (partial && copy == KvPool::kNone)) {
    add(to);
    return;
  }
  to.blocks.assign(from.blocks.begin(), from.blocks.begin() + from.computed / kKvBlockTokens);
  for (const int32_t block : to.blocks) cache_.add_reference(block);
  if (partial) {
    cache_.pool().copy(from.blocks[to.blocks.size()], copy);
    to.blocks.push_back(copy);
  }
  to.computed = from.computed;
  to.published = from.published;
  to.prefilling = false;
  to.state = Sequence::State::kRunning;
  insert_by_order(running_, to);
}

void Scheduler::remove(Sequence& sequence) {
  if (sequence.state == Sequence::State::kOutside) return;
  std::erase(sequence.state == Sequence::State::kWaiting ? line_ : running_, &sequence);
  release_blocks(sequence);
  sequence.state = Sequence::State::kOutside;
}

int32_t Scheduler::waiting_fresh() const {
  return static_cast<int32_t>(
      std::ranges::count_if(line_, [](const Sequence* s) { return s->fresh; }));
}

int32_t Scheduler::decoding() const {
  return static_cast<int32_t>(
      std::ranges::count_if(running_, [](const Sequence* s) { return !s->prefilling; }));
}

std::optional<TimePoint> Scheduler::idle_until() const {
  if (line_.empty() || !running_.empty()) return std::nullopt;
  const Sequence& first = *line_.front();
  if (!first.fresh || waiting() >= options_.sequences_max) return std::nullopt;
  Duration window = options_.idle_window;
  if (options_.queue_wait_max > Duration{}) window = std::min(window, options_.queue_wait_max / 2);
  return first.submitted + window;
}

std::optional<TimePoint> Scheduler::ready_at(TimePoint now) const {
  if (running_.empty() && line_.empty()) return std::nullopt;
  const auto until = idle_until();
  return until && *until > now ? *until : now;
}

void Scheduler::plan(TimePoint now, StepPlan& plan, int32_t prefill_max) {
  plan.clear();
  expire(now, plan);
  take_decode_blocks(plan);
  for (Sequence* sequence : running_)
    if (!sequence->prefilling) {
      plan.parts.push_back(
          {.sequence = sequence, .past = sequence->computed, .tokens = 1, .sample = true});
      ++plan.decode_rows;
    }
  int32_t tokens_left = std::min(options_.step_tokens_max - plan.decode_rows, prefill_max);
  int32_t scored_left = options_.scored_rows_max;
  for (Sequence* sequence : running_)
    if (sequence->prefilling) add_chunk(*sequence, plan, tokens_left, scored_left);
  if (const auto until = idle_until(); until && *until > now) return;
  while (tokens_left > 0 && !line_.empty() && running() < options_.sequences_max) {
    Sequence& sequence = *line_.front();
    if (!admit(sequence)) break;
    if (std::exchange(sequence.fresh, false)) {
      sequence.cached = sequence.computed;
      plan.admitted.push_back(&sequence);
    }
    add_chunk(sequence, plan, tokens_left, scored_left);
  }
}

void Scheduler::plan_expired(TimePoint now, StepPlan& plan) {
  plan.clear();
  expire(now, plan);
}

std::optional<TimePoint> Scheduler::expires_at() const {
  if (options_.queue_wait_max <= Duration{}) return std::nullopt;
  std::optional<TimePoint> earliest;
  for (const Sequence* sequence : line_)
    if (sequence->fresh)
      earliest = std::min(earliest.value_or(TimePoint::max()), sequence->submitted);
  if (!earliest) return std::nullopt;
  return *earliest + options_.queue_wait_max + Duration(1);  // over the limit, not at it
}

void Scheduler::expire(TimePoint now, StepPlan& plan) {
  if (options_.queue_wait_max <= Duration{}) return;
  const auto late = [&](Sequence* sequence) {
    return sequence->fresh && now - sequence->submitted > options_.queue_wait_max;
  };
  for (Sequence* sequence : line_)
    if (late(sequence)) {
      sequence->state = Sequence::State::kOutside;
      plan.expired.push_back(sequence);
    }
  if (!plan.expired.empty()) std::erase_if(line_, late);
}

// A place for the next token of every decoding sequence, the oldest first.
void Scheduler::take_decode_blocks(StepPlan& plan) {
  for (size_t i = 0; i < running_.size();) {
    Sequence& sequence = *running_[i];
    if (!sequence.prefilling &&
        blocks_for(sequence.computed + 1) > static_cast<int32_t>(sequence.blocks.size())) {
      const int32_t block = cache_.take();
      if (block == KvPool::kNone) {
        Sequence& loser = victim();
        preempt(loser, plan);
        if (older(&loser, &sequence)) --i;  // everyone moved up by one
        continue;
      }
      sequence.blocks.push_back(block);
    }
    ++i;
  }
}

Sequence& Scheduler::victim() const {
  SIS_CHECK(running_.size() > 1, "a sequence alone does not fit into ", cache_.blocks(), " blocks");
  for (size_t i = running_.size(); i-- > 0;)
    if (options_.preemptions_max == 0 || running_[i]->preemptions < options_.preemptions_max)
      return *running_[i];
  return *running_.back();
}

void Scheduler::preempt(Sequence& sequence, StepPlan& plan) {
  std::erase(running_, &sequence);
  release_blocks(sequence);
  sequence.prefilling = true;
  ++sequence.preemptions;
  sequence.state = Sequence::State::kOutside;
  add(sequence);
  plan.preempted.push_back(&sequence);
}

bool Scheduler::admit(Sequence& sequence) {
  // The last token is always computed: its logits are wanted. So are those of every row that is to
  // be scored.
  const int32_t rows_known =
      sequence.scored < 0 ? length(sequence) - 1 : std::min(sequence.scored, length(sequence) - 1);
  const int32_t known_max = cache_.keeps() ? rows_known / kKvBlockTokens : 0;
  constexpr size_t kBlocksToCome = 8;  // room, so that decoding hardly allocates
  const auto blocks_soon = static_cast<size_t>(blocks_for(length(sequence))) + kBlocksToCome;
  sequence.blocks.reserve(blocks_soon);
  if (cache_.keeps()) sequence.hashes.reserve(blocks_soon);
  int32_t from_cached = 0;  // found blocks that count as available until they are taken
  for (int32_t i = 0; i < known_max; ++i) {
    const int32_t block = cache_.find(key(sequence, i));
    if (block == KvPool::kNone) break;
    if (!cache_.referenced(block)) ++from_cached;
    sequence.blocks.push_back(block);
  }
  const int32_t found = static_cast<int32_t>(sequence.blocks.size());
  const int32_t missing = blocks_for(length(sequence)) - found;
  // The reserve also keeps a sequence from taking back at once what it just lost.
  const int32_t reserve = running_.empty() ? 0 : reserve_blocks_;
  if (missing + from_cached + reserve > cache_.blocks_available()) {
    SIS_CHECK(!running_.empty(), "order=", sequence.order, " needs ", missing, " blocks more");
    sequence.blocks.clear();
    return false;
  }
  for (const int32_t block : sequence.blocks) cache_.add_reference(block);
  for (int32_t i = 0; i < missing; ++i) sequence.blocks.push_back(cache_.take());
  sequence.computed = found * kKvBlockTokens;
  sequence.published = found;
  sequence.prefilling = true;
  line_.erase(line_.begin());
  sequence.state = Sequence::State::kRunning;
  insert_by_order(running_, sequence);
  return true;
}

void Scheduler::add_chunk(Sequence& sequence, StepPlan& plan, int32_t& tokens_left,
                          int32_t& scored_left) {
  StepPart part{.sequence = &sequence, .past = sequence.computed};
  int32_t end = std::min(length(sequence), part.past + tokens_left);
  if (sequence.scored >= 0) {
    const int32_t last = sequence.prompt_tokens - 1;  // its row scores nothing of the prompt
    part.scored_begin = std::min(std::max(part.past, sequence.scored), last);
    if (part.scored_begin + scored_left < last)
      end = std::min(end, part.scored_begin + scored_left);
    part.scored_end = std::max(part.scored_begin, std::min(end, last));
    scored_left -= part.scored_end - part.scored_begin;
  }
  part.tokens = end - part.past;
  if (part.tokens <= 0) return;
  part.sample = sequence.sampled && end == length(sequence);
  tokens_left -= part.tokens;
  plan.prefill_tokens += part.tokens;
  plan.parts.push_back(part);
}

void Scheduler::commit(const StepPlan& plan) {
  for (const StepPart& part : plan.parts) {
    Sequence& sequence = *part.sequence;
    sequence.computed = part.past + part.tokens;
    if (part.scored_end > part.scored_begin) sequence.scored = part.scored_end;
    if (sequence.computed == length(sequence)) sequence.prefilling = false;
    publish(sequence);
  }
}

BlockKey Scheduler::key(Sequence& sequence, int32_t index) const {
  const auto at = static_cast<size_t>(index);
  const std::span<const int32_t> ids =
      std::span(sequence.tokens).subspan(at * kKvBlockTokens, kKvBlockTokens);
  if (sequence.hashes.size() == at)
    sequence.hashes.push_back(
        block_hash(at == 0 ? salt_hash(sequence.salt) : sequence.hashes.back(), ids));
  return {sequence.hashes[at], ids, at == 0 ? KvPool::kNone : sequence.blocks[at - 1],
          sequence.salt};
}

void Scheduler::publish(Sequence& sequence) {
  if (!cache_.keeps()) return;
  for (; sequence.published < sequence.computed / kKvBlockTokens; ++sequence.published) {
    const int32_t index = sequence.published;
    int32_t& block = sequence.blocks[static_cast<size_t>(index)];
    block = cache_.publish(key(sequence, index), block);
  }
}

void Scheduler::release_blocks(Sequence& sequence) {
  for (size_t i = sequence.blocks.size(); i-- > 0;) cache_.release(sequence.blocks[i]);
  sequence.blocks.clear();
  sequence.computed = sequence.published = 0;
}

}  // namespace sis::engine
