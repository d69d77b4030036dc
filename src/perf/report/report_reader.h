// Reads the objects of a document: every access checks the type, and the first fault is kept with
// its place. What is absent or null is the default.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace sis::perf {

class ObjectReader {
 public:
  using Json = nlohmann::ordered_json;

  // `fault` is shared by all readers of a document and must outlive them.
  ObjectReader(const Json& object, std::string place, std::optional<Error>* fault);

  std::string text(const char* key) const;
  double number(const char* key) const { return maybe_number(key).value_or(0); }
  std::optional<double> maybe_number(const char* key) const;
  uint64_t count(const char* key) const;
  bool boolean(const char* key, bool initial) const;
  // Each element of an array; of an object, each value with its name.
  void each(const char* key, size_t elements_max,
            const std::function<void(const Json&, const std::string& place)>& fn) const;
  void each_named(const char* key, size_t members_max,
                  const std::function<void(const std::string& name, const Json&,
                                           const std::string& place)>& fn) const;
  // Null when absent.
  const Json* find(const char* key) const;
  std::string place_of(std::string_view key) const;
  void fail(const std::string& place, std::string_view wanted, const Json& found) const;
  void fail(const std::string& place, const std::string& what) const;
  std::optional<Error>* fault() const { return fault_; }

 private:
  const Json* object_ = nullptr;  // null: nothing to read
  std::string place_;
  std::optional<Error>* fault_;
};

// "a string", "an array", ...
std::string json_type_text(const nlohmann::ordered_json& value);
// A whole number from 0 to 2^63; nothing for others.
std::optional<uint64_t> whole_number(const nlohmann::ordered_json& value);

}  // namespace sis::perf
