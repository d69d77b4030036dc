// What the golden tests share: the checkpoints of a folder, the levels this machine runs.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "infer/kernels/isa.h"

namespace sis {

// The folders below `root`, sorted.
inline std::vector<std::string> checkpoints_in(const std::string& root) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root))
    if (entry.is_directory()) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

inline std::vector<Isa> levels() {
  std::vector<Isa> out;
  for (const Isa isa : {Isa::kRef, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx})
    if (isa <= detect_isa()) out.push_back(isa);
  return out;
}

}  // namespace sis
