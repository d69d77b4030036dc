// Any bytes as models.yaml: a catalog or an error that says where, never more.
#include <cstddef>
#include <cstdint>
#include <string>

#include "serve/server/catalog_tree.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (auto tree = sis::server::parse_yaml(text, "fuzz"); tree.ok()) {
    const sis::server::Tree overlay = *tree;
    sis::server::merge_tree(*tree, overlay);
  }
  return 0;
}
