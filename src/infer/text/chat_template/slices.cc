#include "infer/text/chat_template/slices.h"

#include <algorithm>

#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/runtime_objects.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

std::optional<int64_t> bound(const Value& value) {
  if (value.is(Kind::kNone)) return std::nullopt;
  if (value.is_integral()) return value.as_int();
  fail("slice indices must be integers or None");
}

int64_t clamp(std::optional<int64_t> given, int64_t fallback, int64_t low, int64_t high,
              int64_t size) {
  if (!given) return fallback;
  const int64_t at = *given < 0 ? *given + size : *given;
  return std::clamp(at, low, high);
}

template <class Fn>
void for_each_index(const SliceBounds& bounds, Fn&& fn) {
  // Counted, so that a huge step cannot overflow.
  const int64_t span = bounds.step > 0 ? bounds.stop - bounds.start : bounds.start - bounds.stop;
  if (span <= 0) return;
  const uint64_t by =
      bounds.step > 0 ? static_cast<uint64_t>(bounds.step) : 0 - static_cast<uint64_t>(bounds.step);
  const uint64_t count = (static_cast<uint64_t>(span) - 1) / by + 1;
  for (uint64_t i = 0; i < count; ++i) fn(bounds.start + static_cast<int64_t>(i) * bounds.step);
}

}  // namespace

SliceBounds slice_bounds(const Value& start, const Value& stop, const Value& step, int64_t size) {
  const int64_t by = bound(step).value_or(1);
  if (by == 0) fail("slice step cannot be zero");
  const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
  return {clamp(bound(start), by > 0 ? low : high, low, high, size),
          clamp(bound(stop), by > 0 ? high : low, low, high, size), by};
}

Value slice(const Value& owner, const Value& start, const Value& stop, const Value& step,
            Meter& meter) {
  want_defined(owner);
  if (owner.is_string()) {
    const std::string_view text = owner.text();
    const bool plain = is_ascii(text);
    meter.steps(1 + text.size() / 64);
    const auto size = static_cast<int64_t>(plain ? text.size() : count_chars(text));
    const SliceBounds bounds = slice_bounds(start, stop, step, size);
    if (bounds.step == 1) {
      if (bounds.start >= bounds.stop) return Value::string("");
      const size_t begin = byte_of_char(text, static_cast<size_t>(bounds.start));
      const size_t length =
          byte_of_char(text.substr(begin), static_cast<size_t>(bounds.stop - bounds.start));
      return make_string(std::string(text.substr(begin, length)), meter);
    }
    std::string out;
    if (plain) {
      for_each_index(bounds, [&](int64_t i) { out += text[static_cast<size_t>(i)]; });
    } else {
      meter.values(text.size());
      const auto chars = split_chars(text);
      for_each_index(bounds, [&](int64_t i) { out += chars[static_cast<size_t>(i)]; });
    }
    return make_string(std::move(out), meter);
  }
  if (owner.is_sequence()) {
    const Value::Items& items = owner.items();
    const SliceBounds bounds = slice_bounds(start, stop, step, static_cast<int64_t>(items.size()));
    Value::Items out;
    for_each_index(bounds, [&](int64_t i) { out.push_back(items[static_cast<size_t>(i)]); });
    return owner.is(Kind::kList) ? make_list(std::move(out), meter)
                                 : make_tuple(std::move(out), meter);
  }
  if (owner.is(Kind::kRange)) {
    const auto& range = owner.as<RangeObject>();
    const SliceBounds bounds = slice_bounds(start, stop, step, range.size());
    const int64_t step_max = range.size() + 1;
    return Value::adopt(new RangeObject(range.start + bounds.start * range.step,
                                        range.start + bounds.stop * range.step,
                                        range.step * std::clamp(bounds.step, -step_max, step_max)));
  }
  fail("'", type_name(owner), "' object is not subscriptable by a slice");
}

std::optional<Value> element(const Value& owner, int64_t index) {
  if (owner.is_string()) {
    const std::string_view text = owner.text();
    if (index < 0) index += static_cast<int64_t>(is_ascii(text) ? text.size() : count_chars(text));
    if (index < 0) return std::nullopt;
    const size_t begin = byte_of_char(text, static_cast<size_t>(index));
    if (begin >= text.size()) return std::nullopt;
    size_t end = begin;
    next_char(text, end);
    return Value::string(std::string(text.substr(begin, end - begin)));
  }
  const int64_t size = length(owner);
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  if (owner.is(Kind::kRange)) return owner.as<RangeObject>().at(index);
  return owner.items()[static_cast<size_t>(index)];
}

}  // namespace sis::text::tmpl
