#include "infer/text/grammar/string_rules.h"

#include <algorithm>
#include <map>

#include "infer/text/grammar/char_set.h"

namespace sis::text::grammar {
namespace {

constexpr int kNone = -1;  // no state

// A deterministic automaton over letters; a letter is a class of characters that nothing here tells
// apart. What it makes on the way is charged to the compilation's Effort; when that is over the
// answers mean nothing any more, so who asks looks at it.
class LetterAutomaton {
 public:
  virtual ~LetterAutomaton() = default;
  virtual int start() = 0;
  virtual int next(int state, size_t letter) = 0;  // kNone: none
  virtual bool is_end(int state) const = 0;
};

// Classes of characters, split so that no set cuts one.
class Alphabet {
 public:
  void split_by(const Regex& regex) {
    for (const CharSet::Range& range : regex.chars.ranges()) split_at(range);
    for (const Regex& part : regex.parts) split_by(part);
  }
  void split_by(char32_t c) { split_at({c, c}); }
  Status finish(Effort& effort) {
    effort.work(static_cast<int64_t>(cuts_.size()) * 16);
    SIS_TRY(effort.status());
    std::sort(cuts_.begin(), cuts_.end());
    cuts_.erase(std::unique(cuts_.begin(), cuts_.end()), cuts_.end());
    char32_t begin = 0;
    for (const char32_t cut : cuts_) {
      add(begin, cut - 1);
      begin = cut;
    }
    add(begin, 0x10FFFF);
    return {};
  }

  size_t size() const { return letters_.size(); }
  char32_t first_char(size_t letter) const { return letters_[letter].ranges()[0].low; }
  const CharSet& chars(size_t letter) const { return letters_[letter]; }
  // Letters stand in the order of their characters.
  size_t letter_of(char32_t c) const {
    const auto behind = std::upper_bound(
        letters_.begin(), letters_.end(), c,
        [](char32_t one, const CharSet& set) { return one < set.ranges()[0].low; });
    return static_cast<size_t>(behind - letters_.begin()) - 1;  // the first one begins at 0
  }

 private:
  void split_at(CharSet::Range range) {
    if (range.low > 0) cuts_.push_back(range.low);
    if (range.high < 0x10FFFF) cuts_.push_back(range.high + 1);
  }
  void add(char32_t low, char32_t high) {
    CharSet set;
    set.add(low, high);
    if (!set.empty()) letters_.push_back(std::move(set));
  }
  std::vector<char32_t> cuts_;
  std::vector<CharSet> letters_;
};

class LengthAutomaton final : public LetterAutomaton {
 public:
  LengthAutomaton(uint32_t min, uint32_t max) : min_(min), max_(max) {}
  int start() override { return 0; }
  int next(int state, size_t) override {
    const auto length = static_cast<uint32_t>(state);
    if (max_ == kUnbounded) return static_cast<int>(std::min(length + 1, min_));
    return length < max_ ? state + 1 : kNone;
  }
  bool is_end(int state) const override { return static_cast<uint32_t>(state) >= min_; }

 private:
  const uint32_t min_, max_;
};

// Anything but some texts.
class ForbiddenAutomaton final : public LetterAutomaton {
 public:
  ForbiddenAutomaton(const std::vector<std::string>& texts, const Alphabet& alphabet,
                     Effort& effort)
      : nodes_(1) {
    for (const std::string& text : texts) {
      size_t at = 0;
      for (const char32_t c : code_points(text)) {
        if (!effort.work(16)) return;
        const auto [child, is_new] =
            nodes_[at].children.try_emplace(alphabet.letter_of(c), nodes_.size());
        at = child->second;
        if (is_new) nodes_.emplace_back();
      }
      nodes_[at].is_text = true;
    }
  }
  int start() override { return 0; }
  int next(int state, size_t letter) override {
    if (state == kElsewhere) return kElsewhere;
    const auto& children = nodes_[static_cast<size_t>(state)].children;
    const auto child = children.find(letter);
    return child == children.end() ? kElsewhere : static_cast<int>(child->second);
  }
  bool is_end(int state) const override {
    return state == kElsewhere || !nodes_[static_cast<size_t>(state)].is_text;
  }

 private:
  static constexpr int kElsewhere = INT32_MAX;
  struct Node {
    std::map<size_t, size_t> children;  // by letter
    bool is_text = false;
  };
  std::vector<Node> nodes_;
};

// Sets of a nondeterministic automaton's states.
class RegexAutomaton final : public LetterAutomaton {
 public:
  static constexpr size_t kStatesMax = 20'000;

  RegexAutomaton(const Regex& regex, const Alphabet& alphabet, Effort& effort)
      : alphabet_(alphabet), effort_(effort) {
    start_ = add_state();
    end_ = add_state();
    add(regex, start_, end_);
  }
  bool is_too_large() const { return too_large_; }

  int start() override { return id_of({start_}); }
  int next(int state, size_t letter) override {
    const int known = sets_[static_cast<size_t>(state)].next[letter];
    if (known != kUnknown) return known;
    const char32_t c = alphabet_.first_char(letter);
    std::vector<int> reached;
    for (const int one : sets_[static_cast<size_t>(state)].states->first) {
      const std::vector<Step>& steps = states_[static_cast<size_t>(one)].steps;
      if (!effort_.work(1 + static_cast<int64_t>(steps.size()))) return kNone;
      for (const Step& step : steps)
        if (step.chars->contains(c)) reached.push_back(step.to);
    }
    const int next = reached.empty() ? kNone : id_of(std::move(reached));
    return sets_[static_cast<size_t>(state)].next[letter] = next;
  }
  bool is_end(int state) const override {
    const std::vector<int>& set = sets_[static_cast<size_t>(state)].states->first;
    return std::binary_search(set.begin(), set.end(), end_);
  }

 private:
  static constexpr int kUnknown = -2;         // not looked at yet
  static constexpr size_t kWaysPerState = 4;  // at most, over all states
  struct Step {
    const CharSet* chars;  // of the regex, which outlives this
    int to;
  };
  struct State {
    std::vector<Step> steps;
    std::vector<int> empty;
  };
  struct Set {
    std::map<std::vector<int>, int>::const_iterator states;
    std::vector<int> next;  // by letter
  };

  int add_state() {
    if (states_.size() >= kStatesMax) {
      too_large_ = true;
      return 0;
    }
    states_.emplace_back();
    return static_cast<int>(states_.size() - 1);
  }
  // A state may have many ways out, so these are counted as well.
  bool count_way() {
    too_large_ |= ++ways_ > kStatesMax * kWaysPerState;
    return !too_large_ && effort_.work(1);
  }
  void add_empty(int from, int to) {
    if (count_way()) states_[static_cast<size_t>(from)].empty.push_back(to);
  }

  void add(const Regex& regex, int from, int to) {
    if (too_large_ || !effort_.work(1)) return;
    switch (regex.kind) {
      case Regex::Kind::kChar:
        if (count_way()) states_[static_cast<size_t>(from)].steps.push_back({&regex.chars, to});
        return;
      case Regex::Kind::kChoice:
        for (const Regex& part : regex.parts) add(part, from, to);
        return;
      case Regex::Kind::kSequence:
        for (const Regex& part : regex.parts) {
          const int next = add_state();
          add(part, from, next);
          from = next;
        }
        add_empty(from, to);
        return;
      case Regex::Kind::kRepeat: {
        // What may be left out can only be left at the end, so all leave there.
        const uint32_t copies = regex.max == kUnbounded ? regex.min : regex.max;
        for (uint32_t i = 0; i < copies && !too_large_; ++i) {
          if (i >= regex.min) add_empty(from, to);
          const int next = add_state();
          add(regex.parts[0], from, next);
          from = next;
        }
        if (regex.max == kUnbounded) {
          const int begin = add_state(), end = add_state();
          add_empty(from, begin);
          add(regex.parts[0], begin, end);
          add_empty(end, begin);
          from = begin;
        }
        add_empty(from, to);
        return;
      }
      case Regex::Kind::kBegin:
      case Regex::Kind::kEnd:
        return;
    }
  }

  int id_of(std::vector<int> set) {
    std::vector<bool> seen(states_.size());
    std::vector<int> closed;
    while (!set.empty() && effort_.work(1)) {
      const int state = set.back();
      set.pop_back();
      if (seen[static_cast<size_t>(state)]) continue;
      seen[static_cast<size_t>(state)] = true;
      closed.push_back(state);
      const auto& empty = states_[static_cast<size_t>(state)].empty;
      set.insert(set.end(), empty.begin(), empty.end());
    }
    std::sort(closed.begin(), closed.end());
    // What the set keeps, in states of 64 bytes.
    const auto numbers = static_cast<int64_t>(closed.size() + alphabet_.size());
    const auto [at, is_new] = ids_.try_emplace(std::move(closed), static_cast<int>(sets_.size()));
    if (is_new) {
      effort_.spend(1 + numbers / 16);
      sets_.push_back({at, std::vector<int>(alphabet_.size(), kUnknown)});
    }
    return at->second;
  }

  const Alphabet& alphabet_;
  Effort& effort_;
  std::vector<State> states_;
  int start_ = 0, end_ = 0;
  bool too_large_ = false;
  size_t ways_ = 0;
  std::map<std::vector<int>, int> ids_;
  std::vector<Set> sets_;
};

// All rules at once.
class Product {
 public:
  using State = std::vector<int>;

  static Result<std::unique_ptr<Product>> make(const StringRules& rules, Effort& effort) {
    auto made = std::make_unique<Product>();
    for (const Regex& pattern : rules.patterns) made->alphabet_.split_by(pattern);
    for (const std::string& text : rules.forbidden)
      for (const char32_t c : code_points(text)) made->alphabet_.split_by(c);
    SIS_TRY(made->alphabet_.finish(effort));
    if (rules.length_min > 0 || rules.length_max != kUnbounded)
      made->parts_.push_back(std::make_unique<LengthAutomaton>(rules.length_min, rules.length_max));
    if (!rules.forbidden.empty())
      made->parts_.push_back(
          std::make_unique<ForbiddenAutomaton>(rules.forbidden, made->alphabet_, effort));
    for (const Regex& pattern : rules.patterns) {
      auto part = std::make_unique<RegexAutomaton>(pattern, made->alphabet_, effort);
      if (part->is_too_large())
        return Error{Code::kInvalidArgument,
                     concat("pattern: counts to more than ", RegexAutomaton::kStatesMax,
                            " places, which is too large to combine it with other keywords")};
      made->parts_.push_back(std::move(part));
    }
    SIS_TRY(effort.status());
    return made;
  }

  const Alphabet& alphabet() const { return alphabet_; }
  State start() const {
    State out;
    for (const auto& part : parts_) out.push_back(part->start());
    return out;
  }
  // Empty when there is none.
  State next(const State& state, size_t letter) const {
    State out(parts_.size());
    for (size_t i = 0; i < parts_.size(); ++i)
      if ((out[i] = parts_[i]->next(state[i], letter)) == kNone) return {};
    return out;
  }
  bool is_end(const State& state) const {
    for (size_t i = 0; i < parts_.size(); ++i)
      if (!parts_[i]->is_end(state[i])) return false;
    return true;
  }

 private:
  Alphabet alphabet_;
  std::vector<std::unique_ptr<LetterAutomaton>> parts_;
};

// A pattern that only counts characters of a class can count to the length's bounds itself.
void fold_length(StringRules& rules) {
  if (rules.patterns.size() != 1) return;
  Regex* only = &rules.patterns[0];
  while (only->kind != Regex::Kind::kRepeat && only->parts.size() == 1) only = &only->parts[0];
  if (only->kind != Regex::Kind::kRepeat || only->parts[0].kind != Regex::Kind::kChar) return;
  const uint32_t min = std::max(only->min, rules.length_min);
  const uint32_t max = std::min(only->max, rules.length_max);
  if (min > max) return;
  only->min = min;
  only->max = max;
  rules.length_min = 0;
  rules.length_max = kUnbounded;
}

}  // namespace

Result<bool> matches(const StringRules& rules, std::string_view text, Effort& effort) {
  if (rules.is_any()) return true;
  SIS_ASSIGN(const auto product, Product::make(rules, effort));
  Product::State state = product->start();
  for (const char32_t c : code_points(text)) {
    effort.work(16);
    SIS_TRY(effort.status());
    state = product->next(state, product->alphabet().letter_of(c));
    if (state.empty()) break;
  }
  SIS_TRY(effort.status());
  return !state.empty() && product->is_end(state);
}

Status add_string_content(AutomatonBuilder& builder, StateId from, const StringRules& given,
                          StateId to) {
  StringRules rules = given;
  fold_length(rules);
  if (rules.patterns.size() == 1 && rules.forbidden.empty() && rules.length_min == 0 &&
      rules.length_max == kUnbounded) {
    add_regex(builder, from, rules.patterns[0], Spelling::kJsonString, to, "pattern");
    return builder.effort().status();
  }
  SIS_ASSIGN(const auto product, Product::make(rules, builder.effort()));
  const Alphabet& alphabet = product->alphabet();
  std::optional<RuleId> any_text;  // of any characters, made for states that take them all
  std::map<Product::State, StateId> ids;
  std::vector<std::map<Product::State, StateId>::const_iterator> to_do;
  const auto id_of = [&](const Product::State& state) {
    const auto [at, is_new] = ids.try_emplace(state, 0);
    if (is_new) {
      at->second = builder.add_state();
      to_do.push_back(at);
    }
    return at->second;
  };
  builder.empty(from, id_of(product->start()));
  while (!to_do.empty()) {
    SIS_TRY(builder.effort().status());
    const auto& [state, id] = *to_do.back();
    to_do.pop_back();
    if (product->is_end(state)) builder.empty(id, to);
    std::map<Product::State, CharSet> steps;
    for (size_t letter = 0; letter < alphabet.size(); ++letter) {
      if (!builder.effort().work(4)) return builder.effort().status();
      if (Product::State next = product->next(state, letter); !next.empty())
        steps[std::move(next)].add(alphabet.chars(letter));
    }
    SIS_TRY(builder.effort().status());
    if (steps.size() == 1 && steps.begin()->first == state &&
        steps.begin()->second == CharSet::all()) {
      // From here on anything goes; masks of such a rule are quick to make.
      if (!any_text) {
        const RuleId one = builder.add_rule("any character");
        builder.rule(one).takes = classes_in(CharSet::all());
        add_char(builder, builder.rule(one).start, CharSet::all(), Spelling::kJsonString,
                 builder.rule(one).end);
        any_text = builder.add_repeat(one, 0, kUnbounded);
      }
      builder.call(id, *any_text, to);
      continue;
    }
    for (const auto& [next, chars] : steps)
      add_char(builder, id, chars, Spelling::kJsonString, id_of(next));
  }
  return builder.effort().status();
}

}  // namespace sis::text::grammar
