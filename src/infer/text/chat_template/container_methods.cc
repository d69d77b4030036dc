// Methods of lists, tuples, dictionaries and ranges; attribute and item look-up on everything.
#include <algorithm>

#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/methods.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/slices.h"

namespace sis::text::tmpl {
namespace {

template <ViewObject::Part kPart>
Value view(Interpreter&, const Value& self, Arguments& arguments) {
  bind_none("dict view", arguments);
  Value made = Value::adopt(new ViewObject(self, kPart));
  check_depth(made);
  return made;
}

Value dict_get(Interpreter&, const Value& self, Arguments& arguments) {
  const auto [key, fallback] = bind_plain<2>("get", arguments, 1);
  if (!is_hashable(*key)) fail("unhashable type: '", type_name(*key), "'");
  if (const Value* found = self.as_dict().find(*key)) return *found;
  return fallback != nullptr ? *fallback : Value::none();
}

Value copy(Interpreter&, const Value& self, Arguments& arguments) {
  bind_none("copy", arguments);
  return self;  // nothing can change either of them
}

Value fromkeys(Interpreter& in, const Value&, Arguments& arguments) {
  const auto [keys, value] = bind_plain<2>("fromkeys", arguments, 1);
  Value::Entries entries;
  for (Value& key : iterate(*keys, in.meter()))
    entries.emplace_back(std::move(key), value != nullptr ? *value : Value::none());
  return make_dict(std::move(entries), in.meter());
}

Value count(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [wanted] = bind_plain<1>("count", arguments, 1);
  int64_t found = 0;
  for (const Value& item : iterate(self, in.meter())) found += equals(item, *wanted, in.meter());
  return Value::integer(found);
}

Value index(Interpreter& in, const Value& self, Arguments& arguments) {
  const auto [wanted, start, stop] = bind_plain<3>("index", arguments, 1);
  const Value::Items items = iterate(self, in.meter());
  const auto bound = [](const Value* value) {
    if (value != nullptr && !value->is_integral()) fail("index() wants integers as positions");
    return value != nullptr ? *value : Value::none();
  };
  const SliceBounds range =
      slice_bounds(bound(start), bound(stop), Value::none(), static_cast<int64_t>(items.size()));
  for (int64_t i = range.start; i < range.stop; ++i)
    if (equals(items[static_cast<size_t>(i)], *wanted, in.meter())) return Value::integer(i);
  fail(to_repr(*wanted), " is not in ", type_name(self));
}

constexpr std::string_view kObjectMembers[] = {
    "__class__",    "__contains__", "__delattr__",     "__dir__",          "__doc__",
    "__eq__",       "__format__",   "__ge__",          "__getattribute__", "__getitem__",
    "__getstate__", "__gt__",       "__hash__",        "__init__",         "__init_subclass__",
    "__iter__",     "__le__",       "__len__",         "__lt__",           "__ne__",
    "__new__",      "__reduce__",   "__reduce_ex__",   "__repr__",         "__setattr__",
    "__sizeof__",   "__str__",      "__subclasshook__"};

bool any_of(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value loop_attribute(Interpreter& in, LoopObject& loop, const Value& name, const Value& self) {
  const std::string_view key = name.text();
  const auto integer = [](int64_t value) { return Value::integer(value); };
  if (key == "index") return integer(loop.index0 + 1);
  if (key == "index0") return integer(loop.index0);
  if (key == "first") return Value::boolean(loop.index0 == 0);
  if (key == "last") return Value::boolean(!loop.peek());
  if (key == "length") return integer(loop.length());
  if (key == "revindex") return integer(loop.length() - loop.index0);
  if (key == "revindex0") return integer(loop.length() - loop.index0 - 1);
  if (key == "depth") return integer(loop.depth0 + 1);
  if (key == "depth0") return integer(loop.depth0);
  if (key == "previtem")
    return loop.index0 == 0 ? undefined_hint("there is no previous item") : loop.before;
  if (key == "nextitem") return loop.peek() ? loop.after : undefined_hint("there is no next item");
  if (key == "cycle")
    return Value::adopt(new MethodObject(self, [](Interpreter&, const Value& owner, Arguments& a) {
      const auto count = static_cast<int64_t>(a.positional.size());
      if (!a.named.empty() || count == 0) fail("no items for cycling given");
      const int64_t at = owner.as<LoopObject>().index0;
      return a.positional[static_cast<size_t>(((at % count) + count) % count)];
    }));
  if (key == "changed")
    return Value::adopt(
        new MethodObject(self, [](Interpreter& interpreter, const Value& owner, Arguments& a) {
          auto& state = owner.as<LoopObject>();
          Value now = make_tuple({a.positional.begin(), a.positional.end()}, interpreter.meter());
          if (state.changed_from && equals(*state.changed_from, now, interpreter.meter()))
            return Value::boolean(false);
          // A loop that is over keeps nothing: what it held could be itself.
          if (state.source != nullptr) state.changed_from = std::move(now);
          return Value::boolean(true);
        }));
  in.meter().steps();
  return undefined_member(self, name);
}

Value macro_attribute(Interpreter& in, const Value& owner, const Value& name) {
  const auto& macro = owner.as<MacroObject>();
  const Function& function = *macro.stmt.function;
  const std::string_view key = name.text();
  if (key == "name") return function.name.is_string() ? function.name : Value::none();
  if (key == "arguments") {
    Value::Items names;
    for (const Parameter& parameter : function.parameters) names.push_back(parameter.name);
    return make_tuple(std::move(names), in.meter());
  }
  if (key == "catch_kwargs") return Value::boolean(function.wants_named);
  if (key == "catch_varargs") return Value::boolean(function.wants_positional);
  if (key == "caller") return Value::boolean(function.wants_caller);
  if (key == "explicit_caller") return Value::boolean(function.explicit_caller);
  return undefined_member(owner, name);
}

Value cycler_attribute(const Value& owner, const Value& name) {
  const auto& cycler = owner.as<CyclerObject>();
  const std::string_view key = name.text();
  if (key == "current") return cycler.items.items()[cycler.position];
  if (key == "items") return cycler.items;
  if (key == "pos") return Value::integer(static_cast<int64_t>(cycler.position));
  if (key == "next")
    return Value::adopt(new MethodObject(owner, [](Interpreter&, const Value& self, Arguments& a) {
      bind_none("next", a);
      auto& state = self.as<CyclerObject>();
      const Value& now = state.items.items()[state.position];
      state.position = (state.position + 1) % state.items.items().size();
      return now;
    }));
  if (key == "reset")
    return Value::adopt(new MethodObject(owner, [](Interpreter&, const Value& self, Arguments& a) {
      bind_none("reset", a);
      self.as<CyclerObject>().position = 0;
      return Value::none();
    }));
  return undefined_member(owner, name);
}

// What the attribute syntax finds on the object itself; nothing when Python finds none.
std::optional<Value> own_attribute(Interpreter& in, const Value& owner, const Value& name) {
  const std::string_view key = name.text();
  const auto unsafe = [&] {
    return undefined_hint(
        concat("access to attribute '", key, "' of '", type_name(owner), "' object is unsafe."));
  };
  if (owner.is(Kind::kNamespace)) {
    const Value* found = owner.as<NamespaceObject>().find(key);
    if (found == nullptr) return std::nullopt;
    return key.starts_with('_') ? unsafe() : *found;
  }
  if (const MethodFunction method = find_method(owner.kind(), key))
    return Value::adopt(new MethodObject(owner, method));
  if (has_attribute(owner.kind(), key)) return unsafe();
  switch (owner.kind()) {
    case Kind::kLoop:
      return loop_attribute(in, owner.as<LoopObject>(), name, owner);
    case Kind::kMacro:
      return macro_attribute(in, owner, name);
    case Kind::kCycler:
      return cycler_attribute(owner, name);
    case Kind::kJoiner:
      if (key == "sep") return owner.as<JoinerObject>().separator;
      if (key == "used") return Value::boolean(owner.as<JoinerObject>().used);
      return std::nullopt;
    case Kind::kTuple:
      if (owner.as<SequenceObject>().is_group && (key == "grouper" || key == "list"))
        return owner.items()[key == "list"];
      return std::nullopt;
    case Kind::kRange: {
      const auto& range = owner.as<RangeObject>();
      if (key == "start") return Value::integer(range.start);
      if (key == "stop") return Value::integer(range.stop);
      if (key == "step") return Value::integer(range.step);
      return std::nullopt;
    }
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kBigInt:
      if (key == "real" || (key == "numerator" && !owner.is(Kind::kFloat)))
        return owner.is(Kind::kBigInt) ? owner : negated(Op::kPos, owner);
      if (key == "imag") return owner.is(Kind::kFloat) ? Value::real(0) : Value::integer(0);
      if (key == "denominator" && !owner.is(Kind::kFloat)) return Value::integer(1);
      if (any_of({"as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes",
                  "fromhex", "hex", "is_integer", "to_bytes"},
                 key))
        fail("the attribute '", key, "' of numbers is not supported");
      return std::nullopt;
    case Kind::kFunction:
      if (key == "fromkeys" && owner.as<FunctionObject>().name == "dict")
        return Value::adopt(new MethodObject(owner, fromkeys));
      [[fallthrough]];
    case Kind::kIterator:
    case Kind::kView:
    case Kind::kMethod:
      if (any_of({"send", "throw", "close", "isdisjoint", "mapping", "func", "args"}, key))
        fail("the attribute '", key, "' is not supported");
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace

MethodFunction find_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::kString:
      return find_string_method(name);
    case Kind::kDict:
      if (name == "get") return dict_get;
      if (name == "items") return view<ViewObject::kItems>;
      if (name == "keys") return view<ViewObject::kKeys>;
      if (name == "values") return view<ViewObject::kValues>;
      if (name == "copy") return copy;
      if (name == "fromkeys") return fromkeys;
      return nullptr;
    case Kind::kList:
      if (name == "copy") return copy;
      [[fallthrough]];
    case Kind::kTuple:
    case Kind::kRange:
      if (name == "count") return count;
      if (name == "index") return index;
      return nullptr;
    default:
      return nullptr;
  }
}

bool is_mutator(Kind kind, std::string_view name) {
  if (kind == Kind::kList)
    return any_of({"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"},
                  name);
  return kind == Kind::kDict && any_of({"clear", "pop", "popitem", "setdefault", "update"}, name);
}

bool has_attribute(Kind kind, std::string_view name) {
  if (name.starts_with('_'))
    return kind != Kind::kNamespace &&
           std::find(std::begin(kObjectMembers), std::end(kObjectMembers), name) !=
               std::end(kObjectMembers);
  return is_mutator(kind, name) || find_method(kind, name) != nullptr;
}

Value Interpreter::get_attribute(const Value& owner, const Value& name) {
  // An undefined value has the members of any object, which are refused like theirs.
  if (!has_attribute(owner.kind(), name.text())) want_defined(owner);
  if (auto found = own_attribute(*this, owner, name)) return std::move(*found);
  if (owner.is(Kind::kDict))
    if (const Value* found = owner.as_dict().find(name.text())) return *found;
  return undefined_member(owner, name);
}

Value Interpreter::get_own_attribute(const Value& owner, const Value& name) {
  if (auto found = own_attribute(*this, owner, name)) return std::move(*found);
  return undefined_member(owner, name);
}

Value Interpreter::get_item(const Value& owner, const Value& key) {
  want_defined(owner);
  if (owner.is(Kind::kDict)) {
    if (is_hashable(key))
      if (const Value* found = owner.as_dict().find(key)) return *found;
  } else if (key.is_integral() &&
             (owner.is_string() || owner.is_sequence() || owner.is(Kind::kRange))) {
    meter_.steps(owner.is_string() ? 1 + owner.text().size() / 64 : 1);
    if (auto found = element(owner, key.as_int())) return std::move(*found);
  }
  if (key.is_string())
    if (auto found = own_attribute(*this, owner, key)) return std::move(*found);
  return undefined_member(owner, key);
}

}  // namespace sis::text::tmpl
