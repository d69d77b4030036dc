// Read-only tensors of a checkpoint by name, memory-mapped.
//
// Opens model.safetensors, or model.safetensors.index.json with its shards, of a local folder.
// Everything in the headers is checked before a tensor is handed out: sizes, offsets (inside the
// file, no overlap, no hole), shapes against bytes, dtypes, duplicates, JSON depth and counts.
// Views stay valid while the source lives. A view may be misaligned for its type (the format does
// not align data): read it with memcpy or unaligned loads, as WeightView's own readers do. The
// files must not be cut short meanwhile (mapped_file.h says why). Immutable after open(); any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/tensor/mat.h"
#include "infer/weights/stored_type.h"

namespace sis::weights {

struct TensorInfo {
  std::string name;
  StoredType stored = StoredType::kF32;
  std::optional<DType> dtype;  // empty for what we cannot compute with
  std::vector<int64_t> shape;
  int64_t bytes = 0;
};

class WeightSource {
 public:
  // kNotFound when the folder has no safetensors; kInvalidArgument for what is wrong inside, naming
  // file, tensor, expectation and value. With both layouts present the single file counts, as in
  // transformers. Of a sharded checkpoint the tensors its index names exist, no others.
  static Result<std::unique_ptr<WeightSource>> open(const std::string& folder);
  // One safetensors file by its own name.
  static Result<std::unique_ptr<WeightSource>> open_file(const std::string& path);
  virtual ~WeightSource() = default;

  virtual bool has(std::string_view name) const = 0;
  virtual const TensorInfo* info(std::string_view name) const = 0;  // null when absent
  virtual std::vector<std::string> names() const = 0;               // sorted
  virtual int64_t bytes() const = 0;                                // of all tensors

  // A float tensor as a matrix [rows, cols]; a vector is [1, n], a scalar [1, 1]. kInvalidArgument
  // naming the tensor when it is absent, not f32, f16 or bf16, or of another shape. rows or cols -1
  // match anything.
  virtual Result<WeightView> matrix(std::string_view name, int64_t rows, int64_t cols) const = 0;
  // The same for the weights of a linear layer, which may be F8_E4M3 as well: `name` [rows, cols]
  // with the factors of its values beside it, f32, f16 or bf16,
  //   name + "_scale_inv"  [ceil(rows / 128), ceil(cols / 128)], one for a block of 128 x 128
  //   name + "_scale"      [] or [1] for the whole tensor, [rows] or [rows, 1] for its rows
  // kInvalidArgument naming the tensor when its factors are absent or of another shape.
  virtual Result<WeightView> linear(std::string_view name, int64_t rows, int64_t cols) const = 0;
  // As matrix() for a vector, as f32 values. size -1 matches anything.
  virtual Result<std::vector<float>> vector(std::string_view name, int64_t size) const = 0;

  // Tells the system that this tensor's file pages will not be read again (after packing): they
  // leave this process's memory, not the system's file cache. Views stay valid and read the same
  // bytes again.
  virtual void release(std::string_view name) const = 0;
};

}  // namespace sis::weights
