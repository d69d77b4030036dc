// The header of one safetensors file, parsed and checked completely.
//
// A file is: u64 little endian N, N bytes of JSON, then the tensors' bytes:
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__":
//   {"k": "v"}}
// Source: github.com/huggingface/safetensors, README "Format". What holds after parse_header():
//   - offsets lie inside the file; the tensors' ranges tile the data part without overlap, hole or
//   rest
//   - end - begin is exactly shape * dtype for every tensor; no product overflowed
//   - names are unique, valid UTF-8, and never "__metadata__"
// Data may begin at any byte, so a tensor may be misaligned for its type: read it with memcpy.
// No state; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "infer/weights/stored_type.h"

namespace sis::weights {

inline constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the reference reader's own limit
inline constexpr size_t kTensorNameBytesMax = 1024;
inline constexpr size_t kTensorDimsMax = 8;
inline constexpr size_t kMetadataEntriesMax = 65'536;

struct HeaderTensor {
  std::string name;
  StoredType type = StoredType::kF32;
  std::vector<int64_t> shape;
  int64_t begin = 0;  // in bytes, from the start of the file
  int64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<HeaderTensor> tensors;  // by name
  std::vector<std::pair<std::string, std::string>> metadata;
  int64_t data_begin = 0;  // in bytes, from the start of the file
};

// `file` is the whole file (a mapping: only the header's pages are touched). Messages name the
// tensor, not the file.
Result<SafetensorsHeader> parse_header(std::span<const std::byte> file);

}  // namespace sis::weights
