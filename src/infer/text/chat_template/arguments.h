// What a call passes, and matching it with what the callee takes.
#pragma once

#include <array>
#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <string_view>
#include <utility>

#include "infer/text/chat_template/fault.h"
#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

struct Arguments {
  boost::container::small_vector<Value, 4> positional;
  boost::container::small_vector<std::pair<Value, Value>, 2> named;  // names are text

  const Value* find(std::string_view name) const {
    for (const auto& [key, value] : named)
      if (key.text() == name) return &value;
    return nullptr;
  }
};

// The parameters in order, null where not given. The first `required` must be.
template <size_t N>
std::array<const Value*, N> bind(std::string_view callee, const Arguments& arguments,
                                 const std::string_view (&names)[N], size_t required) {
  std::array<const Value*, N> bound{};
  if (arguments.positional.size() > N)
    fail(callee, "() takes at most ", N, " arguments, found ", arguments.positional.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    size_t i = 0;
    while (i < N && names[i] != name.text()) ++i;
    if (i == N) fail(callee, "() got an unexpected keyword argument '", name.text(), "'");
    if (bound[i] != nullptr) fail(callee, "() got multiple values for argument '", names[i], "'");
    bound[i] = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (bound[i] == nullptr) fail(callee, "() misses argument '", names[i], "'");
  return bound;
}

// At most N arguments, none by name: what Python's own methods take.
template <size_t N>
std::array<const Value*, N> bind_plain(std::string_view callee, const Arguments& arguments,
                                       size_t required) {
  std::array<const Value*, N> bound{};
  if (!arguments.named.empty()) fail(callee, "() takes no keyword arguments");
  if (arguments.positional.size() > N || arguments.positional.size() < required)
    fail(callee, "() takes ", required, " to ", N, " arguments, found ",
         arguments.positional.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  return bound;
}

inline void bind_none(std::string_view callee, const Arguments& arguments) {
  if (!arguments.named.empty() || !arguments.positional.empty())
    fail(callee, "() takes no arguments");
}

}  // namespace sis::text::tmpl
