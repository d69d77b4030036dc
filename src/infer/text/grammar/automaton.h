// A grammar as a pushdown automaton over bytes.
//
// Rules are nondeterministic automata whose edges take a byte, nothing, a whole special token, or a
// whole sentence of another rule. Counted repetition is a rule without stored states: its state i
// has seen i bodies, so {0,100000} costs nothing. finish() drops what can never be completed, so
// whatever the machine still holds can be.
//
// Built by one thread, then const; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/text/grammar/char_class.h"
#include "infer/text/grammar/effort.h"

namespace sis::text::grammar {

using StateId = uint32_t;
using RuleId = uint32_t;

inline constexpr uint32_t kUnbounded = UINT32_MAX;
inline constexpr uint32_t kRepeatMax = 1u << 24;  // largest count that can be asked for

struct Edge {
  enum class Kind : uint8_t { kBytes, kEmpty, kCall, kToken };
  Kind kind = Kind::kEmpty;
  uint8_t low = 0, high = 0;  // kBytes: both included
  StateId target = 0;
  uint32_t symbol = 0;  // kCall: the rule; kToken: the token id
};

struct Rule {
  std::string name;  // for messages
  StateId start = 0, end = 0;
  bool is_repeat = false;  // start is its state 0; `end` is unused
  RuleId body = 0;
  uint32_t min = 0, max = 0;  // max may be kUnbounded
  CharClassSet takes = 0;     // every single character of these classes is a sentence
  bool nullable = false;      // the empty text is a sentence; callers skip it themselves
  uint32_t rank = 0;          // rules that may begin with a call of this one have a lower rank

  uint32_t states() const { return is_repeat ? (max == kUnbounded ? min : max) + 1 : 0; }
};

class Automaton {
 public:
  const std::vector<Rule>& rules() const { return rules_; }
  RuleId root() const { return root_; }

  // Stored states have edges; the others are places in a repetition.
  bool is_stored(StateId state) const { return state < offsets_.size() - 1; }
  std::span<const Edge> edges(StateId state) const {
    return {edges_.data() + offsets_[state], edges_.data() + offsets_[state + 1]};
  }
  bool is_end(StateId state) const { return (marks_[state] & kEnd) != 0; }
  // The classes that the rule which begins here takes any character of.
  CharClassSet classes_from(StateId state) const { return marks_[state] >> kClassShift; }
  const Rule& repeat_of(StateId state) const;
  // Nothing but the return can follow: calls that lead here need no frame of their own.
  bool only_returns(StateId state) const;

  // Bytes that no edge tells apart have the same class.
  const std::array<uint8_t, 256>& byte_classes() const { return byte_classes_; }
  uint32_t classes() const { return classes_; }
  size_t bytes() const;

 private:
  friend class AutomatonBuilder;
  static constexpr uint8_t kEnd = 1;
  static constexpr int kClassShift = 1;  // behind it, CharClassSet of a rule's start

  std::vector<Rule> rules_;
  RuleId root_ = 0;
  std::vector<uint32_t> offsets_;
  std::vector<Edge> edges_;
  std::vector<uint8_t> marks_;
  std::vector<RuleId> repeats_;  // by their first state
  std::array<uint8_t, 256> byte_classes_{};
  uint32_t classes_ = 0;
};

class AutomatonBuilder {
 public:
  explicit AutomatonBuilder(Effort& effort) : effort_(&effort) {}

  // States cost effort; when there is none left all are state 0 and finish() fails.
  StateId add_state();
  RuleId add_rule(std::string name);
  // Of states that are already there: nothing may lead in but to `start`, nor out but from `end`.
  RuleId add_rule(std::string name, StateId start, StateId end);
  // min to max sentences of `body` one after another.
  RuleId add_repeat(RuleId body, uint32_t min, uint32_t max);
  Rule& rule(RuleId id) { return rules_[id]; }

  void bytes(StateId from, uint8_t low, uint8_t high, StateId to);
  void empty(StateId from, StateId to);
  void call(StateId from, RuleId rule, StateId to);
  void token(StateId from, int32_t id, StateId to);
  void literal(StateId from, std::string_view text, StateId to);
  // Any of the texts, sharing their beginnings.
  void literals(StateId from, std::vector<std::string> texts, StateId to);

  Effort& effort() { return *effort_; }
  // Errors: nothing can match, a rule that begins with itself, no effort left.
  Result<Automaton> finish(RuleId root);

 private:
  struct Pending {
    StateId from;
    Edge edge;
  };
  // States from which the end of their rule can be reached; `empty_only` without taking a byte.
  std::vector<uint8_t> states_that_end(bool empty_only, std::vector<uint8_t>& rules_that_end) const;
  void add(StateId from, Edge edge);
  void keep_useful_edges(const std::vector<uint8_t>& useful);
  void skip_empty_states();
  void drop_equal_empty_edges();
  Status rank_rules(Automaton& made) const;
  static void make_byte_classes(Automaton& made);

  Effort* effort_;
  StateId states_ = 0;
  std::vector<Pending> edges_;
  std::vector<Rule> rules_;
};

}  // namespace sis::text::grammar
