// How work inside the template engine stops: a Fault is thrown where something is wrong and becomes
// an Error at ChatTemplate's doors.
//
// Expressions call each other deeply and nearly always succeed, so an exception costs nothing where
// a Result would cost a branch per node. Nothing outside this folder ever sees one.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/strings.h"

namespace sis::text::tmpl {

struct Fault {
  std::string message;
  Code code = Code::kInvalidArgument;
  uint32_t line = 0;  // of the template; filled in by the innermost statement when still 0
};

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Fault{concat(parts...)};
}

[[noreturn]] inline void fail_limit(std::string message) {
  throw Fault{std::move(message), Code::kTooLarge};
}

}  // namespace sis::text::tmpl
