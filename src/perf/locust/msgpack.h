// MessagePack (github.com/msgpack/msgpack, spec.md) as far as Locust speaks it.
//
// Our own few lines: Debian's library depends on another Boost than ours, and what a master sends
// is to be read with bounds. Pure; any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::perf {

// Appends values one after the other; the caller announces how many an array or map holds.
class MsgpackWriter {
 public:
  void array(size_t items);
  void map(size_t pairs);
  void text(std::string_view value);  // UTF-8; what is not is replaced by '?'
  void integer(int64_t value);
  void count(uint64_t value);
  void number(double value);
  void nil() { bytes_ += '\xc0'; }

  const std::string& bytes() const { return bytes_; }

 private:
  void big_endian(uint64_t value, int bytes);
  void sized(size_t size, char fix, size_t fix_max, char tag16, char tag32);

  std::string bytes_;
};

inline constexpr int kMsgpackDepthMax = 32;
inline constexpr int kMsgpackValuesMax = 100000;

// One whole value. Keys of maps that are numbers become their text; raw bytes become text; of
// extension types (there are none in Locust) only null is left. Errors: bytes missing or left
// over, too deep, too many values.
Result<nlohmann::json> parse_msgpack(std::string_view bytes);

}  // namespace sis::perf
