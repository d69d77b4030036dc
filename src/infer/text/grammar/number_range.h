// JSON numbers inside bounds, as automata over their digits: exact, for whole numbers and decimals.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "infer/text/grammar/automaton.h"

namespace sis::text::grammar {

// A number as its decimal digits.
struct Decimal {
  bool negative = false;  // never for zero
  std::string whole;      // without leading zeros: empty for 0
  std::string fraction;   // without trailing zeros

  // From a JSON number; nothing when it has more than kDigitsMax digits on a side.
  static std::optional<Decimal> parse(std::string_view json);
  static constexpr int kDigitsMax = 64;

  bool is_zero() const { return whole.empty() && fraction.empty(); }
  bool is_whole() const { return fraction.empty(); }
  Decimal negated() const;
  // -1, 0 or 1
  int compare(const Decimal& other) const;
};

struct NumberRange {
  std::optional<Decimal> low, high;
  bool low_open = false, high_open = false;  // the bound itself is outside
  // Multiples of it only. Above 0, at most kMultipleMax without its decimal point.
  std::optional<Decimal> multiple_of;
  bool whole = false;  // no fraction is written
  static constexpr uint64_t kMultipleMax = 10'000;

  bool is_bounded() const { return low || high || multiple_of; }
  bool contains(const Decimal& value) const;
  // Keeps what both allow of bounds; `multiple_of` is the caller's.
  void narrow_low(const Decimal& bound, bool open);
  void narrow_high(const Decimal& bound, bool open);
};

// How numbers without bounds are written: at most so many digits before and after the point, and
// in the exponent. Numbers with bounds have no exponent.
inline constexpr uint32_t kWholeDigitsMax = 19, kFractionDigitsMax = 17, kExponentDigitsMax = 2;

void add_number(AutomatonBuilder& builder, StateId from, const NumberRange& range, StateId to);

}  // namespace sis::text::grammar
