// tokenizer.json's parts with the way to them, so that an error can say which one is wrong.
//
// A thin layer over simdjson's DOM: typed getters that return errors, bounds on depth. Views point
// into the parsed document and live as long as it does.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/json_kind.h"
#include "base/result.h"
#include "base/strings.h"

namespace sis::text::tok {

class JsonArray;

class JsonObject {
 public:
  // `path` names the object in messages: "normalizer".
  static Result<JsonObject> from(simdjson::dom::element element, std::string path, int depth = 0);

  // Absent and null are the same: nullopt.
  std::optional<simdjson::dom::element> find(std::string_view key) const;

  // Without `fallback` an absent member is an error.
  Result<std::string_view> string(std::string_view key,
                                  std::optional<std::string_view> fallback = std::nullopt) const;
  Result<bool> boolean(std::string_view key, std::optional<bool> fallback = std::nullopt) const;
  Result<int64_t> integer(std::string_view key, int64_t min, int64_t max,
                          std::optional<int64_t> fallback = std::nullopt) const;
  // At most 1024 bytes: what is put into a text, perhaps many times.
  Result<std::string_view> insertion(std::string_view key) const;
  // Exactly one character.
  Result<char32_t> character(std::string_view key) const;
  Result<JsonObject> object(std::string_view key) const;
  Result<JsonArray> array(std::string_view key) const;

  // "normalizer.pattern: want a string, found a number"
  Error wrong(std::string_view key, std::string_view want) const;
  std::string path_of(std::string_view key) const;
  const std::string& path() const { return path_; }
  int depth() const { return depth_; }
  const simdjson::dom::object& raw() const { return object_; }

 private:
  JsonObject(simdjson::dom::object object, std::string path, int depth)
      : object_(object), path_(std::move(path)), depth_(depth) {}

  simdjson::dom::object object_;
  std::string path_;
  int depth_ = 0;
};

class JsonArray {
 public:
  JsonArray(simdjson::dom::array array, std::string path, int depth)
      : array_(array), path_(std::move(path)), depth_(depth) {}

  // fn(element, index) -> Status for each, until one fails.
  template <class Fn>
  Status for_each(Fn&& fn) const {
    size_t index = 0;
    for (simdjson::dom::element element : array_) SIS_TRY(fn(element, index++));
    return {};
  }
  // The same for arrays of objects: fn(JsonObject) -> Status.
  template <class Fn>
  Status for_each_object(Fn&& fn) const {
    return for_each([&](simdjson::dom::element element, size_t index) -> Status {
      SIS_ASSIGN(auto object, JsonObject::from(element, path_of(index), depth_ + 1));
      return fn(object);
    });
  }

  std::string path_of(size_t index) const { return concat(path_, "[", index, "]"); }
  const std::string& path() const { return path_; }
  const simdjson::dom::array& raw() const { return array_; }

 private:
  simdjson::dom::array array_;
  std::string path_;
  int depth_ = 0;
};

}  // namespace sis::text::tok
