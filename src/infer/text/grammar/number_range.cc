#include "infer/text/grammar/number_range.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/check.h"
#include "base/strings.h"

namespace sis::text::grammar {
namespace {

int compare_magnitudes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  int order = a.whole.compare(b.whole);
  if (order == 0) order = a.fraction.compare(b.fraction);
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

// A multiple as a whole number of steps of 10^-scale.
struct Step {
  uint64_t size = 1;
  size_t scale = 0;
};
std::optional<Step> step_of(const Decimal& multiple) {
  uint64_t size = 0;
  for (const char c : multiple.whole + multiple.fraction) {
    size = size * 10 + static_cast<uint64_t>(c - '0');
    if (size > NumberRange::kMultipleMax) return std::nullopt;
  }
  if (size == 0) return std::nullopt;
  return Step{size, multiple.fraction.size()};
}

// Numbers without a sign, in [low, high].
//
// A state knows how many digits are to come before the point (or came after it), whether the digits
// so far are those of a bound, and their remainder by the step.
class MagnitudeWriter {
 public:
  MagnitudeWriter(AutomatonBuilder& builder, StateId from, const NumberRange& range, StateId to)
      : builder_(builder), range_(range), from_(from), to_(to) {
    fraction_max_ = kFractionDigitsMax;
    if (range.low) fraction_max_ = std::max(fraction_max_, range.low->fraction.size() + 1);
    if (range.high) fraction_max_ = std::max(fraction_max_, range.high->fraction.size() + 1);
    if (range.multiple_of) {
      const auto step = step_of(*range.multiple_of);
      SIS_CHECK(step.has_value(), "multiple of ", range.multiple_of->whole);
      step_ = *step;
      fraction_max_ = step_.scale;
    }
    if (range.whole) fraction_max_ = 0;
  }

  void write() {
    const size_t low_digits = whole_digits(range_.low);
    size_t digits_max = std::max<size_t>(kWholeDigitsMax, low_digits + 1);
    const bool endless = !range_.high && step_.size == 1;
    if (range_.high)
      digits_max = whole_digits(range_.high);
    else if (endless)
      digits_max = low_digits;
    for (size_t digits = low_digits; digits <= digits_max; ++digits) {
      const Place place{.in_fraction = false,
                        .digits = digits,
                        .at_low = range_.low && digits == low_digits,
                        .at_high = range_.high && digits == digits_max};
      add_digits(from_, place, /*is_first=*/true);
    }
    if (!endless) return;
    // Longer numbers than the lower bound are all above it.
    const RuleId digit = builder_.add_rule("digit");
    builder_.bytes(builder_.rule(digit).start, '0', '9', builder_.rule(digit).end);
    const auto least = static_cast<uint32_t>(low_digits);
    const RuleId rest = builder_.add_repeat(digit, least, std::max(kWholeDigitsMax - 1, least));
    const StateId behind_first = builder_.add_state();
    builder_.bytes(from_, '1', '9', behind_first);
    builder_.call(behind_first, rest, state_at({.in_fraction = false, .digits = 0}));
  }

 private:
  struct Place {
    bool in_fraction = false;
    size_t digits = 0;  // to come before the point, or there after it
    bool at_low = false, at_high = false;
    uint64_t remainder = 0;
    auto operator<=>(const Place&) const = default;
  };

  static size_t whole_digits(const std::optional<Decimal>& bound) {
    return bound ? std::max<size_t>(1, bound->whole.size()) : 1;
  }
  // The digit of a bound where `place` has its next one.
  static int digit_of(const Decimal& bound, const Place& place) {
    if (place.in_fraction)
      return place.digits < bound.fraction.size() ? bound.fraction[place.digits] - '0' : 0;
    return place.digits <= bound.whole.size() ? bound.whole[bound.whole.size() - place.digits] - '0'
                                              : 0;
  }

  // May the number end here?
  bool is_inside(const Place& place) const {
    const size_t decimals = place.in_fraction ? place.digits : 0;
    if (place.at_low && (decimals < range_.low->fraction.size() || range_.low_open)) return false;
    if (place.at_high && decimals >= range_.high->fraction.size() && range_.high_open) return false;
    uint64_t remainder = place.remainder;
    for (size_t i = decimals; i < step_.scale; ++i) remainder = remainder * 10 % step_.size;
    return remainder == 0;
  }

  StateId state_at(const Place& place) {
    const auto [at, is_new] = states_.try_emplace(place, 0);
    if (!is_new) return at->second;
    const StateId state = at->second = builder_.add_state();
    if (!builder_.effort().spend(0)) return state;
    if (place.in_fraction) {
      if (place.digits > 0 && is_inside(place)) builder_.empty(state, to_);
      if (place.digits < fraction_max_) add_digits(state, place, false);
    } else if (place.digits == 0) {
      if (is_inside(place)) builder_.empty(state, to_);
      if (fraction_max_ > 0) {
        Place behind_point = place;
        behind_point.in_fraction = true;
        builder_.bytes(state, '.', '.', state_at(behind_point));
      }
    } else {
      add_digits(state, place, false);
    }
    return state;
  }

  void add_digits(StateId from, const Place& place, bool is_first) {
    const int low = place.at_low ? digit_of(*range_.low, place) : 0;
    const int high = place.at_high ? digit_of(*range_.high, place) : 9;
    // Zero leads only numbers below one.
    const int least = is_first && place.digits > 1 ? std::max(low, 1) : low;
    for (int digit = least; digit <= high;) {
      const StateId next = state_at(after(place, digit, low, high));
      int last = digit;
      while (last < high && after(place, last + 1, low, high) == after(place, digit, low, high))
        ++last;
      builder_.bytes(from, static_cast<uint8_t>('0' + digit), static_cast<uint8_t>('0' + last),
                     next);
      digit = last + 1;
    }
  }

  Place after(const Place& place, int digit, int low, int high) const {
    return {.in_fraction = place.in_fraction,
            .digits = place.in_fraction ? place.digits + 1 : place.digits - 1,
            .at_low = place.at_low && digit == low,
            .at_high = place.at_high && digit == high,
            .remainder = (place.remainder * 10 + static_cast<uint64_t>(digit)) % step_.size};
  }

  AutomatonBuilder& builder_;
  const NumberRange& range_;
  const StateId from_, to_;
  Step step_;
  size_t fraction_max_ = 0;
  std::map<Place, StateId> states_;
};

}  // namespace

// --- Decimal ---

std::optional<Decimal> Decimal::parse(std::string_view json) {
  Decimal out;
  if (json.starts_with('-')) {
    out.negative = true;
    json.remove_prefix(1);
  }
  int64_t exponent = 0;
  if (const size_t at = json.find_first_of("eE"); at != std::string_view::npos) {
    std::string_view digits = json.substr(at + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto value = parse_int(digits);
    if (!value) return std::nullopt;
    exponent = *value;
    json = json.substr(0, at);
  }
  const size_t point = json.find('.');
  std::string digits(json.substr(0, point));
  auto point_at = static_cast<int64_t>(digits.size());
  if (point != std::string_view::npos) digits += json.substr(point + 1);
  for (const char c : digits)
    if (c < '0' || c > '9') return std::nullopt;
  const size_t leading = std::min(digits.find_first_not_of('0'), digits.size());
  digits.erase(0, leading);
  point_at -= static_cast<int64_t>(leading);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.empty()) return Decimal{};
  if (exponent < -1000 || exponent > 1000 || digits.size() > 4 * kDigitsMax) return std::nullopt;
  point_at += exponent;
  const auto count = static_cast<int64_t>(digits.size());
  if (point_at > kDigitsMax || count - point_at > kDigitsMax) return std::nullopt;
  if (point_at <= 0) {
    out.fraction = std::string(static_cast<size_t>(-point_at), '0') + digits;
  } else {
    if (count < point_at) digits.append(static_cast<size_t>(point_at - count), '0');
    out.whole = digits.substr(0, static_cast<size_t>(point_at));
    out.fraction = digits.substr(static_cast<size_t>(point_at));
  }
  return out;
}

Decimal Decimal::negated() const {
  Decimal out = *this;
  if (!is_zero()) out.negative = !negative;
  return out;
}

int Decimal::compare(const Decimal& other) const {
  if (negative != other.negative) return negative ? -1 : 1;
  const int order = compare_magnitudes(*this, other);
  return negative ? -order : order;
}

// --- NumberRange ---

bool NumberRange::contains(const Decimal& value) const {
  if (whole && !value.is_whole()) return false;
  if (low && value.compare(*low) < (low_open ? 1 : 0)) return false;
  if (high && value.compare(*high) > (high_open ? -1 : 0)) return false;
  if (!multiple_of) return true;
  const auto step = step_of(*multiple_of);
  if (!step || value.fraction.size() > step->scale) return false;
  uint64_t remainder = 0;
  const std::string digits =
      value.whole + value.fraction + std::string(step->scale - value.fraction.size(), '0');
  for (const char c : digits)
    remainder = (remainder * 10 + static_cast<uint64_t>(c - '0')) % step->size;
  return remainder == 0;
}

void NumberRange::narrow_low(const Decimal& bound, bool open) {
  const int order = low ? bound.compare(*low) : 1;
  if (order > 0) low_open = open;
  if (order == 0) low_open |= open;
  if (order > 0) low = bound;
}

void NumberRange::narrow_high(const Decimal& bound, bool open) {
  const int order = high ? bound.compare(*high) : -1;
  if (order < 0) high_open = open;
  if (order == 0) high_open |= open;
  if (order < 0) high = bound;
}

void add_number(AutomatonBuilder& builder, StateId from, const NumberRange& range, StateId to) {
  if (range.low && range.high && range.low->compare(*range.high) > 0) return;
  const Decimal zero;
  if (!range.high || range.high->compare(zero) >= 0) {
    NumberRange positive = range;
    if (!range.low || range.low->negative) {
      positive.low = zero;
      positive.low_open = false;
    }
    MagnitudeWriter(builder, from, positive, to).write();
  }
  if (!range.low || range.low->negative) {
    // Mirrored; zero has no sign.
    NumberRange negative = range;
    negative.low = zero;
    negative.low_open = true;
    negative.high.reset();
    negative.high_open = false;
    if (range.high && range.high->negative) {
      negative.low = range.high->negated();
      negative.low_open = range.high_open;
    }
    if (range.low) {
      negative.high = range.low->negated();
      negative.high_open = range.low_open;
    }
    const StateId behind_sign = builder.add_state();
    builder.bytes(from, '-', '-', behind_sign);
    MagnitudeWriter(builder, behind_sign, negative, to).write();
  }
}

}  // namespace sis::text::grammar
