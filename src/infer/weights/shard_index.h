// model.safetensors.index.json: which shard of a split checkpoint holds which tensor.
//
//   {"metadata": {...}, "weight_map": {"tensor name": "model-00001-of-00002.safetensors", ...}}
// "metadata" is not read: published files have wrong totals in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::weights {

inline constexpr size_t kIndexBytesMax = 64 << 20;
inline constexpr size_t kShardsMax = 1024;

struct ShardIndex {
  struct Entry {
    std::string tensor;
    uint32_t shard = 0;  // into `shards`
  };
  std::vector<std::string>
      shards;  // file names inside the checkpoint's folder, checked to be nothing else
  std::vector<Entry> entries;  // by tensor
};

Result<ShardIndex> parse_shard_index(std::string_view text);

}  // namespace sis::weights
