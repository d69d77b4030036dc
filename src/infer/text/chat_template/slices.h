// Python's indexing and slicing of text and sequences.
#pragma once

#include <optional>

#include "infer/text/chat_template/meter.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

// owner[start:stop:step]; each an int or None.
Value slice(const Value& owner, const Value& start, const Value& stop, const Value& step,
            Meter& meter);
// owner[index] of text, a list, tuple or range; nothing when out of range.
std::optional<Value> element(const Value& owner, int64_t index);

struct SliceBounds {
  int64_t start, stop, step;
};
// As slice.indices() for a sequence of `size`.
SliceBounds slice_bounds(const Value& start, const Value& stop, const Value& step, int64_t size);

}  // namespace sis::text::tmpl
