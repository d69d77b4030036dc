#include "serve/api/sorted_json.h"

#include <gtest/gtest.h>

namespace sis::api {
namespace {

std::string sorted(std::string_view json, const SortedJsonStyle& style = {}) {
  simdjson::dom::parser parser;
  std::string out;
  append_sorted_json(out, parser.parse(json.data(), json.size()).value(), style);
  return out;
}

// What Python prints: json.dumps(json.loads(x), sort_keys=True), and with separators=(",", ":").
TEST(SortedJson, PrintsAsPythonDoes) {
  const SortedJsonStyle python{", ", ": ", true}, compact{",", ":", true};
  const char* given =
      "{\"b\":[1, 2.50,-0.0,1e16, 1e-7,true ,null],\"a\":{\"z\":\"\\u00e9\xF0\x9F"
      "\x98\x80\\n\\u0001\x7F\",\"\":{}, \"y\":[]}}";
  EXPECT_EQ(sorted(given, python),
            "{\"a\": {\"\": {}, \"y\": [], \"z\": \"\\u00e9\\ud83d\\ude00\\n\\u0001\\u007f\"}, "
            "\"b\": [1, 2.5, -0.0, 1e+16, 1e-07, true, null]}");
  EXPECT_EQ(sorted(given, compact),
            "{\"a\":{\"\":{},\"y\":[],\"z\":\"\\u00e9\\ud83d\\ude00\\n\\u0001\\u007f\"},"
            "\"b\":[1,2.5,-0.0,1e+16,1e-07,true,null]}");
}

TEST(SortedJson, OrderAndSpacesDoNotMatter) {
  EXPECT_EQ(sorted(R"({"x":1,"y":{"b":2,"a":"é"}})"), R"({"x":1,"y":{"a":"é","b":2}})");
  EXPECT_EQ(sorted(R"( { "y" : { "a":"é","b" : 2 } , "x" : 1 } )"),
            sorted(R"({"x":1,"y":{"b":2,"a":"é"}})"));
  EXPECT_NE(sorted(R"({"x":1})"), sorted(R"({"x":1.0})"));
  EXPECT_EQ(sorted("18446744073709551615"), "18446744073709551615");
}

}  // namespace
}  // namespace sis::api
