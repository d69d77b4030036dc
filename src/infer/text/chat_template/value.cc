#include "infer/text/chat_template/value.h"

#include <algorithm>
#include <cmath>

#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/runtime_objects.h"

namespace sis::text::tmpl {
namespace {

constexpr size_t kFewEntries = 8;  // searched one by one
// Tuples as keys stay small, so that comparing two is cheap.
constexpr uint16_t kKeyDepthMax = 3;
constexpr size_t kKeyItemsMax = 16;

void deepen(Object& object, const Value& member) {
  const uint16_t depth = member.depth();
  object.depth = std::max<uint16_t>(object.depth, depth == UINT16_MAX ? depth : depth + 1);
}

int key_class(const Value& key) {
  switch (key.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return 0;
    case Kind::kBigInt:
      return 1;
    case Kind::kString:
      return 2;
    case Kind::kNone:
      return 3;
    case Kind::kUndefined:
      return 4;
    case Kind::kTuple:
      return 5;
    default:
      return 6;
  }
}

template <class T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// As error messages call it: with the module, unless it is Python's own.
const char* full_type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kNamespace:
      return "jinja2.utils.Namespace";
    case Kind::kLoop:
      return "jinja2.runtime.LoopContext";
    case Kind::kMacro:
      return "jinja2.runtime.Macro";
    case Kind::kCycler:
      return "jinja2.utils.Cycler";
    case Kind::kJoiner:
      return "jinja2.utils.Joiner";
    default:
      return type_name(value);
  }
}

}  // namespace

Value Value::big_integer(std::string digits) {
  return adopt(new StringObject(Kind::kBigInt, std::move(digits)));
}

Value Value::string(std::string text) {
  return adopt(new StringObject(Kind::kString, std::move(text)));
}

Value Value::list(Items items) { return adopt(new SequenceObject(Kind::kList, std::move(items))); }

Value Value::tuple(Items items) {
  return adopt(new SequenceObject(Kind::kTuple, std::move(items)));
}

Value Value::dict(Entries entries) { return adopt(new DictObject(std::move(entries))); }

void Value::set_permanent(bool permanent) {
  if (!has_object()) return;
  if (permanent)
    object()->references |= Object::kPermanent;
  else
    object()->references &= ~Object::kPermanent;
  if (is_undefined()) as<UndefinedObject>().name.set_permanent(permanent);
}

SequenceObject::SequenceObject(Kind kind, Value::Items values)
    : Object(kind), items(std::move(values)) {
  for (const Value& item : items) deepen(*this, item);
  if (depth == 0) depth = 1;
}

DictObject::DictObject(Value::Entries pairs) : Object(Kind::kDict), entries(std::move(pairs)) {
  if (entries.size() <= kFewEntries) {
    for (size_t i = 1; i < entries.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (compare_keys(entries[i].first, entries[j].first) == 0) {
          entries[j].second = std::move(entries[i].second);
          entries.erase(entries.begin() + static_cast<ptrdiff_t>(i--));
          break;
        }
  } else {
    const auto less = [&](uint32_t a, uint32_t b) {
      const int way = compare_keys(entries[a].first, entries[b].first);
      return way != 0 ? way < 0 : a < b;
    };
    std::vector<uint32_t> sorted(entries.size());
    for (uint32_t i = 0; i < sorted.size(); ++i) sorted[i] = i;
    std::sort(sorted.begin(), sorted.end(), less);
    // The first of equal keys stays and takes the last one's value.
    std::vector<bool> drop(entries.size(), false);
    bool any = false;
    for (size_t i = 0; i < sorted.size();) {
      size_t end = i + 1;
      while (end < sorted.size() &&
             compare_keys(entries[sorted[i]].first, entries[sorted[end]].first) == 0)
        drop[sorted[end++]] = any = true;
      if (end > i + 1) entries[sorted[i]].second = std::move(entries[sorted[end - 1]].second);
      i = end;
    }
    if (any) {
      size_t kept = 0;
      for (size_t i = 0; i < entries.size(); ++i)
        if (!drop[i]) {
          if (kept != i) entries[kept] = std::move(entries[i]);
          ++kept;
        }
      entries.resize(kept);
      sorted.resize(kept);
      for (uint32_t i = 0; i < kept; ++i) sorted[i] = i;
      std::sort(sorted.begin(), sorted.end(), less);
    }
    order = std::move(sorted);
  }
  for (const auto& [key, value] : entries) {
    deepen(*this, key);
    deepen(*this, value);
  }
  if (depth == 0) depth = 1;
}

const Value* DictObject::find(const Value& key) const {
  if (key.is_string()) return find(key.text());
  if (order.empty()) {
    for (const auto& entry : entries)
      if (compare_keys(entry.first, key) == 0) return &entry.second;
    return nullptr;
  }
  const auto at = std::lower_bound(
      order.begin(), order.end(), key,
      [&](uint32_t i, const Value& want) { return compare_keys(entries[i].first, want) < 0; });
  return at != order.end() && compare_keys(entries[*at].first, key) == 0 ? &entries[*at].second
                                                                         : nullptr;
}

const Value* DictObject::find(std::string_view key) const {
  if (order.empty()) {
    for (const auto& entry : entries)
      if (entry.first.is_string() && entry.first.text() == key) return &entry.second;
    return nullptr;
  }
  const auto at =
      std::lower_bound(order.begin(), order.end(), key, [&](uint32_t i, std::string_view want) {
        const Value& have = entries[i].first;
        return have.is_string() ? have.text() < want : key_class(have) < 2;
      });
  return at != order.end() && entries[*at].first.is_string() && entries[*at].first.text() == key
             ? &entries[*at].second
             : nullptr;
}

Value undefined_hint(std::string message) {
  auto* object = new UndefinedObject;
  object->hint = std::move(message);
  return Value::adopt(object);
}

Value undefined_name(const Value& name) {
  auto* object = new UndefinedObject;
  object->name = name;
  return Value::adopt(object);
}

Value undefined_member(const Value& owner, const Value& name) {
  auto* object = new UndefinedObject;
  object->owner = full_type_name(owner);
  object->name = name;
  return Value::adopt(object);
}

std::string undefined_message(const Value& undefined) {
  if (undefined.object() == nullptr) return "a value is undefined";
  const auto& object = undefined.as<UndefinedObject>();
  if (!object.hint.empty()) return object.hint;
  const std::string name = to_repr(object.name);
  if (object.owner == nullptr) return name + " is undefined";
  const std::string_view type = object.owner;
  const std::string owner = type == "NoneType" ? "None" : concat(type, " object");
  if (!object.name.is_string()) return concat(owner, " has no element ", name);
  return concat("'", owner, "' has no attribute ", name);
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kBigInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      switch (value.as<ViewObject>().part) {
        case ViewObject::kKeys:
          return "dict_keys";
        case ViewObject::kValues:
          return "dict_values";
        case ViewObject::kItems:
          return "dict_items";
      }
      break;
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kMethod:
      return "method";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

int compare_numbers(const Value& a, const Value& b) {
  const bool float_a = a.is(Kind::kFloat), float_b = b.is(Kind::kFloat);
  if (float_a && float_b) return three_way(a.as_float(), b.as_float());
  if (!float_a && !float_b) return three_way(a.as_int(), b.as_int());
  if (float_a) return -compare_numbers(b, a);
  // Exact, where turning the integer into a float would round it.
  const int64_t whole = a.as_int();
  const double other = b.as_float();
  if (other >= 0x1p63) return -1;
  if (other < -0x1p63) return 1;
  const double floor = std::floor(other);
  const int way = three_way(whole, static_cast<int64_t>(floor));
  return way != 0 ? way : other > floor ? -1 : 0;
}

int compare_keys(const Value& a, const Value& b) {
  const int class_a = key_class(a), class_b = key_class(b);
  if (class_a != class_b) return class_a < class_b ? -1 : 1;
  switch (class_a) {
    case 0: {
      const double x = a.number(), y = b.number();
      if (std::isnan(x) || std::isnan(y)) return three_way(std::isnan(x), std::isnan(y));
      return compare_numbers(a, b);
    }
    case 1:
    case 2:
      return three_way(a.text().compare(b.text()), 0);
    case 3:
    case 4:
      return 0;
    case 5: {
      const auto &x = a.items(), &y = b.items();
      for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
        if (const int way = compare_keys(x[i], y[i]); way != 0) return way;
      return three_way(x.size(), y.size());
    }
    default:
      return three_way(a.object(), b.object());
  }
}

bool is_hashable(const Value& value) {
  if (value.is(Kind::kTuple))
    return value.depth() <= kKeyDepthMax && value.items().size() <= kKeyItemsMax &&
           std::all_of(value.items().begin(), value.items().end(), is_hashable);
  return !value.is(Kind::kList) && !value.is(Kind::kDict) && !value.is(Kind::kView);
}

}  // namespace sis::text::tmpl
