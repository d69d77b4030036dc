// Bytes on their way to one socket: small pieces gathered, large ones moved in whole.
//
// Small buffers come from and go back to a pool shared by the connections of one I/O thread, so an
// idle connection holds none. One thread.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sis::net {

class BufferPool {
 public:
  std::string take() {
    if (spare_.empty()) return {};
    std::string buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
  }
  void give(std::string buffer) {
    if (buffer.capacity() < 256 || buffer.capacity() > kBytesMax || spare_.size() >= kBuffersMax)
      return;
    buffer.clear();
    spare_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kBytesMax = 64 << 10, kBuffersMax = 64;
  std::vector<std::string> spare_;
};

class OutQueue {
 public:
  explicit OutQueue(BufferPool* pool) : pool_(pool) {}

  // A buffer to append small things to.
  std::string& tail() {
    if (first_ == pieces_.size() || sealed_ || pieces_.back().size() >= kPieceBytes) {
      pieces_.push_back(pool_->take());
      sealed_ = false;
    }
    return pieces_.back();
  }
  void append(std::string_view bytes) { tail().append(bytes); }
  void append(std::string&& bytes) {
    if (bytes.size() < kMoveBytes) return append(std::string_view(bytes));
    pieces_.push_back(std::move(bytes));
    sealed_ = true;
  }

  bool empty() const { return first_ == pieces_.size(); }
  size_t bytes() const {
    size_t sum = 0;
    for (size_t i = first_; i < pieces_.size(); ++i) sum += pieces_[i].size();
    return sum - offset_;
  }

  // Fills up to `count_max` entries with what goes out next; returns how many.
  size_t gather(iovec* entries, size_t count_max) const {
    size_t count = 0;
    for (size_t i = first_; i < pieces_.size() && count < count_max; ++i, ++count) {
      const size_t skip = i == first_ ? offset_ : 0;
      entries[count] = {const_cast<char*>(pieces_[i].data()) + skip, pieces_[i].size() - skip};
    }
    return count;
  }
  void consume(size_t bytes) {
    offset_ += bytes;
    while (first_ < pieces_.size() && offset_ >= pieces_[first_].size()) {
      offset_ -= pieces_[first_].size();
      pool_->give(std::move(pieces_[first_]));
      ++first_;
    }
    if (first_ == pieces_.size()) pieces_.clear(), first_ = 0;
  }
  void clear() {
    pieces_.clear();
    first_ = offset_ = 0;
  }

 private:
  static constexpr size_t kPieceBytes = 64 << 10;  // a tail this full is followed by another
  static constexpr size_t kMoveBytes = 16
                                       << 10;  // below this copying is cheaper than an iovec entry

  BufferPool* pool_;
  std::vector<std::string> pieces_;
  bool sealed_ = false;  // the last piece was moved in; appending would copy it
  size_t first_ = 0;     // pieces before it are written
  size_t offset_ = 0;    // written bytes of the first piece
};

}  // namespace sis::net
