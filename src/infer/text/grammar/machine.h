// Runs an Automaton: every set of places that a text can lead to is one number.
//
// A place is a state and what follows the end of its rule: a frame list, that is, the set of places
// a return leads to, each with a frame list of its own. Lists and sets of places are kept once by
// value, so equal situations have equal numbers whatever text led there, and steps and token masks
// are worked out once for each (a deterministic automaton made while it runs). The numbers live
// until the machine does; when it is_full() the owner starts a new one and moves its places over
// with adopt().
//
// One thread at a time; matchers share it under a lock.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "infer/text/grammar/automaton.h"
#include "infer/text/grammar/hash_index.h"
#include "infer/text/grammar/vocabulary.h"

namespace sis::text::grammar {

class Machine {
 public:
  using PlacesId = uint32_t;  // a set of places
  static constexpr PlacesId kDead = 0;

  // Both outlive it.
  Machine(const Automaton& automaton, const GrammarVocabulary& vocabulary, size_t bytes_max);

  PlacesId start() const { return start_; }
  PlacesId step(PlacesId from, uint8_t byte) {
    const int32_t next = next_of(from)[classes_[byte]];
    return next != kUnknown ? static_cast<PlacesId>(next) : make_step(from, byte);
  }
  PlacesId step(PlacesId from, std::string_view text);
  // By a token that is allowed as itself, not by its bytes.
  PlacesId step_control(PlacesId from, int32_t token);

  bool is_complete(PlacesId places) const { return sets_[places].complete; }
  // Nothing may follow but the end.
  bool is_finished(PlacesId places) const {
    return sets_[places].complete && sets_[places].count == 0;
  }

  // Writes all words. End tokens are set where the text is complete.
  void mask(PlacesId places, std::span<uint64_t> words);

  bool is_full() const { return bytes_ > bytes_max_; }
  // The number that another machine's places have here; both run the same automaton.
  PlacesId adopt(const Machine& other, PlacesId places);
  size_t bytes() const { return bytes_; }
  uint64_t work() const { return work_; }  // places, edges and returns followed, ever

 private:
  using FramesId = uint32_t;  // a frame list
  struct Place {
    StateId state;
    FramesId frames;
    auto operator<=>(const Place&) const = default;
  };
  struct Set {
    uint32_t first = 0, count = 0;  // in set_places_; sorted
    int32_t next = kUnknown;        // in next_, by byte class
    int32_t mask = kUnknown;
    bool complete = false;
  };
  struct FrameList {
    uint32_t first = 0, count = 0;  // in frame_places_; sorted
    uint32_t depth = 0;
  };
  // Either all words or, when they are few, the tokens.
  struct Mask {
    std::vector<uint64_t> words;
    std::vector<int32_t> tokens;
  };
  // What is known of tokens of one class of characters.
  struct Run {
    uint32_t characters = 0;  // as many may follow in any case
    bool no_more = false;     // and not one more
  };

  static constexpr int32_t kUnknown = -1;
  // State of the frame that ends the text; no automaton has as many states.
  static constexpr StateId kEndOfText = UINT32_MAX;

  std::span<const Place> places_of(PlacesId id) const {
    return {set_places_.data() + sets_[id].first, sets_[id].count};
  }
  std::span<const Place> frames_of(FramesId id) const {
    return {frame_places_.data() + lists_[id].first, lists_[id].count};
  }
  int32_t* next_of(PlacesId id) {
    if (sets_[id].next == kUnknown) add_next(id);
    return next_.data() + sets_[id].next;
  }
  void add_next(PlacesId id);
  PlacesId make_step(PlacesId from, uint8_t byte);

  void reach(StateId state, FramesId frames);
  void call(RuleId rule, StateId back, FramesId frames);
  void follow(Place place, bool may_return);
  PlacesId close();  // follows what was reached, with all calls
  FramesId keep_frames(std::vector<Place>& frames);
  PlacesId keep_set(std::vector<Place>& places, bool complete);
  FramesId adopt_frames(const Machine& other, FramesId frames, std::vector<uint32_t>& known);

  Run run_of(CharClass one, PlacesId places);
  uint32_t run_of(CharClass one, Place place) const;
  bool takes_byte_of(CharClass one, Place place) const;
  int32_t make_mask(PlacesId places);
  void walk(const TokenTrie& trie, PlacesId from);
  int32_t keep_mask();

  const Automaton* automaton_;
  const GrammarVocabulary* vocabulary_;
  std::array<uint8_t, 256> classes_;
  size_t bytes_max_, bytes_ = 0;
  PlacesId start_ = kDead;

  std::vector<Set> sets_;
  std::vector<Place> set_places_;
  std::vector<int32_t> next_;
  HashIndex set_index_;
  std::vector<FrameList> lists_;
  std::vector<Place> frame_places_;
  HashIndex list_index_;
  std::vector<Mask> masks_;
  HashIndex mask_index_;

  // Of the step in hand.
  uint64_t work_ = 0;
  uint64_t work_end_ = 0;  // of the byte in hand
  QuickSet seen_;          // places
  std::vector<Place> to_follow_, kept_;
  bool complete_ = false;
  std::vector<std::vector<Place>> callers_;          // by rule
  std::vector<std::pair<uint32_t, RuleId>> called_;  // heap by rank
  std::vector<uint64_t> words_;                      // of the mask in hand
  std::vector<PlacesId> way_;
};

}  // namespace sis::text::grammar
