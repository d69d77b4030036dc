#include "infer/tensor/buffer.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace sis {
namespace {

constexpr size_t kHugePage = 2u << 20;
size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

Buffer::Buffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  // Huge pages start at their own multiples: ask for one more and give the ends back.
  const bool huge = bytes >= kHugePage;
  mapped_ = round_up(bytes, 4096);
  const size_t extra = huge ? kHugePage : 0;
  void* memory =
      mmap(nullptr, mapped_ + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
  if (!huge) return;
  const size_t skip =
      round_up(reinterpret_cast<size_t>(memory), kHugePage) - reinterpret_cast<size_t>(memory);
  if (skip > 0) munmap(data_, skip);
  data_ += skip;
  if (skip < extra) munmap(data_ + mapped_, extra - skip);
  madvise(data_, mapped_, MADV_HUGEPAGE);
}

Buffer::~Buffer() {
  if (data_) munmap(data_, mapped_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

int64_t Workspace::padded_stride(int64_t cols, size_t element_bytes) {
  const int64_t per_line = 64 / static_cast<int64_t>(element_bytes);
  int64_t stride = (cols + per_line - 1) / per_line * per_line;
  if (stride * static_cast<int64_t>(element_bytes) % 512 == 0) stride += per_line;
  return stride;
}

std::byte* Workspace::take_bytes(size_t bytes) {
  bytes = round_up(bytes, 64) + 64;  // one line of slack, so that vector tails may read on
  while (block_ < blocks_.size() && blocks_[block_].size() - used_ < bytes) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    const size_t size = round_up(bytes > (1u << 20) ? bytes : (1u << 20), 4096);
    blocks_.emplace_back(size);
    reserved_ += size;
    used_ = 0;
  }
  std::byte* memory = blocks_[block_].data() + used_;
  used_ += bytes;
  return memory;
}

void Workspace::reset() {
  // Several blocks mean the first was too small: join them, so that the next step finds one.
  // Without the memory for that the next step asks anew.
  if (blocks_.size() > 1) {
    const size_t size = std::exchange(reserved_, 0);
    blocks_.clear();
    try {
      blocks_.emplace_back(size);
      reserved_ = size;
    } catch (const std::bad_alloc&) {
    }
  }
  block_ = used_ = 0;
}

}  // namespace sis
