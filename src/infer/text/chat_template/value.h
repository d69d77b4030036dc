// What template variables hold: Python's values, as far as templates can see them.
//
// A Value is two words and cheap to copy; strings and containers are shared and never change after
// they are built, so a Value may be read from any thread. What templates can change (namespaces,
// loops, iterators) lives in objects of its own that exist during one rendering only
// (runtime_objects.h). Dictionaries keep their order and find keys without hashing, so no input
// makes them slow.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sis::text::tmpl {

enum class Kind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kUndefined,  // from here on there is an object (which kUndefined may lack)
  kBigInt,     // an integer beyond 64 bits, kept as its digits: printed, never computed with
  kString,
  kList,
  kTuple,
  kDict,
  kView,  // dict.keys(), .values(), .items()
  kRange,
  kIterator,
  kNamespace,
  kLoop,
  kMacro,
  kFunction,
  kMethod,
  kCycler,
  kJoiner,
};

struct Object {
  explicit Object(Kind object_kind) : kind(object_kind) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // Never freed by counting; for what a parsed template owns, so that threads do not fight over it.
  static constexpr uint32_t kPermanent = 1u << 31;

  std::atomic<uint32_t> references{1};
  const Kind kind;
  uint16_t depth = 0;  // levels of values inside this one
};

struct StringObject;
struct SequenceObject;
struct DictObject;
struct UndefinedObject;

class Value {
 public:
  Value() = default;  // undefined, without a name
  Value(const Value& other) : kind_(other.kind_), payload_(other.payload_) { retain(); }
  Value(Value&& other) noexcept : kind_(other.kind_), payload_(other.payload_) {
    other.kind_ = Kind::kUndefined;
    other.payload_.object = nullptr;
  }
  Value& operator=(Value other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(payload_, other.payload_);
    return *this;
  }
  ~Value() { release(); }

  using Items = std::vector<Value>;
  using Entries = std::vector<std::pair<Value, Value>>;

  static Value none() { return Value(Kind::kNone, Payload{.integer = 0}); }
  static Value boolean(bool value) { return Value(Kind::kBool, Payload{.integer = value}); }
  static Value integer(int64_t value) { return Value(Kind::kInt, Payload{.integer = value}); }
  static Value real(double value) { return Value(Kind::kFloat, Payload{.real = value}); }
  static Value big_integer(std::string digits);
  static Value string(std::string text);
  static Value list(Items items);
  static Value tuple(Items items);
  // Later entries replace earlier ones of the same key, which keep their place. Keys that Python
  // cannot hash are the caller's to refuse (is_hashable).
  static Value dict(Entries entries);
  // Takes over the one reference `object` was made with.
  static Value adopt(Object* object) { return Value(object->kind, Payload{.object = object}); }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }  // as in Python
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  // Each wants its kind.
  bool as_bool() const { return payload_.integer != 0; }
  int64_t as_int() const { return payload_.integer; }  // also of a boolean
  double as_float() const { return payload_.real; }
  std::string_view text() const;  // also the digits of a kBigInt
  const Items& items() const;     // of a list or tuple
  const Entries& entries() const;
  const DictObject& as_dict() const;
  Object* object() const { return payload_.object; }  // null for an undefined without a name
  template <class T>
  T& as() const {
    return *static_cast<T*>(payload_.object);
  }

  // An int, float or bool as a float.
  double number() const {
    return kind_ == Kind::kFloat ? payload_.real : static_cast<double>(payload_.integer);
  }
  uint16_t depth() const { return has_object() ? payload_.object->depth : 0; }
  bool same_object(const Value& other) const {
    return kind_ == other.kind_ && payload_.integer == other.payload_.integer;
  }
  // Turns counting off and on again for an object that others will not outlive: see kPermanent.
  void set_permanent(bool permanent);

 private:
  union Payload {
    int64_t integer;
    double real;
    Object* object;
  };
  Value(Kind kind, Payload payload) : kind_(kind), payload_(payload) {}
  bool has_object() const { return kind_ >= Kind::kUndefined && payload_.object != nullptr; }
  void retain() const {
    if (has_object() &&
        (payload_.object->references.load(std::memory_order_relaxed) & Object::kPermanent) == 0)
      payload_.object->references.fetch_add(1, std::memory_order_relaxed);
  }
  void release() {
    if (!has_object()) return;
    if ((payload_.object->references.load(std::memory_order_relaxed) & Object::kPermanent) != 0)
      return;
    if (payload_.object->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete payload_.object;
  }

  Kind kind_ = Kind::kUndefined;
  Payload payload_{.object = nullptr};
};

struct StringObject : Object {
  StringObject(Kind kind, std::string bytes) : Object(kind), text(std::move(bytes)) {}
  std::string text;  // UTF-8
};

struct SequenceObject : Object {
  SequenceObject(Kind kind, Value::Items values);
  Value::Items items;
  bool is_group = false;  // a groupby pair, which has .grouper and .list
};

struct DictObject : Object {
  explicit DictObject(Value::Entries pairs);
  const Value* find(const Value& key) const;  // null when absent
  const Value* find(std::string_view key) const;

  Value::Entries entries;
  std::vector<uint32_t> order;  // entries by key; empty while there are few
};

// Absent values know what was asked for, so that using them can say it.
struct UndefinedObject : Object {
  UndefinedObject() : Object(Kind::kUndefined) {}
  std::string hint;             // the whole message, if there is one
  const char* owner = nullptr;  // "dict object"; null: a plain variable
  Value name;                   // what was looked up
};

Value undefined_hint(std::string message);
Value undefined_name(const Value& name);
Value undefined_member(const Value& owner, const Value& name);
// "'dict object' has no attribute 'x'"
std::string undefined_message(const Value& undefined);

// Python's type(value).__name__
const char* type_name(const Value& value);
// Of two ints, floats or booleans (neither a NaN), exactly.
int compare_numbers(const Value& a, const Value& b);
// An order of all values that can be keys: equal in Python exactly when 0. Numbers, then text, ...
int compare_keys(const Value& a, const Value& b);
// Large nested tuples do not count, although Python takes them.
bool is_hashable(const Value& value);

inline std::string_view Value::text() const { return as<StringObject>().text; }
inline const Value::Items& Value::items() const { return as<SequenceObject>().items; }
inline const Value::Entries& Value::entries() const { return as<DictObject>().entries; }
inline const DictObject& Value::as_dict() const { return as<DictObject>(); }

}  // namespace sis::text::tmpl
