// The Grammar and GrammarMatcher that compile() makes.
//
// A grammar's matchers share one Machine under a mutex: what one of them worked out the others
// find. A full machine is replaced by an empty one; matchers move over at their next call, and the
// old one goes with the last of them.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>

#include "infer/text/grammar/automaton.h"
#include "infer/text/grammar/grammar.h"
#include "infer/text/grammar/machine.h"
#include "infer/text/grammar/vocabulary.h"

namespace sis::text::grammar {

class CompiledGrammar;

class Matcher final : public GrammarMatcher {
 public:
  void mask(std::span<uint64_t> words) override;
  bool accept(int32_t token) override;
  bool complete() const override;
  bool finished() const override;
  bool exhausted() const override { return work_ > work_max_; }
  std::unique_ptr<GrammarMatcher> clone() const override;

  // Moves on by text that did not come as tokens. False, and nothing changes, when it is refused.
  bool accept_text(std::string_view text);

 private:
  friend class CompiledGrammar;
  // A machine in use and its lock.
  struct Shared;
  Matcher(std::shared_ptr<const CompiledGrammar> grammar, std::shared_ptr<Shared> shared,
          Machine::PlacesId places)
      : grammar_(std::move(grammar)), shared_(std::move(shared)), places_(places) {}
  void leave_full_machine();

  std::shared_ptr<const CompiledGrammar> grammar_;  // matchers may outlive their caller's Grammar
  std::shared_ptr<Shared> shared_;                  // with the other matchers on that machine
  Machine::PlacesId places_;
  // Of the machine for this matcher's masks. Schemas want thousands of steps for a new mask and
  // none for a known one; a grammar that wants millions for every token is not followed for long:
  // it would hold up everyone whose tokens are drawn in the same step.
  static constexpr uint64_t kWorkAtFirst = 8'000'000, kWorkPerMask = 16'000;
  uint64_t work_ = 0, work_max_ = kWorkAtFirst;
};

class CompiledGrammar final : public Grammar, public std::enable_shared_from_this<CompiledGrammar> {
 public:
  CompiledGrammar(Automaton automaton, std::shared_ptr<const GrammarVocabulary> vocabulary,
                  size_t cache_bytes);
  ~CompiledGrammar() override;

  std::unique_ptr<GrammarMatcher> start() const override;
  size_t bytes() const override;
  // False when already the empty text leads to more places than a machine follows.
  bool can_begin() const;

 private:
  friend class Matcher;
  // The machine that is not full; `full` is the caller's that is.
  std::shared_ptr<Matcher::Shared> machine_after(
      const std::shared_ptr<Matcher::Shared>& full) const;
  std::shared_ptr<Matcher::Shared> new_machine() const;

  const Automaton automaton_;
  const std::shared_ptr<const GrammarVocabulary> vocabulary_;
  const size_t cache_bytes_;
  mutable std::mutex mutex_;  // for current_
  mutable std::shared_ptr<Matcher::Shared> current_;
};

}  // namespace sis::text::grammar
