#include "infer/text/grammar/automaton.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"

namespace sis::text::grammar {
namespace {

// Edges, rules or whatever by state, as one array with offsets.
struct Grouped {
  std::vector<uint32_t> offsets, values;

  template <class Items, class KeyOf>
  Grouped(size_t keys, const Items& items, KeyOf key_of) : offsets(keys + 1), values(items.size()) {
    for (const auto& item : items) ++offsets[key_of(item) + 1];
    for (size_t i = 0; i < keys; ++i) offsets[i + 1] += offsets[i];
    std::vector<uint32_t> next(offsets.begin(), offsets.end() - 1);
    for (size_t i = 0; i < items.size(); ++i) values[next[key_of(items[i])]++] = i;
  }
  std::span<const uint32_t> of(size_t key) const {
    return {values.data() + offsets[key], values.data() + offsets[key + 1]};
  }
};

constexpr int64_t kRepeatStatesMax = int64_t{1} << 30;  // of all repetitions; ids have 32 bits

}  // namespace

const Rule& Automaton::repeat_of(StateId state) const {
  const auto after =
      std::upper_bound(repeats_.begin(), repeats_.end(), state,
                       [&](StateId id, RuleId rule) { return id < rules_[rule].start; });
  return rules_[*(after - 1)];
}

bool Automaton::only_returns(StateId state) const {
  if (is_stored(state)) return is_end(state) && offsets_[state] == offsets_[state + 1];
  const Rule& repeat = repeat_of(state);
  return repeat.max != kUnbounded && state - repeat.start == repeat.max;
}

size_t Automaton::bytes() const {
  size_t bytes = edges_.size() * sizeof(Edge) + offsets_.size() * sizeof(uint32_t) + marks_.size() +
                 rules_.size() * sizeof(Rule);
  for (const Rule& rule : rules_) bytes += rule.name.capacity();
  return bytes;
}

StateId AutomatonBuilder::add_state() {
  if (!effort_->spend(1)) return 0;
  return states_++;
}

RuleId AutomatonBuilder::add_rule(std::string name) {
  const StateId start = add_state(), end = add_state();
  return add_rule(std::move(name), start, end);
}

RuleId AutomatonBuilder::add_rule(std::string name, StateId start, StateId end) {
  rules_.push_back({.name = std::move(name), .start = start, .end = end});
  return static_cast<RuleId>(rules_.size() - 1);
}

RuleId AutomatonBuilder::add_repeat(RuleId body, uint32_t min, uint32_t max) {
  SIS_CHECK(min <= max && (max == kUnbounded || max <= kRepeatMax) && min <= kRepeatMax, "repeat {",
            min, ",", max, "}");
  effort_->spend(1);
  rules_.push_back({.name = concat(rules_[body].name, " repeated"),
                    .is_repeat = true,
                    .body = body,
                    .min = min,
                    .max = max});
  return static_cast<RuleId>(rules_.size() - 1);
}

void AutomatonBuilder::add(StateId from, Edge edge) {
  if (effort_->spend(0)) edges_.push_back({from, edge});
}

void AutomatonBuilder::bytes(StateId from, uint8_t low, uint8_t high, StateId to) {
  add(from, {.kind = Edge::Kind::kBytes, .low = low, .high = high, .target = to});
}
void AutomatonBuilder::empty(StateId from, StateId to) {
  if (from != to) add(from, {.kind = Edge::Kind::kEmpty, .target = to});
}
void AutomatonBuilder::call(StateId from, RuleId rule, StateId to) {
  add(from, {.kind = Edge::Kind::kCall, .target = to, .symbol = rule});
}
void AutomatonBuilder::token(StateId from, int32_t id, StateId to) {
  add(from, {.kind = Edge::Kind::kToken, .target = to, .symbol = static_cast<uint32_t>(id)});
}

void AutomatonBuilder::literal(StateId from, std::string_view text, StateId to) {
  if (text.empty()) return empty(from, to);
  for (size_t i = 0; i < text.size(); ++i) {
    const StateId next = i + 1 < text.size() ? add_state() : to;
    const auto byte = static_cast<uint8_t>(text[i]);
    bytes(from, byte, byte, next);
    from = next;
  }
}

void AutomatonBuilder::literals(StateId from, std::vector<std::string> texts, StateId to) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  // states[i] stands behind the first i bytes of the text before; sorted texts share the most with
  // their neighbour.
  std::vector<StateId> states{from};
  std::string_view before;
  for (const std::string& text : texts) {
    size_t shared = 0;
    while (shared < before.size() && shared < text.size() && before[shared] == text[shared])
      ++shared;
    states.resize(shared + 1);
    for (size_t i = shared; i < text.size(); ++i) {
      states.push_back(add_state());
      const auto byte = static_cast<uint8_t>(text[i]);
      bytes(states[i], byte, byte, states[i + 1]);
    }
    empty(states.back(), to);
    before = text;
  }
}

std::vector<uint8_t> AutomatonBuilder::states_that_end(bool empty_only,
                                                       std::vector<uint8_t>& rules_that_end) const {
  const Grouped backward(states_, edges_, [](const Pending& one) { return one.edge.target; });
  std::vector<RuleId> starts_of(states_, UINT32_MAX);
  std::vector<RuleId> repeats;
  std::vector<uint32_t> calls;
  for (RuleId id = 0; id < rules_.size(); ++id) {
    if (rules_[id].is_repeat)
      repeats.push_back(id);
    else
      starts_of[rules_[id].start] = id;
  }
  for (uint32_t i = 0; i < edges_.size(); ++i)
    if (edges_[i].edge.kind == Edge::Kind::kCall) calls.push_back(i);
  const Grouped repeats_of(rules_.size(), repeats, [&](RuleId id) { return rules_[id].body; });
  const Grouped calls_of(rules_.size(), calls, [&](uint32_t i) { return edges_[i].edge.symbol; });

  std::vector<uint8_t> ends(states_);
  rules_that_end.assign(rules_.size(), 0);
  std::vector<StateId> states_to_do;
  std::vector<RuleId> rules_to_do;
  const auto reach = [&](StateId state) {
    if (ends[state] != 0) return;
    ends[state] = 1;
    states_to_do.push_back(state);
    if (starts_of[state] != UINT32_MAX) rules_to_do.push_back(starts_of[state]);
  };
  for (RuleId id = 0; id < rules_.size(); ++id) {
    if (!rules_[id].is_repeat)
      reach(rules_[id].end);
    else if (rules_[id].min == 0)
      rules_to_do.push_back(id);
  }
  while (!states_to_do.empty() || !rules_to_do.empty()) {
    if (!rules_to_do.empty()) {
      const RuleId id = rules_to_do.back();
      rules_to_do.pop_back();
      if (rules_that_end[id] != 0) continue;
      rules_that_end[id] = 1;
      for (const uint32_t i : calls_of.of(id))
        if (const Pending& one = edges_[calls[i]]; ends[one.edge.target] != 0) reach(one.from);
      for (const uint32_t i : repeats_of.of(id)) rules_to_do.push_back(repeats[i]);
      continue;
    }
    const StateId state = states_to_do.back();
    states_to_do.pop_back();
    for (const uint32_t i : backward.of(state)) {
      const Pending& one = edges_[i];
      switch (one.edge.kind) {
        case Edge::Kind::kBytes:
        case Edge::Kind::kToken:
          if (!empty_only) reach(one.from);
          break;
        case Edge::Kind::kEmpty:
          reach(one.from);
          break;
        case Edge::Kind::kCall:
          if (rules_that_end[one.edge.symbol] != 0) reach(one.from);
          break;
      }
    }
  }
  return ends;
}

// Makes `rules_` and `edges_` such that every edge leads on to an end, and callers step over rules
// that may be empty.
void AutomatonBuilder::keep_useful_edges(const std::vector<uint8_t>& useful) {
  std::vector<uint8_t> may_end;
  states_that_end(/*empty_only=*/true, may_end);
  for (RuleId id = 0; id < rules_.size(); ++id) {
    Rule& rule = rules_[id];
    rule.nullable = may_end[id] != 0;
    if (!rule.is_repeat) continue;
    if (may_end[rule.body] != 0) rule.min = 0;
    if (useful[rule.body] == 0) rule.max = 0;
  }
  const size_t count = edges_.size();
  for (size_t i = 0; i < count; ++i) {
    const Pending one = edges_[i];
    if (one.edge.kind == Edge::Kind::kCall && rules_[one.edge.symbol].nullable)
      empty(one.from, one.edge.target);
  }
}

// Leads edges past states that have nothing but one way on. So calls at the end of a rule are seen
// to be just that, and text may go round through them for ever.
void AutomatonBuilder::skip_empty_states() {
  constexpr StateId kSeveral = UINT32_MAX, kNothing = UINT32_MAX - 1;
  std::vector<StateId> way_on(states_, kNothing);
  for (const Pending& one : edges_) {
    StateId& way = way_on[one.from];
    way = way == kNothing && one.edge.kind == Edge::Kind::kEmpty ? one.edge.target : kSeveral;
  }
  for (const Rule& rule : rules_)
    if (!rule.is_repeat) way_on[rule.end] = kSeveral;
  for (Pending& one : edges_) {
    StateId& target = one.edge.target;
    // A circle of such states would be useless, and useless ones are gone.
    while (way_on[target] < kNothing) {
      StateId& way = way_on[target];
      if (way_on[way] < kNothing) way = way_on[way];
      target = way;
    }
  }
}

// What groups and options of nothing leave behind, and circles of length one.
void AutomatonBuilder::drop_equal_empty_edges() {
  std::unordered_set<uint64_t> known;
  std::erase_if(edges_, [&](const Pending& one) {
    if (one.edge.kind != Edge::Kind::kEmpty) return false;
    return one.from == one.edge.target ||
           !known.insert(uint64_t{one.from} << 32 | one.edge.target).second;
  });
}

Status AutomatonBuilder::rank_rules(Automaton& made) const {
  // first_calls[r]: rules that a sentence of r may begin with.
  std::vector<std::vector<RuleId>> first_calls(made.rules_.size());
  std::vector<uint8_t> seen(states_);
  for (RuleId id = 0; id < made.rules_.size(); ++id) {
    const Rule& rule = made.rules_[id];
    if (rule.is_repeat) {
      if (rule.max > 0) first_calls[id].push_back(rule.body);
      continue;
    }
    std::vector<StateId> to_do{rule.start};
    seen[rule.start] = 1;
    while (!to_do.empty()) {
      const StateId state = to_do.back();
      to_do.pop_back();
      for (const Edge& edge : made.edges(state)) {
        if (edge.kind == Edge::Kind::kCall) first_calls[id].push_back(edge.symbol);
        if (edge.kind == Edge::Kind::kEmpty && seen[edge.target] == 0) {
          seen[edge.target] = 1;
          to_do.push_back(edge.target);
        }
      }
    }
  }
  // Depth first; a rule met again on the way is one that begins with itself.
  enum : uint8_t { kNew, kOnTheWay, kDone };
  std::vector<uint8_t> marks(made.rules_.size(), kNew);
  std::vector<std::pair<RuleId, size_t>> way;
  auto rank = static_cast<uint32_t>(made.rules_.size());
  for (RuleId first = 0; first < made.rules_.size(); ++first) {
    if (marks[first] != kNew) continue;
    marks[first] = kOnTheWay;
    way.emplace_back(first, 0);
    while (!way.empty()) {
      auto& [id, next] = way.back();
      if (next == first_calls[id].size()) {
        marks[id] = kDone;
        made.rules_[id].rank = --rank;
        way.pop_back();
        continue;
      }
      const RuleId called = first_calls[id][next++];
      if (marks[called] == kNew) {
        marks[called] = kOnTheWay;
        way.emplace_back(called, 0);
      } else if (marks[called] == kOnTheWay) {
        std::string names;
        auto at = way.end();
        do names = concat(made.rules_[(--at)->first].name, " -> ", names);
        while (at->first != called);
        return Error{Code::kInvalidArgument,
                     concat("grammar: a rule may not begin with itself (left recursion): ", names,
                            made.rules_[called].name)};
      }
    }
  }
  return {};
}

void AutomatonBuilder::make_byte_classes(Automaton& made) {
  std::map<std::pair<uint8_t, uint8_t>, uint64_t> ranges;
  for (const Edge& edge : made.edges_)
    if (edge.kind == Edge::Kind::kBytes) ranges.try_emplace({edge.low, edge.high}, 0);
  // Bytes in the same ranges have the same sum of the ranges' random numbers.
  std::array<uint64_t, 256> sums{};
  uint64_t seed = 0;
  for (const auto& [range, unused] : ranges) {
    uint64_t z = seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    for (int byte = range.first; byte <= range.second; ++byte) sums[static_cast<size_t>(byte)] += z;
  }
  std::unordered_map<uint64_t, uint8_t> classes;
  for (size_t byte = 0; byte < 256; ++byte)
    made.byte_classes_[byte] =
        classes.try_emplace(sums[byte], static_cast<uint8_t>(classes.size())).first->second;
  made.classes_ = static_cast<uint32_t>(classes.size());
}

Result<Automaton> AutomatonBuilder::finish(RuleId root) {
  SIS_TRY(effort_->status());
  std::vector<uint8_t> rule_ends;
  const std::vector<uint8_t> useful = states_that_end(/*empty_only=*/false, rule_ends);
  if (rule_ends[root] == 0) return Error{Code::kInvalidArgument, "grammar: no text can match it"};
  keep_useful_edges(rule_ends);
  SIS_TRY(effort_->status());
  std::erase_if(edges_, [&](const Pending& one) {
    return useful[one.edge.target] == 0 ||
           (one.edge.kind == Edge::Kind::kCall && rule_ends[one.edge.symbol] == 0);
  });

  skip_empty_states();
  drop_equal_empty_edges();
  skip_empty_states();  // those that had two ways to the same state
  drop_equal_empty_edges();
  SIS_TRY(effort_->status());

  Automaton made;
  made.root_ = root;
  made.rules_ = std::move(rules_);
  const Grouped by_state(states_, edges_, [](const Pending& one) { return one.from; });
  made.offsets_ = by_state.offsets;
  made.edges_.reserve(edges_.size());
  for (const uint32_t i : by_state.values) made.edges_.push_back(edges_[i].edge);
  made.marks_.assign(states_, 0);
  int64_t next = states_;
  for (RuleId id = 0; id < made.rules_.size(); ++id) {
    Rule& rule = made.rules_[id];
    if (!rule.is_repeat) {
      made.marks_[rule.end] |= Automaton::kEnd;
      made.marks_[rule.start] |= static_cast<uint8_t>(rule.takes << Automaton::kClassShift);
      continue;
    }
    rule.start = static_cast<StateId>(next);
    next += rule.states();
    made.repeats_.push_back(id);
    if (next > kRepeatStatesMax)
      return Error{Code::kInvalidArgument, concat("grammar: its repetitions count to more than ",
                                                  kRepeatStatesMax, " together")};
  }
  SIS_TRY(rank_rules(made));
  make_byte_classes(made);
  SIS_TRY(effort_->status());
  return made;
}

}  // namespace sis::text::grammar
