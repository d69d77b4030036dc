// Owning memory: Buffer for what lives as long as a model, Workspace for what lives for one step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "infer/tensor/mat.h"

namespace sis {

// Zeroed memory from the system, 64-byte aligned; large ones ask for huge pages. Move only. Throws
// std::bad_alloc when the system has none left, so that who loads a model can try again later.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;    // as asked
  size_t mapped_ = 0;  // as mapped
};

// A stack of scratch for one step of one thread: take() hands out uninitialised 64-byte aligned
// memory, reset() takes all of it back. Grows while a model warms up, afterwards never allocates.
class Workspace {
 public:
  template <class T>
  T* take(int64_t count) {
    return reinterpret_cast<T*>(take_bytes(static_cast<size_t>(count) * sizeof(T)));
  }
  // Rows are padded by one cache line where the plain width would put every row into the same cache
  // sets.
  template <class T>
  Mat<T> take_mat(int64_t rows, int64_t cols) {
    const int64_t stride = padded_stride(cols, sizeof(T));
    return {take<T>(rows * stride), rows, cols, stride};
  }
  void reset();
  size_t bytes_reserved() const { return reserved_; }

  // Marks the stack's height and returns to it: scratch of one operation inside a step.
  class Scope {
   public:
    explicit Scope(Workspace& workspace)
        : workspace_(workspace), block_(workspace.block_), used_(workspace.used_) {}
    ~Scope() {
      workspace_.block_ = block_;
      workspace_.used_ = used_;
    }
    Scope(const Scope&) = delete;

   private:
    Workspace& workspace_;
    size_t block_, used_;
  };

  static int64_t padded_stride(int64_t cols, size_t element_bytes);

 private:
  std::byte* take_bytes(size_t bytes);
  std::vector<Buffer> blocks_;
  size_t block_ = 0, used_ = 0, reserved_ = 0;
};

}  // namespace sis
