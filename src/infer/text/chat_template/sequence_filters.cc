// Filters on lists, dictionaries and everything else that can be gone through.
#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "infer/text/chat_template/filters.h"
#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {
namespace {

bool flag(Interpreter& in, const Value* value) { return value != nullptr && in.is_true(*value); }

Value ignore_case(const Value& value, bool case_sensitive, Meter& meter) {
  if (case_sensitive || !value.is_string()) return value;
  return make_string(to_lower_case(value.text()), meter);
}

// Python's generators compute on demand: what fails is only met by whoever gets there.
template <class Fill>
Value lazily(Fill&& fill) {
  Value::Items items;
  std::optional<Fault> fault;
  try {
    fill(items);
  } catch (Fault& met) {
    if (met.code == Code::kTooLarge) throw;
    fault = std::move(met);
  }
  Value made = Value::adopt(new IteratorObject(std::move(items), std::move(fault)));
  check_depth(made);
  return made;
}

// Stable, and safe with any comparison. `first` holds when its first argument must come first.
using Order = std::function<bool(const Value&, const Value&)>;
void merge_sort(std::vector<std::pair<Value, Value>>& keyed, const Order& first) {
  std::vector<std::pair<Value, Value>> merged(keyed.size());
  for (size_t width = 1; width < keyed.size(); width *= 2) {
    for (size_t begin = 0; begin < keyed.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, keyed.size());
      const size_t end = std::min(begin + 2 * width, keyed.size());
      size_t left = begin, right = middle, out = begin;
      while (left < middle && right < end)
        merged[out++] = first(keyed[right].first, keyed[left].first) ? std::move(keyed[right++])
                                                                     : std::move(keyed[left++]);
      while (left < middle) merged[out++] = std::move(keyed[left++]);
      while (right < end) merged[out++] = std::move(keyed[right++]);
    }
    keyed.swap(merged);
  }
}

Value::Items sorted_by(Interpreter& in, Value::Items items,
                       const std::function<Value(const Value&)>& key, bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  in.meter().values(4 * items.size());
  for (Value& item : items) keyed.emplace_back(key(item), item);
  // Reversing twice keeps equal ones in order.
  if (reverse) std::reverse(keyed.begin(), keyed.end());
  merge_sort(keyed, [&](const Value& a, const Value& b) { return less(a, b, in.meter()); });
  if (reverse) std::reverse(keyed.begin(), keyed.end());
  for (size_t i = 0; i < items.size(); ++i) items[i] = std::move(keyed[i].second);
  return items;
}

Value first(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("first", arguments);
  if (subject.is(Kind::kIterator)) {
    Value item;
    if (subject.as<IteratorObject>().next(item)) return item;
    return undefined_hint("No first item, sequence was empty.");
  }
  if (subject.is_sequence() && !subject.items().empty()) return subject.items().front();
  Value::Items items = iterate(subject, in.meter());
  return items.empty() ? undefined_hint("No first item, sequence was empty.")
                       : std::move(items.front());
}

Value last(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("last", arguments);
  if (subject.is(Kind::kIterator)) fail("'generator' object is not reversible");
  if (subject.is_sequence() && !subject.items().empty()) return subject.items().back();
  Value::Items items = iterate(subject, in.meter());
  return items.empty() ? undefined_hint("No last item, sequence was empty.")
                       : std::move(items.back());
}

Value list(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("list", arguments);
  return make_list(iterate(subject, in.meter()), in.meter());
}

Value reverse(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("reverse", arguments);
  Value::Items items = iterate(subject, in.meter());
  std::reverse(items.begin(), items.end());
  if (subject.is_string()) {
    std::string out;
    for (const Value& c : items) out += c.text();
    return make_string(std::move(out), in.meter());
  }
  if (subject.is(Kind::kIterator)) return make_list(std::move(items), in.meter());
  return lazily([&](Value::Items& out) { out = std::move(items); });
}

Value join(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [separator, attribute] = bind("join", arguments, {"d", "attribute"}, 0);
  const std::string between = separator != nullptr ? in.str(*separator) : "";
  const AttributePath path(attribute);
  const bool plain = attribute == nullptr || attribute->is(Kind::kNone);
  std::string out;
  bool begun = false;
  for (const Value& item : iterate(subject, in.meter())) {
    if (begun) out += between;
    begun = true;
    out += in.str(plain ? item : path.of(in, item));
    in.meter().bytes(between.size());
    if (out.size() > kStringBytesMax) fail_limit("a joined string is too long");
  }
  return make_string(std::move(out), in.meter());
}

Value sort(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [backwards, sensitive, attribute] =
      bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0);
  const bool case_sensitive = flag(in, sensitive);
  std::vector<AttributePath> paths;
  if (attribute != nullptr && attribute->is_string()) {
    for (const std::string& one : split(attribute->text(), ',')) {
      const Value name = Value::string(one);
      paths.emplace_back(&name);
    }
  } else {
    paths.emplace_back(attribute);
  }
  const auto key = [&](const Value& item) {
    Value::Items keys;
    for (const AttributePath& path : paths)
      keys.push_back(ignore_case(path.of(in, item), case_sensitive, in.meter()));
    return make_list(std::move(keys), in.meter());
  };
  return make_list(sorted_by(in, iterate(subject, in.meter()), key, flag(in, backwards)),
                   in.meter());
}

Value unique(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [sensitive, attribute] = bind("unique", arguments, {"case_sensitive", "attribute"}, 0);
  const AttributePath path(attribute);
  const bool case_sensitive = flag(in, sensitive);
  return lazily([&](Value::Items& out) {
    const auto before = [](const Value& a, const Value& b) { return compare_keys(a, b) < 0; };
    std::set<Value, decltype(before)> seen(before);
    for (Value& item : iterate(subject, in.meter())) {
      Value key = ignore_case(path.of(in, item), case_sensitive, in.meter());
      if (!is_hashable(key)) fail("unhashable type: '", type_name(key), "'");
      in.meter().values(4);
      if (seen.insert(std::move(key)).second) out.push_back(std::move(item));
    }
  });
}

template <bool kMax>
Value extreme(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [sensitive, attribute] =
      bind(kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"}, 0);
  const AttributePath path(attribute);
  const bool case_sensitive = flag(in, sensitive);
  Value best, best_key;
  bool any = false;
  for (Value& item : iterate(subject, in.meter())) {
    Value key = ignore_case(path.of(in, item), case_sensitive, in.meter());
    if (!any || compare(kMax ? CompareOp::kGt : CompareOp::kLt, key, best_key, in.meter())) {
      best = std::move(item);
      best_key = std::move(key);
    }
    any = true;
  }
  return any ? best : undefined_hint("No aggregated item, sequence was empty.");
}

Value sum(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [attribute, start] = bind("sum", arguments, {"attribute", "start"}, 0);
  const AttributePath path(attribute);
  Value total = start != nullptr ? *start : Value::integer(0);
  if (total.is_string()) fail("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : iterate(subject, in.meter()))
    total = arithmetic(Op::kAdd, total, path.of(in, item), in.meter());
  return total;
}

Value batch(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto bound = bind("batch", arguments, {"linecount", "fill_with"}, 1);
  const Value *const count = bound[0], *const fill = bound[1];
  return lazily([&](Value::Items& out) {
    Value::Items row;
    const int64_t size = count->is_integral() ? count->as_int() : -1;
    for (Value& item : iterate(subject, in.meter())) {
      if (static_cast<int64_t>(row.size()) == size) {
        out.push_back(make_list(std::move(row), in.meter()));
        row.clear();
      }
      row.push_back(std::move(item));
    }
    if (row.empty()) return;
    if (fill != nullptr && !fill->is(Kind::kNone)) {
      if (!count->is_integral()) fail("batch wants an integer, found ", type_name(*count));
      if (size > static_cast<int64_t>(row.size())) {
        in.meter().values(static_cast<uint64_t>(size));
        row.resize(static_cast<size_t>(size), *fill);
      }
    }
    out.push_back(make_list(std::move(row), in.meter()));
  });
}

Value slice(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto bound = bind("slice", arguments, {"slices", "fill_with"}, 1);
  const Value *const count = bound[0], *const fill = bound[1];
  return lazily([&](Value::Items& out) {
    const Value::Items items = iterate(subject, in.meter());
    if (!count->is_integral()) fail("slice wants an integer, found ", type_name(*count));
    const int64_t slices = count->as_int();
    if (slices == 0) fail("integer division or modulo by zero");
    if (slices < 0) return;
    in.meter().values(static_cast<uint64_t>(slices));
    const auto size = static_cast<int64_t>(items.size());
    const int64_t each = size / slices, longer = size % slices;
    int64_t at = 0;
    for (int64_t i = 0; i < slices; ++i) {
      const int64_t end = at + each + (i < longer);
      Value::Items part(items.begin() + at, items.begin() + end);
      if (fill != nullptr && !fill->is(Kind::kNone) && i >= longer) part.push_back(*fill);
      out.push_back(make_list(std::move(part), in.meter()));
      at = end;
    }
  });
}

Value group_by(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto bound = bind("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const Value *const attribute = bound[0], *const fallback = bound[1], *const sensitive = bound[2];
  const AttributePath path(attribute);
  const bool case_sensitive = flag(in, sensitive);
  const auto key = [&](const Value& item) {
    return ignore_case(path.of(in, item, fallback), case_sensitive, in.meter());
  };
  Value::Items out;
  const auto add = [&](Value::Items group) {
    Value grouper = path.of(in, group.front(), fallback);
    Value pair =
        make_tuple({std::move(grouper), make_list(std::move(group), in.meter())}, in.meter());
    pair.as<SequenceObject>().is_group = true;
    out.push_back(std::move(pair));
  };
  Value::Items group;
  Value group_key;
  for (Value& item : sorted_by(in, iterate(subject, in.meter()), key, false)) {
    Value item_key = key(item);
    if (!group.empty() && !equals(item_key, group_key, in.meter())) add(std::exchange(group, {}));
    if (group.empty()) group_key = item_key;
    group.push_back(std::move(item));
  }
  if (!group.empty()) add(std::move(group));
  return make_list(std::move(out), in.meter());
}

Value::Items pairs(Interpreter& in, const Value& dict) {
  Value::Items out;
  for (const auto& [key, value] : dict.entries())
    out.push_back(make_tuple({key, value}, in.meter()));
  return out;
}

Value dict_sort(Interpreter& in, const Value& subject, Arguments& arguments) {
  const auto [sensitive, by, backwards] =
      bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0);
  const std::string_view part = by == nullptr ? "key" : by->is_string() ? by->text() : "";
  if (part != "key" && part != "value") fail("You can only sort by either \"key\" or \"value\"");
  want_defined(subject);
  if (!subject.is(Kind::kDict)) fail("dictsort wants a mapping, found ", type_name(subject));
  const bool case_sensitive = flag(in, sensitive);
  const auto key = [&](const Value& pair) {
    return ignore_case(pair.items()[part == "value"], case_sensitive, in.meter());
  };
  return make_list(sorted_by(in, pairs(in, subject), key, flag(in, backwards)), in.meter());
}

Value items(Interpreter& in, const Value& subject, Arguments& arguments) {
  bind_none("items", arguments);
  return lazily([&](Value::Items& out) {
    if (subject.is_undefined()) return;
    if (!subject.is(Kind::kDict)) fail("Can only get item pairs from a mapping.");
    out = pairs(in, subject);
  });
}

Value map(Interpreter& in, const Value& subject, Arguments& arguments) {
  return lazily([&](Value::Items& out) {
    if (!in.is_true(subject)) return;
    if (arguments.positional.empty() && arguments.find("attribute") != nullptr) {
      for (const auto& [name, value] : arguments.named)
        if (name.text() != "attribute" && name.text() != "default")
          fail("Unexpected keyword argument '", name.text(), "'");
      const AttributePath path(arguments.find("attribute"));
      const Value* fallback = arguments.find("default");
      for (const Value& item : iterate(subject, in.meter()))
        out.push_back(path.of(in, item, fallback));
      return;
    }
    if (arguments.positional.empty()) fail("map requires a filter argument");
    const Value name = arguments.positional[0];
    Arguments rest = arguments;
    rest.positional.erase(rest.positional.begin());
    for (const Value& item : iterate(subject, in.meter())) {
      Arguments call = rest;
      out.push_back(in.call_filter(name, item, call));
    }
  });
}

// select, reject and their attribute variants.
template <bool kWanted, bool kAttribute>
Value select(Interpreter& in, const Value& subject, Arguments& arguments) {
  return lazily([&](Value::Items& out) {
    if (!in.is_true(subject)) return;
    if (kAttribute && arguments.positional.empty()) fail("Missing parameter for attribute name");
    const AttributePath path(kAttribute ? &arguments.positional[0] : nullptr);
    const size_t test_at = kAttribute;
    Arguments rest = arguments;
    const bool by_truth = rest.positional.size() <= test_at;
    Value name;
    if (!by_truth) {
      name = rest.positional[test_at];
      rest.positional.erase(rest.positional.begin(),
                            rest.positional.begin() + static_cast<ptrdiff_t>(test_at) + 1);
    }
    for (Value& item : iterate(subject, in.meter())) {
      const Value looked_at = path.of(in, item);
      Arguments call = rest;
      const bool holds = by_truth ? in.is_true(looked_at) : in.call_test(name, looked_at, call);
      if (holds == kWanted) out.push_back(std::move(item));
    }
  });
}

constexpr FilterEntry kFilters[] = {
    {"batch", batch},
    {"dictsort", dict_sort},
    {"first", first},
    {"groupby", group_by},
    {"items", items},
    {"join", join},
    {"last", last},
    {"list", list},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"reverse", reverse},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"slice", slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

const FilterEntry* find_sequence_filter(std::string_view name) {
  for (const FilterEntry& filter : kFilters)
    if (filter.name == name) return &filter;
  return nullptr;
}

}  // namespace sis::text::tmpl
