#include "infer/text/grammar/machine.h"

#include <algorithm>
#include <functional>

namespace sis::text::grammar {
namespace {

// Beyond these a byte is refused: a grammar that ambiguous or a text that deep is hostile.
constexpr size_t kPlacesMax = 4096;
constexpr uint32_t kDepthMax = 512;
// Places, edges and returns followed for one byte: some milliseconds. Real grammars need hundreds.
constexpr uint64_t kCloseWorkMax = 1 << 18;

template <class Places>
uint64_t hash_places(const Places& places, uint64_t hash) {
  for (const auto& place : places)
    hash = mix_hash(hash, uint64_t{place.state} << 32 | place.frames);
  return mix_hash(hash, places.size());
}

}  // namespace

Machine::Machine(const Automaton& automaton, const GrammarVocabulary& vocabulary, size_t bytes_max)
    : automaton_(&automaton),
      vocabulary_(&vocabulary),
      classes_(automaton.byte_classes()),
      bytes_max_(bytes_max + 16 * vocabulary.mask_words() * sizeof(uint64_t)),
      callers_(automaton.rules().size()),
      words_(vocabulary.mask_words()) {
  std::vector<Place> none;
  keep_set(none, /*complete=*/false);  // kDead
  std::vector<Place> end{{kEndOfText, 0}};
  const FramesId bottom = keep_frames(end);
  seen_.clear();
  kept_.clear();
  // A call is not followed to its return, so an empty text is told here.
  const Rule& root = automaton.rules()[automaton.root()];
  complete_ = root.nullable;
  callers_[automaton.root()] = {{kEndOfText, bottom}};
  called_.assign(1, {root.rank, automaton.root()});
  start_ = close();
}

// --- steps ---

void Machine::add_next(PlacesId id) {
  sets_[id].next = static_cast<int32_t>(next_.size());
  next_.resize(next_.size() + automaton_->classes(), kUnknown);
  bytes_ += automaton_->classes() * sizeof(int32_t);
  work_ += automaton_->classes() / 4;  // memory counts too
  if (id == kDead) std::fill(next_.begin() + sets_[id].next, next_.end(), int32_t{kDead});
}

Machine::PlacesId Machine::make_step(PlacesId from, uint8_t byte) {
  seen_.clear();
  kept_.clear();
  complete_ = false;
  for (uint32_t i = 0; i < sets_[from].count; ++i) {
    const Place place = set_places_[sets_[from].first + i];
    work_ += automaton_->edges(place.state).size() / 8;  // only looked at
    for (const Edge& edge : automaton_->edges(place.state))
      if (edge.kind == Edge::Kind::kBytes && edge.low <= byte && byte <= edge.high)
        reach(edge.target, place.frames);
  }
  const PlacesId to = close();
  next_of(from)[classes_[byte]] = static_cast<int32_t>(to);
  return to;
}

Machine::PlacesId Machine::step(PlacesId from, std::string_view text) {
  for (const char byte : text) {
    from = step(from, static_cast<uint8_t>(byte));
    if (from == kDead) break;
  }
  return from;
}

Machine::PlacesId Machine::step_control(PlacesId from, int32_t token) {
  seen_.clear();
  kept_.clear();
  complete_ = false;
  for (uint32_t i = 0; i < sets_[from].count; ++i) {
    const Place place = set_places_[sets_[from].first + i];
    for (const Edge& edge : automaton_->edges(place.state))
      if (edge.kind == Edge::Kind::kToken && edge.symbol == static_cast<uint32_t>(token))
        reach(edge.target, place.frames);
  }
  return close();
}

void Machine::reach(StateId state, FramesId frames) {
  if (state == kEndOfText) {
    complete_ = true;
    return;
  }
  if (seen_.add(uint64_t{state} << 32 | frames)) to_follow_.push_back({state, frames});
}

void Machine::call(RuleId rule, StateId back, FramesId frames) {
  std::vector<Place>& callers = callers_[rule];
  if (callers.empty()) {
    called_.emplace_back(automaton_->rules()[rule].rank, rule);
    std::push_heap(called_.begin(), called_.end(), std::greater<>());
  }
  // Where nothing else follows, the callee returns to where we would.
  if (automaton_->only_returns(back)) {
    const auto ours = frames_of(frames);
    work_ += ours.size();
    callers.insert(callers.end(), ours.begin(), ours.end());
  } else {
    callers.push_back({back, frames});
  }
}

void Machine::follow(Place place, bool may_return) {
  const auto give_back = [&] {
    if (!may_return) return;
    work_ += lists_[place.frames].count;
    for (uint32_t i = 0; i < lists_[place.frames].count; ++i) {
      const Place frame = frame_places_[lists_[place.frames].first + i];
      reach(frame.state, frame.frames);
    }
  };
  if (!automaton_->is_stored(place.state)) {
    const Rule& repeat = automaton_->repeat_of(place.state);
    const uint32_t done = place.state - repeat.start;
    if (done >= repeat.min) give_back();
    if (repeat.max == kUnbounded)
      call(repeat.body, done < repeat.min ? place.state + 1 : place.state, place.frames);
    else if (done < repeat.max)
      call(repeat.body, place.state + 1, place.frames);
    return;
  }
  if (automaton_->is_end(place.state)) give_back();
  bool takes = false;
  for (const Edge& edge : automaton_->edges(place.state)) {
    if (++work_ > work_end_) return;
    switch (edge.kind) {
      case Edge::Kind::kBytes:
      case Edge::Kind::kToken:
        takes = true;
        break;
      case Edge::Kind::kEmpty:
        reach(edge.target, place.frames);
        break;
      case Edge::Kind::kCall:
        call(edge.symbol, edge.target, place.frames);
        break;
    }
  }
  if (takes) kept_.push_back(place);
}

Machine::PlacesId Machine::close() {
  work_end_ = work_ + kCloseWorkMax;
  const auto in_bounds = [&] { return kept_.size() <= kPlacesMax && work_ <= work_end_; };
  const auto follow_all = [&](bool may_return) {
    while (!to_follow_.empty() && in_bounds()) {
      const Place place = to_follow_.back();
      to_follow_.pop_back();
      ++work_;
      follow(place, may_return);
    }
  };
  // First all returns, so that each rule is called once, for all its callers; then calls, callers
  // before callees. What was only just called cannot return: callers step over what may be empty.
  follow_all(/*may_return=*/true);
  while (!called_.empty() && in_bounds()) {
    std::pop_heap(called_.begin(), called_.end(), std::greater<>());
    const RuleId rule = called_.back().second;
    called_.pop_back();
    const FramesId frames = keep_frames(callers_[rule]);
    callers_[rule].clear();
    if (lists_[frames].depth > kDepthMax) continue;
    reach(automaton_->rules()[rule].start, frames);
    follow_all(/*may_return=*/false);
  }
  if (in_bounds()) return keep_set(kept_, complete_);
  to_follow_.clear();
  for (const auto& [rank, rule] : called_) callers_[rule].clear();
  called_.clear();
  return kDead;
}

Machine::FramesId Machine::keep_frames(std::vector<Place>& frames) {
  work_ += frames.size();
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  const auto next = static_cast<FramesId>(lists_.size());
  const FramesId id = list_index_.find_or_add(hash_places(frames, 1), next, [&](FramesId other) {
    const auto known = frames_of(other);
    return std::equal(known.begin(), known.end(), frames.begin(), frames.end());
  });
  if (id != next) return id;
  uint32_t depth = 0;
  for (const Place& frame : frames)
    if (frame.state != kEndOfText) depth = std::max(depth, lists_[frame.frames].depth + 1);
  lists_.push_back(
      {static_cast<uint32_t>(frame_places_.size()), static_cast<uint32_t>(frames.size()), depth});
  frame_places_.insert(frame_places_.end(), frames.begin(), frames.end());
  bytes_ += frames.size() * sizeof(Place) + sizeof(FrameList) + HashIndex::kBytesEach;
  return id;
}

Machine::PlacesId Machine::keep_set(std::vector<Place>& places, bool complete) {
  work_ += places.size();
  std::sort(places.begin(), places.end());
  const auto next = static_cast<PlacesId>(sets_.size());
  const PlacesId id =
      set_index_.find_or_add(hash_places(places, complete ? 3 : 2), next, [&](PlacesId other) {
        const auto known = places_of(other);
        return sets_[other].complete == complete &&
               std::equal(known.begin(), known.end(), places.begin(), places.end());
      });
  if (id != next) return id;
  sets_.push_back({.first = static_cast<uint32_t>(set_places_.size()),
                   .count = static_cast<uint32_t>(places.size()),
                   .complete = complete});
  set_places_.insert(set_places_.end(), places.begin(), places.end());
  bytes_ += places.size() * sizeof(Place) + sizeof(Set) + HashIndex::kBytesEach;
  return id;
}

// --- from another machine ---

Machine::PlacesId Machine::adopt(const Machine& other, PlacesId places) {
  std::vector<uint32_t> known(other.lists_.size(), UINT32_MAX);
  std::vector<Place> ours;
  for (const Place& place : other.places_of(places))
    ours.push_back({place.state, adopt_frames(other, place.frames, known)});
  return keep_set(ours, other.sets_[places].complete);
}

// As deep as texts nest: kDepthMax.
Machine::FramesId Machine::adopt_frames(const Machine& other, FramesId frames,
                                        std::vector<uint32_t>& known) {
  if (known[frames] != UINT32_MAX) return known[frames];
  std::vector<Place> ours;
  for (const Place& frame : other.frames_of(frames))
    ours.push_back({frame.state, frame.state == kEndOfText
                                     ? frame.frames
                                     : adopt_frames(other, frame.frames, known)});
  return known[frames] = keep_frames(ours);
}

}  // namespace sis::text::grammar
