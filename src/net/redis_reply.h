// What Redis answers, and its parsing: hiredis' reader behind bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::net {

struct RedisReply {
  enum class Kind : uint8_t { kNil, kInteger, kText, kStatus, kError, kList };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;               // kText, kStatus, kError
  std::vector<RedisReply> items;  // kList
};

// Bytes of one connection in, replies out. One thread.
class RedisReader {
 public:
  static constexpr int64_t kItemsMax = 16384;  // of all lists of one reply together

  // A reply that takes more than `reply_bytes_max` on the wire is an error.
  explicit RedisReader(size_t reply_bytes_max);
  ~RedisReader();
  RedisReader(const RedisReader&) = delete;

  // Takes the bytes and appends the replies that are whole. kInvalidArgument: what came is not
  // Redis' protocol or over a bound (size, items, lists more than 7 deep); nothing can be read any
  // more.
  Status feed(std::string_view bytes, std::vector<RedisReply>& replies);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sis::net
