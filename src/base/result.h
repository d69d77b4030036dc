// The outcome of what the world can make fail: a value or an Error.
//
// Bad input, a full queue, a missing file are Results and checked by the caller; only our own
// mistakes are SIS_CHECKs (check.h). Any thread; no allocation beyond the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/clock.h"

namespace sis {

enum class Code : uint8_t {
  kInvalidArgument,  // the request or setting is wrong; trying again unchanged cannot help
  kNotFound,
  kUnauthenticated,
  kTooLarge,     // over a size limit
  kRateLimited,  // this client asked too often
  kOverloaded,   // no room now; later may work
  kUnavailable,  // starting, draining or broken; later may work
  kDeadline,     // our own time limit passed
  kCancelled,    // the client went away
  kInternal,     // a fault of ours
  kForbidden,    // the client is known, but may not do this
};

// "invalid_argument", for logs.
const char* code_name(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;  // for the person who can fix it: "--rate: want requests/s above 0, got -3"
  std::string param;    // the request field at fault, if one is: "input[3]"
  std::string reason;   // a word programs branch on, if there is one: "context_length_exceeded"
  Duration retry_after{};  // kRateLimited, kOverloaded, kUnavailable: when to come back; 0: unknown
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

// The same error with the place it happened put in front: "models.yaml: entry 3: ...".
inline Error prefixed(std::string_view place, Error error) {
  error.message = std::string(place) + ": " + error.message;
  return error;
}

}  // namespace sis

// Hands an error on to the caller: SIS_TRY(write(x));
#define SIS_TRY(expression)                                       \
  do {                                                            \
    if (auto sis_try_result = (expression); !sis_try_result.ok()) \
      return std::move(sis_try_result).error();                   \
  } while (0)

#define SIS_CONCAT_INNER(a, b) a##b
#define SIS_CONCAT(a, b) SIS_CONCAT_INNER(a, b)
// Takes the value or hands the error on: SIS_ASSIGN(auto file, open(path));
#define SIS_ASSIGN(target, expression) \
  SIS_ASSIGN_INNER(SIS_CONCAT(sis_assign_, __LINE__), target, expression)
#define SIS_ASSIGN_INNER(temporary, target, expression)     \
  auto temporary = (expression);                            \
  if (!temporary.ok()) return std::move(temporary).error(); \
  target = std::move(temporary).value()
