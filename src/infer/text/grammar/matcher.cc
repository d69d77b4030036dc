#include "infer/text/grammar/matcher.h"

#include <algorithm>
#include <atomic>

#include "base/check.h"

namespace sis::text::grammar {

struct Matcher::Shared {
  Shared(const Automaton& automaton, const GrammarVocabulary& vocabulary, size_t bytes_max)
      : machine(automaton, vocabulary, bytes_max), bytes(machine.bytes()) {}
  // Under the mutex, after anything that may have made the machine larger.
  void note_size() { bytes.store(machine.bytes(), std::memory_order_relaxed); }

  mutable std::mutex mutex;
  Machine machine;
  std::atomic<size_t> bytes;  // caches ask while a mask is made
};

// --- Matcher ---

void Matcher::leave_full_machine() {
  {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->machine.is_full()) return;
  }
  std::shared_ptr<Shared> next = grammar_->machine_after(shared_);
  if (next == shared_) return;
  const std::scoped_lock lock(shared_->mutex, next->mutex);
  places_ = next->machine.adopt(shared_->machine, places_);
  next->note_size();
  shared_.swap(next);  // the old machine goes after its lock
}

void Matcher::mask(std::span<uint64_t> words) {
  SIS_CHECK(words.size() == grammar_->vocabulary_->mask_words(), "mask of ", words.size(),
            " words, want ", grammar_->vocabulary_->mask_words());
  leave_full_machine();
  const std::lock_guard lock(shared_->mutex);
  if (exhausted()) {
    std::fill(words.begin(), words.end(), 0);
    return;
  }
  const uint64_t before = shared_->machine.work();
  shared_->machine.mask(places_, words);
  work_ += shared_->machine.work() - before;
  work_max_ += kWorkPerMask;
  shared_->note_size();
}

bool Matcher::accept(int32_t token) {
  const GrammarVocabulary& vocabulary = *grammar_->vocabulary_;
  if (vocabulary.is_eos(token)) return complete();
  if (!vocabulary.is_control(token)) {
    const std::string_view bytes = vocabulary.token_bytes(token);
    // What no mask allows is not taken either.
    return !bytes.empty() && bytes.size() <= TokenTrie::kTokenBytesMax && accept_text(bytes);
  }
  leave_full_machine();
  const std::lock_guard lock(shared_->mutex);
  const Machine::PlacesId next = shared_->machine.step_control(places_, token);
  shared_->note_size();
  if (next == Machine::kDead) return false;
  places_ = next;
  return true;
}

bool Matcher::accept_text(std::string_view text) {
  leave_full_machine();
  const std::lock_guard lock(shared_->mutex);
  const Machine::PlacesId next = shared_->machine.step(places_, text);
  shared_->note_size();
  if (next == Machine::kDead) return false;
  places_ = next;
  return true;
}

bool Matcher::complete() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->machine.is_complete(places_);
}

bool Matcher::finished() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->machine.is_finished(places_);
}

std::unique_ptr<GrammarMatcher> Matcher::clone() const {
  return std::unique_ptr<GrammarMatcher>(new Matcher(*this));
}

// --- CompiledGrammar ---

CompiledGrammar::CompiledGrammar(Automaton automaton,
                                 std::shared_ptr<const GrammarVocabulary> vocabulary,
                                 size_t cache_bytes)
    : automaton_(std::move(automaton)),
      vocabulary_(std::move(vocabulary)),
      cache_bytes_(cache_bytes),
      current_(new_machine()) {}

CompiledGrammar::~CompiledGrammar() = default;

std::shared_ptr<Matcher::Shared> CompiledGrammar::new_machine() const {
  return std::make_shared<Matcher::Shared>(automaton_, *vocabulary_, cache_bytes_);
}

std::shared_ptr<Matcher::Shared> CompiledGrammar::machine_after(
    const std::shared_ptr<Matcher::Shared>& full) const {
  const std::lock_guard lock(mutex_);
  if (current_ == full) current_ = new_machine();
  return current_;
}

std::unique_ptr<GrammarMatcher> CompiledGrammar::start() const {
  std::shared_ptr<Matcher::Shared> shared;
  {
    const std::lock_guard lock(mutex_);
    shared = current_;
  }
  const Machine::PlacesId places = shared->machine.start();
  return std::unique_ptr<GrammarMatcher>(
      new Matcher(shared_from_this(), std::move(shared), places));
}

bool CompiledGrammar::can_begin() const {
  const std::lock_guard lock(mutex_);
  return current_->machine.start() != Machine::kDead;
}

size_t CompiledGrammar::bytes() const {
  const std::lock_guard lock(mutex_);
  return automaton_.bytes() + current_->bytes.load(std::memory_order_relaxed);
}

}  // namespace sis::text::grammar
