// Values that exist only while a template runs: views, ranges, iterators, loops, macros, methods.
//
// One rendering's thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/text/chat_template/arguments.h"
#include "infer/text/chat_template/ast.h"
#include "infer/text/chat_template/fault.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

class Interpreter;
struct Frame;

struct ViewObject : Object {
  enum Part : uint8_t { kKeys, kValues, kItems };
  ViewObject(Value owner, Part which) : Object(Kind::kView), dict(std::move(owner)), part(which) {
    depth = static_cast<uint16_t>(dict.depth() + 1);
  }
  const Value dict;
  const Part part;
};

struct RangeObject : Object {
  RangeObject(int64_t first, int64_t end, int64_t by)
      : Object(Kind::kRange), start(first), stop(end), step(by) {
    depth = 1;
  }
  int64_t size() const {
    const __int128 span =
        step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
    const __int128 by = step > 0 ? step : -static_cast<__int128>(step);
    const __int128 count = span <= 0 ? 0 : (span + by - 1) / by;
    return static_cast<int64_t>(std::min<__int128>(count, INT64_MAX));
  }
  Value at(int64_t index) const { return Value::integer(start + index * step); }
  const int64_t start, stop, step;
};

// What Python's generators are: can be gone through once. The items are computed beforehand; a
// fault met on the way waits for whoever gets that far.
struct IteratorObject : Object {
  IteratorObject(Value::Items values, std::optional<Fault> failure)
      : Object(Kind::kIterator), items(std::move(values)), fault(std::move(failure)) {
    for (const Value& item : items)
      depth = std::max<uint16_t>(depth, static_cast<uint16_t>(item.depth() + 1));
    if (depth == 0) depth = 1;
  }
  bool next(Value& out) {
    if (at < items.size()) {
      out = std::move(items[at++]);
      return true;
    }
    if (fault) {
      Fault thrown = *std::exchange(fault, std::nullopt);
      throw thrown;
    }
    return false;
  }
  Value::Items items;
  size_t at = 0;
  std::optional<Fault> fault;
};

struct NamespaceObject : Object {
  NamespaceObject() : Object(Kind::kNamespace) { depth = 1; }
  const Value* find(std::string_view name) const {
    for (const auto& [key, value] : entries)
      if (key.is_string() && key.text() == name) return &value;
    return nullptr;
  }
  void set(const Value& name, Value value) {
    for (auto& entry : entries)
      if (compare_keys(entry.first, name) == 0) {
        entry.second = std::move(value);
        return;
      }
    entries.emplace_back(name, std::move(value));
  }
  Value::Entries entries;
};

// Gives a loop its items one by one.
class LoopSource {
 public:
  virtual ~LoopSource() = default;
  virtual bool next(Value& out) = 0;
  virtual int64_t size() const = 0;  // of all items; -1 when it must be counted
};

// The `loop` variable.
struct LoopObject : Object {
  explicit LoopObject(LoopSource& items) : Object(Kind::kLoop), source(&items) { depth = 1; }

  bool advance() {
    Value item;
    if (has_after) {
      item = std::move(after);
      has_after = false;
    } else if (!pull(item)) {
      return false;
    }
    ++index0;
    before = std::move(current);
    current = std::move(item);
    return true;
  }
  bool peek() {
    if (!has_after) has_after = pull(after);
    return has_after;
  }
  int64_t length() const {
    if (known_length < 0 && source != nullptr) known_length = source->size();
    if (known_length < 0) {
      Value::Items ahead;
      for (Value item; pull(item);) ahead.push_back(std::move(item));
      std::reverse(ahead.begin(), ahead.end());
      rest = std::move(ahead);
      drained = true;
      known_length = static_cast<int64_t>(rest.size()) + index0 + 1 + has_after;
    }
    return known_length;
  }
  bool pull(Value& out) const {
    if (!rest.empty()) {
      out = std::move(rest.back());
      rest.pop_back();
      return true;
    }
    return !drained && source != nullptr && source->next(out);
  }

  LoopSource* source;  // null once the loop is over
  int64_t index0 = -1;
  int64_t depth0 = 0;
  Value current, before, after;
  bool has_after = false;
  std::optional<Value> changed_from;
  const Stmt* recursive = nullptr;  // the loop to run when called
  Frame* outer = nullptr;
  mutable Value::Items rest;  // counted ahead, last first
  mutable bool drained = false;
  mutable int64_t known_length = -1;
};

struct MacroObject : Object {
  MacroObject(const Stmt& definition, Frame& around)
      : Object(Kind::kMacro), stmt(definition), frame(around) {
    depth = 1;
  }
  std::string_view name() const {
    return stmt.function->name.is_string() ? stmt.function->name.text() : std::string_view();
  }
  const Stmt& stmt;
  Frame& frame;
};

using GlobalFunction = Value (*)(Interpreter&, Arguments&);
struct FunctionObject : Object {
  FunctionObject(std::string_view function_name, GlobalFunction code)
      : Object(Kind::kFunction), name(function_name), call(code) {
    depth = 1;
  }
  const std::string_view name;
  const GlobalFunction call;
};

using MethodFunction = Value (*)(Interpreter&, const Value& self, Arguments&);
struct MethodObject : Object {
  MethodObject(Value owner, MethodFunction code)
      : Object(Kind::kMethod), self(std::move(owner)), call(code) {
    depth = static_cast<uint16_t>(self.depth() + 1);
  }
  const Value self;
  const MethodFunction call;
};

struct CyclerObject : Object {
  explicit CyclerObject(Value all) : Object(Kind::kCycler), items(std::move(all)) {
    depth = static_cast<uint16_t>(items.depth() + 1);
  }
  const Value items;  // a tuple
  size_t position = 0;
};

struct JoinerObject : Object {
  explicit JoinerObject(Value text) : Object(Kind::kJoiner), separator(std::move(text)) {
    depth = static_cast<uint16_t>(separator.depth() + 1);
  }
  const Value separator;
  bool used = false;
};

}  // namespace sis::text::tmpl
