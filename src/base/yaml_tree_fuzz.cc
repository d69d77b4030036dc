// Any bytes as YAML: a tree or an error that says where, never more.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/yaml_tree.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (auto tree = sis::parse_yaml(text, "fuzz"); tree.ok()) {
    const sis::YamlTree overlay = *tree;
    sis::merge_yaml(*tree, overlay);
  }
  return 0;
}
