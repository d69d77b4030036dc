#include "perf/report/report_reader.h"

#include "base/strings.h"

namespace sis::perf {

std::string json_type_text(const nlohmann::ordered_json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "a boolean";
  if (value.is_number()) {
    const std::string text = value.dump();
    return concat("the number ", text);
  }
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

std::optional<uint64_t> whole_number(const nlohmann::ordered_json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    return number <= INT64_MAX ? std::optional<uint64_t>(number) : std::nullopt;
  }
  if (value.is_number_integer())
    return value.get<int64_t>() >= 0 ? std::optional<uint64_t>(value.get<int64_t>()) : std::nullopt;
  if (!value.is_number_float()) return std::nullopt;
  const auto number = value.get<double>();  // as other tools write whole numbers: 12.0
  if (!(number >= 0 && number < 9e15) ||
      number != static_cast<double>(static_cast<uint64_t>(number)))
    return std::nullopt;
  return static_cast<uint64_t>(number);
}

ObjectReader::ObjectReader(const Json& object, std::string place, std::optional<Error>* fault)
    : place_(std::move(place)), fault_(fault) {
  if (object.is_object())
    object_ = &object;
  else if (!object.is_null())
    fail(place_, "an object", object);
}

std::string ObjectReader::place_of(std::string_view key) const {
  return place_.empty() ? std::string(key) : concat(place_, ".", key);
}

void ObjectReader::fail(const std::string& place, std::string_view wanted,
                        const Json& found) const {
  fail(place, concat("want ", wanted, ", found ", json_type_text(found)));
}

void ObjectReader::fail(const std::string& place, const std::string& what) const {
  if (!fault_->has_value())
    *fault_ = Error{Code::kInvalidArgument,
                    concat(place.empty() ? std::string("document") : place, ": ", what)};
}

const ObjectReader::Json* ObjectReader::find(const char* key) const {
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::string ObjectReader::text(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  fail(place_of(key), "a string", *value);
  return {};
}

std::optional<double> ObjectReader::maybe_number(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const auto number = value->get<double>();
    // Larger ones mean nothing here and would run over in sums.
    if (number >= -1e18 && number <= 1e18) return number;
  }
  fail(place_of(key), "a number of reasonable size", *value);
  return std::nullopt;
}

uint64_t ObjectReader::count(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return 0;
  if (const auto number = whole_number(*value)) return *number;
  fail(place_of(key), "a whole number of at least 0", *value);
  return 0;
}

bool ObjectReader::boolean(const char* key, bool initial) const {
  const Json* value = find(key);
  if (value == nullptr) return initial;
  if (value->is_boolean()) return value->get<bool>();
  fail(place_of(key), "true or false", *value);
  return initial;
}

void ObjectReader::each(
    const char* key, size_t elements_max,
    const std::function<void(const Json&, const std::string& place)>& fn) const {
  const Json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(place_of(key), "an array", *value);
  if (value->size() > elements_max)
    return fail(place_of(key),
                concat("want at most ", elements_max, " elements, found ", value->size()));
  for (size_t i = 0; i < value->size() && !fault_->has_value(); ++i)
    fn((*value)[i], concat(place_of(key), "[", i, "]"));
}

void ObjectReader::each_named(const char* key, size_t members_max,
                              const std::function<void(const std::string& name, const Json&,
                                                       const std::string& place)>& fn) const {
  const Json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_object()) return fail(place_of(key), "an object", *value);
  if (value->size() > members_max)
    return fail(place_of(key),
                concat("want at most ", members_max, " members, found ", value->size()));
  for (const auto& [name, member] : value->items()) {
    if (fault_->has_value()) return;
    fn(name, member, concat(place_of(key), ".", in_quotes(name, 40)));
  }
}

}  // namespace sis::perf
