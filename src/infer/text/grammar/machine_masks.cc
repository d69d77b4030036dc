// Token masks: which tokens do not lead to the dead set.
#include <algorithm>

#include "infer/text/grammar/machine.h"

namespace sis::text::grammar {
namespace {

// Places and edges followed for one mask. Schemas need some thousands; who needs more gets a mask
// of the tokens found until then, which is right but not all: single bytes go on being tried for as
// much again.
constexpr uint64_t kMaskWorkMax = 2'000'000;
constexpr uint64_t kFirstBytesWorkMax = 2 * kMaskWorkMax;
constexpr size_t kFewTokens = 512;  // kept one by one

void set_bit(std::span<uint64_t> words, int32_t token) {
  words[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

}  // namespace

void Machine::mask(PlacesId places, std::span<uint64_t> words) {
  if (sets_[places].mask == kUnknown) {
    const int32_t made = make_mask(places);
    sets_[places].mask = made;
  }
  const Mask& mask = masks_[static_cast<size_t>(sets_[places].mask)];
  const size_t filled = mask.words.size();
  std::copy(mask.words.begin(), mask.words.end(), words.begin());
  std::fill(words.begin() + static_cast<ptrdiff_t>(filled), words.end(), 0);
  for (const int32_t token : mask.tokens) set_bit(words, token);
  if (sets_[places].complete)
    for (const int32_t token : vocabulary_->eos_tokens()) set_bit(words, token);
}

int32_t Machine::make_mask(PlacesId places) {
  std::fill(words_.begin(), words_.end(), 0);
  // Most masks with many tokens are those inside strings. What goes in them as a class is known;
  // the other tokens are looked at.
  const TokenTrie* others = &vocabulary_->trie();
  for (const CharClass one : kCharClasses) {
    const Run run = run_of(one, places);
    if (run.characters == 0) continue;
    if (run.characters < TokenSlices::kCharactersMax && !run.no_more) continue;
    const TokenSlices& slices = vocabulary_->slices(one);
    const auto known = slices.up_to(std::min(run.characters, TokenSlices::kCharactersMax));
    std::copy(known.begin(), known.end(), words_.begin());
    others = &slices.others();
    break;
  }
  walk(*others, places);
  for (uint32_t i = 0; i < sets_[places].count; ++i) {
    const Place place = set_places_[sets_[places].first + i];
    for (const Edge& edge : automaton_->edges(place.state))
      if (edge.kind == Edge::Kind::kToken) set_bit(words_, static_cast<int32_t>(edge.symbol));
  }
  return keep_mask();
}

void Machine::walk(const TokenTrie& trie, PlacesId from) {
  way_.assign(TokenTrie::kTokenBytesMax + 1, kDead);
  way_[0] = from;
  const uint64_t work_begin = work_;
  for (uint32_t i = 0; i < trie.size();) {
    const TokenTrie::Node& node = trie.node(i);
    if (work_ - work_begin > kMaskWorkMax) [[unlikely]] {
      if (work_ - work_begin > kFirstBytesWorkMax) break;
      if (node.depth > 0) {
        i = node.skip;
        continue;
      }
    }
    const PlacesId to = step(way_[node.depth], node.byte);
    if (to == kDead) {
      i = node.skip;
      continue;
    }
    way_[node.depth + 1] = to;
    for (const int32_t token : trie.tokens(i)) set_bit(words_, token);
    ++i;
  }
}

int32_t Machine::keep_mask() {
  size_t count = 0;
  for (const uint64_t word : words_) count += static_cast<size_t>(__builtin_popcountll(word));
  Mask mask;
  uint64_t hash = count;
  if (count <= kFewTokens) {
    for (size_t i = 0; i < words_.size(); ++i)
      for (uint64_t word = words_[i]; word != 0; word &= word - 1)
        mask.tokens.push_back(static_cast<int32_t>(i * 64) + __builtin_ctzll(word));
  } else {
    mask.words = words_;
  }
  for (const uint64_t word : mask.words) hash = (hash ^ word) * 0x9E3779B97F4A7C15u + (hash >> 31);
  for (const int32_t token : mask.tokens)
    hash = (hash ^ static_cast<uint64_t>(token)) * 0x9E3779B97F4A7C15u + (hash >> 31);
  const auto next = static_cast<uint32_t>(masks_.size());
  const uint32_t id = mask_index_.find_or_add(hash, next, [&](uint32_t other) {
    return masks_[other].words == mask.words && masks_[other].tokens == mask.tokens;
  });
  if (id == next) {
    bytes_ += sizeof(Mask) + mask.words.size() * sizeof(uint64_t) +
              mask.tokens.capacity() * sizeof(int32_t);
    masks_.push_back(std::move(mask));
  }
  return static_cast<int32_t>(id);
}

bool Machine::takes_byte_of(CharClass one, Place place) const {
  for (const Edge& edge : automaton_->edges(place.state)) {
    if (edge.kind != Edge::Kind::kBytes) continue;
    for (int byte = edge.low; byte <= edge.high; ++byte)
      if (is_byte_of(one, static_cast<uint8_t>(byte))) return true;
  }
  return false;
}

// A rule that takes any character of the class, called from a repetition.
uint32_t Machine::run_of(CharClass one, Place place) const {
  if ((automaton_->classes_from(place.state) & bit_of(one)) == 0) return 0;
  uint32_t characters = 1;
  for (const Place& frame : frames_of(place.frames)) {
    if (frame.state == kEndOfText || automaton_->is_stored(frame.state)) continue;
    const Rule& repeat = automaton_->repeat_of(frame.state);
    const Rule& body = automaton_->rules()[repeat.body];
    if (body.is_repeat || body.start != place.state) continue;
    if (repeat.max == kUnbounded) return kUnbounded;
    characters = std::max(characters, repeat.max - (frame.state - repeat.start) + 1);
  }
  return characters;
}

Machine::Run Machine::run_of(CharClass one, PlacesId places) {
  Run run;
  for (const Place& place : places_of(places))
    run.characters = std::max(run.characters, run_of(one, place));
  if (run.characters == 0 || run.characters >= TokenSlices::kCharactersMax) return run;
  // Few are left. No more than these can follow when nothing else takes one on the way. All
  // characters of the class lead to the same places, so one of them tells.
  PlacesId at = places;
  for (uint32_t left = run.characters;; --left) {
    uint32_t takers = 0;
    for (const Place& place : places_of(at)) {
      if (!takes_byte_of(one, place)) continue;
      ++takers;
      if (run_of(one, place) != left) return run;
    }
    if (takers != (left > 0 ? 1 : 0)) return run;
    if (left == 0) break;
    at = step(at, uint8_t{'a'});
  }
  run.no_more = true;
  return run;
}

}  // namespace sis::text::grammar
