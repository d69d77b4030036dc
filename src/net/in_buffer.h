// Bytes read from one socket and not parsed yet, contiguous.
//
// Small while a connection is quiet, larger while it is busy: 10,000 idle connections must not hold
// the buffers of 10,000 busy ones. One thread.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace sis::net {

class InBuffer {
 public:
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  // Neither moves the end: a read into space() may be under way.
  void clear() { begin_ = end_; }
  void consume(size_t bytes) { begin_ += bytes; }

  // Room for the next read, until filled(); what the last reads brought decides how much.
  std::span<char> space() {
    if (empty()) {
      begin_ = end_ = 0;
      const size_t want = last_filled_            ? std::min(capacity_ * 2, kBytesMax)
                          : last_ < capacity_ / 4 ? std::max(capacity_ / 2, kBytesMin)
                                                  : std::max(capacity_, kBytesMin);
      if (want != capacity_) {
        data_.reset(new char[want]);
        capacity_ = want;
      }
    } else if (capacity_ - end_ < kBytesMin / 2) {
      if (begin_ >= capacity_ / 2) {
        std::memmove(data_.get(), data_.get() + begin_, size());
      } else {
        std::unique_ptr<char[]> larger(new char[capacity_ * 2]);
        std::memcpy(larger.get(), data_.get() + begin_, size());
        data_ = std::move(larger);
        capacity_ *= 2;
      }
      end_ -= begin_;
      begin_ = 0;
    }
    return {data_.get() + end_, capacity_ - end_};
  }
  void filled(size_t bytes) {
    last_filled_ = bytes == capacity_ - end_;
    last_ = bytes;
    end_ += bytes;
  }

 private:
  static constexpr size_t kBytesMin = 2 << 10, kBytesMax = 64 << 10;

  std::unique_ptr<char[]> data_;
  size_t begin_ = 0, end_ = 0, capacity_ = 0, last_ = 0;
  bool last_filled_ = false;
};

}  // namespace sis::net
