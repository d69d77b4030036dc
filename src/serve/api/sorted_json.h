// JSON written again with its keys sorted: the same document gives the same bytes, however its
// sender ordered and spaced it.
#pragma once

#include <simdjson.h>

#include <string>

namespace sis::api {

struct SortedJsonStyle {
  const char* comma = ",";
  const char* colon = ":";
  bool ascii = false;  // everything else as \uXXXX, as Python's json.dumps does
};

// Numbers as Python prints them: 1, 1.0, 1e+16. The parser bounds the depth.
void append_sorted_json(std::string& out, const simdjson::dom::element& value,
                        const SortedJsonStyle& style);
void append_sorted_json(std::string& out, const simdjson::dom::object& object,
                        const SortedJsonStyle& style);

}  // namespace sis::api
