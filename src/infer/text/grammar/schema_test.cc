// Each keyword by texts it takes and texts it refuses.
#include <algorithm>
#include <chrono>

#include "infer/text/grammar/grammar_test_support.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text {
namespace {

using S = GrammarSource;

TEST(JsonSchema, Types) {
  expect_texts(schema_grammar(R"({"type": "null"})"), {"null"}, {"nul", "0", "\"null\""});
  expect_texts(schema_grammar(R"({"type": "boolean"})"), {"true", "false"}, {"True", "0", "tru"});
  expect_texts(schema_grammar(R"({"type": "integer"})"), {"0", "-7", "1234567890123456789"},
               {"01", "1.0", "+1", "-", "1e3", "", "12345678901234567890"});
  expect_texts(schema_grammar(R"({"type": "number"})"),
               {"0", "-7", "1.50", "0.001", "1e10", "-2.5E-3"},
               {"01", "1.", ".5", "+1", "1e", "1e100", "NaN", "1.2.3"});
  expect_texts(schema_grammar(R"({"type": ["string", "null"]})"), {"\"a\"", "null"}, {"1", "[]"});
  expect_texts(schema_grammar(R"({"type": "integer", "nullable": true})"), {"1", "null"}, {"1.5"});
  expect_texts(schema_grammar(R"({"type": "array"})"), {"[]", "[1, [2,\"x\"], {}]"},
               {"[1,]", "[,1]", "{}", "[1 ,2]", "[ 1]"});
  expect_texts(schema_grammar(R"({"type": "object"})"), {"{}", "{\"a\": 1, \"b\": {\"c\":[null]}}"},
               {"{a: 1}", "{\"a\"}", "[]", "{\"a\":1,}"});
  for (const char* any : {"{}", "true", R"({"description": "anything"})"})
    expect_texts(schema_grammar(any), {"1", "\"a\"", "[]", "{}", "null", "true"}, {"", "a"});
}

TEST(JsonSchema, StringsAreWellFormed) {
  expect_texts(schema_grammar(R"({"type": "string"})"),
               {R"("")", R"("a b")", R"("\"\\\/\b\f\n\r\t")", R"("\u00e9")", R"("\ud83d\ude00")",
                "\"d\xC3\xB6g \xF0\x9F\x98\x80\x7F\""},
               {R"("a)", R"("\x41")", R"("\u12")", R"("\ud83d")", R"("\ude00")",
                R"("\ud83d\u0041")", "\"\n\"", "\"\xC3\"", "\"\xFF\"", "\"\xC0\xAF\"",
                "\"\xED\xA0\x80\"", std::string("\"\0\"", 3)});
}

TEST(JsonSchema, LengthsCountCharacters) {
  expect_texts(
      schema_grammar(R"({"type": "string", "minLength": 2, "maxLength": 3})"),
      {"\"ab\"", "\"abc\"", "\"\xE4\xBD\xA0\xE5\xA5\xBD\"", R"("\u00e9\n")", R"("\ud83d\ude00ab")"},
      {"\"a\"", "\"abcd\"", "\"\xE4\xBD\xA0\"", R"("\ud83d\ude00")"});
  expect_texts(schema_grammar(R"({"type": "string", "maxLength": 0})"), {"\"\""}, {"\"a\""});
  const auto large = schema_grammar(R"({"type": "string", "maxLength": 1000000})");
  EXPECT_TRUE(takes(*large, "\"" + std::string(100'000, 'x') + "\""));
  EXPECT_LT(large->bytes(), 64u << 20);
}

TEST(JsonSchema, Patterns) {
  expect_texts(schema_grammar(R"({"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"})"),
               {"\"AB-123\""}, {"\"AB-12\"", "\"xAB-123\"", "\"AB-1234\""});
  // A pattern is searched for.
  expect_texts(schema_grammar(R"({"type": "string", "pattern": "b+c"})"),
               {"\"bc\"", "\"abbcd\"", R"("\"bc")"}, {"\"ab\"", "\"\""});
  expect_texts(schema_grammar(R"({"type": "string", "pattern": "^a|b$"})"), {"\"ax\"", "\"xb\""},
               {"\"xa\"", "\"bx\""});
  expect_texts(schema_grammar(R"({"type": "string", "pattern": "^[\"\\\\\\n]$"})"),
               {R"("\"")", R"("\\")", R"("\n")"}, {"\"\"\"", "\"\n\"", R"("\u000a")"});
  // Together with lengths, other patterns and formats.
  expect_texts(
      schema_grammar(R"({"type": "string", "pattern": "^a*b*$", "minLength": 2, "maxLength": 3})"),
      {"\"ab\"", "\"aab\"", "\"bbb\""}, {"\"a\"", "\"ba\"", "\"aaab\""});
  expect_texts(schema_grammar(R"({"allOf": [{"type": "string", "pattern": "^[a-m]+$"},
                                           {"pattern": "[k-z]"}]})"),
               {"\"k\"", "\"alm\""}, {"\"a\"", "\"z\"", "\"kz\""});
  expect_texts(schema_grammar(R"({"type": "string", "pattern": "5$", "format": "date"})"),
               {"\"2024-02-05\""}, {"\"2024-02-06\"", "\"5\""});
}

TEST(JsonSchema, Formats) {
  const auto format = [](const char* name) {
    return schema_grammar(concat(R"({"type": "string", "format": ")", name, "\"}"));
  };
  expect_texts(format("date"), {"\"2024-02-29\"", "\"2023-12-31\"", "\"2000-02-29\""},
               {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-04-31\"", "\"2024-13-01\"",
                "\"0000-01-01\"", "\"24-01-01\""});
  expect_texts(format("time"), {"\"23:59:59Z\"", "\"00:00:00.123+05:30\""},
               {"\"24:00:00Z\"", "\"12:00\"", "\"12:60:00Z\""});
  expect_texts(format("date-time"), {"\"2024-02-29T12:00:00Z\"", "\"2024-01-01T00:00:00.5-08:00\""},
               {"\"2024-02-30T12:00:00Z\"", "\"2024-02-29 12:00:00\""});
  expect_texts(
      format("uuid"), {"\"123e4567-e89b-12d3-a456-426614174000\""},
      {"\"123e4567e89b12d3a456426614174000\"", "\"123e4567-e89b-12d3-a456-42661417400g\""});
  expect_texts(format("email"), {"\"a.b+c@example.co.uk\""},
               {"\"a@b\"", "\"@example.com\"", "\"a..b@example.com\"", "\"a@-x.com\""});
  expect_texts(format("ipv4"), {"\"255.0.10.199\""},
               {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""});
  expect_texts(
      format("ipv6"),
      {"\"::\"", "\"::1\"", "\"2001:db8::ff00:42:8329\"", "\"::ffff:1.2.3.4\"",
       "\"1:2:3:4:5:6:7:8\"", "\"1::\""},
      {"\":::\"", "\"1:2:3:4:5:6:7\"", "\"1:2:3:4:5:6:7:8:9\"", "\"12345::\"", "\"1::2::3\""});
  expect_texts(format("uri"),
               {"\"https://example.com/a?b=c#d\"", "\"urn:isbn:0451450523\"",
                "\"http://localhost:8000\"", "\"mailto:a@b.c\""},
               {"\"example.com\"", "\"http://a b\"", "\"//x\""});
  expect_texts(format("duration"), {"\"P3Y6M4DT12H30M5S\"", "\"PT5M\"", "\"P2W\""},
               {"\"P\"", "\"PT\"", "\"3D\""});
  const std::string label(63, 'a'), labels = concat(label, ".", label, ".", label, ".");
  expect_texts(format("hostname"),
               {"\"a.example.com\"", concat("\"", labels, std::string(61, 'b'), "\"")},
               {"\"-a\"", "\"a..b\"", concat("\"a", label, "\""),
                concat("\"", labels, std::string(62, 'b'), "\"")});
  expect_texts(format("unheard-of"), {"\"anything\""}, {"1"});
  // As pydantic writes its HttpUrl, in many places.
  std::string urls;
  for (int i = 0; i < 20; ++i)
    urls += concat(i > 0 ? "," : "", "\"", i,
                   R"(": {"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083})");
  expect_texts(schema_grammar(concat(R"({"type": "object", "properties": {)", urls, "}}")),
               {R"({"3": "https://example.com/a", "19": "http://a-b.c"})"},
               {R"({"3": "x"})", R"({"3": "http://-a"})",
                concat(R"({"3": "http://a/)", std::string(2100, 'x'), "\"}")});
}

TEST(JsonSchema, WholeNumberRanges) {
  const auto in_range = [](const char* keywords, int64_t low, int64_t high) {
    const auto grammar = schema_grammar(concat(R"({"type": "integer", )", keywords, "}"));
    ASSERT_NE(grammar, nullptr);
    for (int64_t n = -1500; n <= 1500; ++n)
      EXPECT_EQ(takes(*grammar, std::to_string(n)), n >= low && n <= high) << keywords << " " << n;
    for (const char* never : {"-0", "00", "1.0", "+1", ""}) EXPECT_FALSE(takes(*grammar, never));
  };
  in_range(R"("minimum": 7, "maximum": 1234)", 7, 1234);
  in_range(R"("minimum": -56, "maximum": 789)", -56, 789);
  in_range(R"("minimum": -999, "maximum": -100)", -999, -100);
  in_range(R"("minimum": 0)", 0, INT64_MAX);
  in_range(R"("maximum": 99)", INT64_MIN, 99);
  in_range(R"("exclusiveMinimum": 0, "exclusiveMaximum": 10)", 1, 9);
  in_range(R"("minimum": 1.5, "maximum": 1e3)", 2, 1000);
  in_range(R"("minimum": 5, "maximum": 5)", 5, 5);
  in_range(R"("minimum": -12.5, "exclusiveMaximum": -0.5)", -12, -1);
  in_range(R"("minimum": 10, "exclusiveMinimum": true)", 11, INT64_MAX);
}

TEST(JsonSchema, DecimalRanges) {
  expect_texts(
      schema_grammar(R"({"type": "number", "minimum": -1.5, "maximum": 120.25})"),
      {"-1.5", "-1.500", "-1.49999", "0", "0.0", "120.25", "120.249", "99", "-1", "120.2500"},
      {"-1.51", "-2", "120.26", "120.2501", "121", "1e1", "1000", "-0"});
  expect_texts(schema_grammar(R"({"type": "number", "exclusiveMinimum": 0, "maximum": 1})"),
               {"0.0001", "1", "1.0", "0.99999"}, {"0", "0.0", "1.0001", "-0.5", "2"});
  expect_texts(schema_grammar(R"({"type": "number", "exclusiveMaximum": 0.05, "minimum": 0.025})"),
               {"0.025", "0.0250", "0.03", "0.0499"}, {"0.05", "0.050", "0.0249", "0", "0.2"});
  expect_texts(schema_grammar(R"({"type": "number", "minimum": 1000000})"),
               {"1000000", "1000000.5", "99999999"}, {"999999.9", "-1000000"});
  EXPECT_EQ(
      compile_error(S::json_schema(R"({"type": "number", "minimum": 2, "maximum": 1})")).message,
      "grammar: no text can match it");
}

TEST(JsonSchema, Multiples) {
  const auto grammar =
      schema_grammar(R"({"type": "integer", "multipleOf": 7, "minimum": -100, "maximum": 1000})");
  for (int n = -300; n <= 1300; ++n)
    EXPECT_EQ(takes(*grammar, std::to_string(n)), n % 7 == 0 && n >= -100 && n <= 1000) << n;
  expect_texts(schema_grammar(R"({"type": "number", "multipleOf": 0.05, "minimum": 0})"),
               {"0", "0.05", "1.1", "1.10", "12.35", "3"}, {"0.01", "1.12", "0.051", "-0.05"});
  expect_texts(schema_grammar(R"({"type": "integer", "multipleOf": 2.5})"), {"0", "5", "-10"},
               {"1", "2", "7"});
  const Error error =
      compile_error(S::json_schema(R"({"properties": {"a": {"multipleOf": 1234567}}})"));
  EXPECT_EQ(error.param, "schema.properties.a.multipleOf");
}

TEST(JsonSchema, EnumsAndConstants) {
  expect_texts(
      schema_grammar(
          R"({"enum": ["red", "re", 1, 1.5, null, true, "gr\u00fcn\"", [1, "a"], {"k": []}]})"),
      {"\"red\"", "\"re\"", "1", "1.5", "null", "true", "\"grün\\\"\"", "[1, \"a\"]", "[1,\"a\"]",
       "{\"k\": []}"},
      {"\"r\"", "\"redd\"", "2", "false", "[1]", "{}"});
  expect_texts(schema_grammar(R"({"const": {"a": {"b": 1}}})"), {"{\"a\": {\"b\": 1}}"}, {"{}"});
  expect_texts(schema_grammar(R"({"type": "string", "enum": ["a", 1, null]})"), {"\"a\""},
               {"1", "null"});
  expect_texts(schema_grammar(R"({"type": "string", "nullable": true, "enum": ["a"]})"),
               {"\"a\"", "null"}, {"1"});
  expect_texts(schema_grammar(R"({"enum": [1, 5, 10, "ab", "abc"], "minimum": 3, "pattern": "c"})"),
               {"5", "10", "\"abc\""}, {"1", "\"ab\""});
  // What is only meant where nothing is said does not count for values that are given.
  expect_texts(schema_grammar(R"({"type": "object", "properties": {"a": {}},
                                 "enum": [{"a": 1, "b": 2}, {"a": 1}]})"),
               {R"({"a": 1, "b": 2})", R"({"a": 1})"}, {"{}"});
  expect_texts(schema_grammar(R"({"items": {"minLength": 2}, "enum": [[1, "ab"], [1, "a"]]})"),
               {R"([1, "ab"])"}, {R"([1, "a"])"});
  expect_texts(schema_grammar(R"({"properties": {"a": {}}, "additionalProperties": false,
                                 "enum": [{"a": 1, "b": 2}, {"a": 1}]})"),
               {R"({"a": 1})"}, {R"({"a": 1, "b": 2})"});
  expect_texts(schema_grammar(R"({"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]})"),
               {"\"b\""}, {"\"a\"", "\"c\""});
  EXPECT_EQ(compile_error(S::json_schema(R"({"enum": []})")).message,
            "grammar: no text can match it");
}

TEST(JsonSchema, Arrays) {
  expect_texts(
      schema_grammar(
          R"({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3})"),
      {"[1]", "[1, 2]", "[1,2,3]"}, {"[]", "[1,2,3,4]", "[\"a\"]", "[1,]"});
  // As some generators write "any number".
  for (const char* max : {"18446744073709551615", "9223372036854775807", "1e30"})
    expect_texts(schema_grammar(concat(R"({"type": "array", "maxItems": )", max, "}")),
                 {"[]", "[1, 2, 3]"}, {"1"});
  expect_texts(schema_grammar(R"({"type": "array", "items": {"type": "null"}, "maxItems": 0})"),
               {"[]"}, {"[null]"});
  expect_texts(schema_grammar(R"({"prefixItems": [{"type": "string"}, {"type": "integer"}],
                                 "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4})"),
               {"[\"a\", 1]", "[\"a\", 1, true, false]"},
               {"[\"a\"]", "[1, \"a\"]", "[\"a\", 1, 2]", "[\"a\", 1, true, true, true]"});
  expect_texts(schema_grammar(
                   R"({"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false})"),
               {"[]", "[\"a\"]", "[\"a\", 1]"}, {"[\"a\", 1, 2]"});
  expect_texts(
      schema_grammar(R"({"items": [{"type": "string"}], "additionalItems": {"type": "null"}})"),
      {"[]", "[\"a\", null, null]"}, {"[null]", "[\"a\", 1]"});
  expect_texts(
      schema_grammar(
          R"({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}})"),
      {"[[1], [], [2, 3]]"}, {"[1]"});
}

TEST(JsonSchema, Objects) {
  const auto grammar = schema_grammar(R"({"type": "object",
      "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "null"}},
      "required": ["b"]})");
  expect_texts(
      grammar,
      {R"({"b": "x"})", R"({"a": 1, "b": "x"})", R"({"b":"x","c":null})",
       R"({"a": 1, "b": "x", "c": null})"},
      {"{}", R"({"a": 1})", R"({"b": 1})", R"({"b": "x", "a": 1})", R"({"b": "x", "d": 1})",
       R"({"b": "x", "b": "y"})", R"({"b": "x",})", R"({,"b": "x"})", R"({ "b": "x"})"});
  expect_texts(schema_grammar(R"({"properties": {"a": {"type": "null"}, "b": {"type": "null"}}})"),
               {"{}", R"({"a": null})", R"({"b": null})", R"({"a": null, "b": null})"},
               {R"({"b": null, "a": null})", "null"});
  expect_texts(schema_grammar(R"({"properties": {"a": {"type": "null"}}, "minProperties": 1})"),
               {R"({"a": null})"}, {"{}"});
  expect_texts(
      schema_grammar(R"({"properties": {"k\"\n": {"type": "null"}}, "required": ["k\"\n"]})"),
      {R"({"k\"\n": null})"}, {"{}"});
  // Required but not declared.
  expect_texts(schema_grammar(R"({"type": "object", "required": ["x"]})"), {R"({"x": [1]})"},
               {"{}"});
}

TEST(JsonSchema, OtherProperties) {
  expect_texts(schema_grammar(R"({"type": "object", "additionalProperties": {"type": "integer"}})"),
               {"{}", R"({"x": 1, "y": 2})"}, {R"({"x": "1"})"});
  expect_texts(schema_grammar(R"({"type": "object", "additionalProperties": false})"), {"{}"},
               {R"({"x": 1})"});
  const auto open =
      schema_grammar(R"({"properties": {"ab": {"type": "integer"}, "abc": {"type": "null"}},
      "required": ["ab"], "additionalProperties": {"type": "string"}})");
  expect_texts(open,
               {R"({"ab": 1})", R"({"ab": 1, "abc": null, "x": "y", "a": "", "": "", "abd": "1"})"},
               {R"({"ab": "s"})", R"({"ab": 1, "ab": "s"})", R"({"ab": 1, "abc": "s"})",
                R"({"ab": 1, "x": 1})", R"({"ab": 1, "\u0061b": "s"})", R"({"x": "y", "ab": 1})"});
  expect_texts(schema_grammar(R"({"type": "object", "additionalProperties": {"type": "null"},
                                 "minProperties": 1, "maxProperties": 2})"),
               {R"({"a": null})", R"({"a": null, "b": null})"},
               {"{}", R"({"a": null, "b": null, "c": null})"});
  expect_texts(
      schema_grammar(R"({"type": "object", "patternProperties": {"^x-": {"type": "integer"}},
                                 "additionalProperties": false})"),
      {"{}", R"({"x-a": 1})"}, {R"({"y": 1})", R"({"x-a": "s"})"});
  expect_texts(schema_grammar(R"({"properties": {"x-a": {"type": ["integer", "string"]}},
                                 "patternProperties": {"^x-": {"type": "integer"}}})"),
               {R"({"x-a": 1, "x-b": 2})"}, {R"({"x-a": "s"})", R"({"x-b": 1, "x-a": 2})"});
  // To the other parts of an allOf, a property of a pattern is one of their additional ones.
  expect_texts(
      schema_grammar(R"({"allOf": [{"type": "object", "patternProperties": {"^x": {"minimum": 3}}},
                                   {"additionalProperties": {"type": "integer"}}]})"),
      {"{}", R"({"x": 3})"}, {R"({"x": 2})", R"({"x": 3.5})", R"({"y": 3})"});
  expect_texts(schema_grammar(R"({"allOf": [{"patternProperties": {"^x": {"type": "integer"}}},
                                            {"properties": {"b": {"type": "integer"}},
                                             "additionalProperties": false}]})"),
               {"{}", R"({"b": 1})"}, {R"({"x": 1})", R"({"b": 1, "x": 1})"});
}

TEST(JsonSchema, PropertyNames) {
  expect_texts(schema_grammar(R"({"type": "object", "propertyNames": {"enum": ["a", "b"]},
                                 "additionalProperties": {"type": "integer"}})"),
               {"{}", R"({"b": 1})"}, {R"({"c": 1})"});
  for (const bool strict : {false, true}) {
    const auto named = [&](const char* keywords) {
      return schema_grammar(
          concat(R"({"type": "object", "propertyNames": {"maxLength": 3}, )", keywords, "}"),
          {.strict = strict});
    };
    expect_texts(named(R"("properties": {"long": {}, "ab": {}})"), {"{}", R"({"ab": 1})"},
                 {R"({"long": 1})"});
    expect_texts(named(R"("properties": {"ab": {"type": "integer"}}, "required": ["ab"],
                          "additionalProperties": {})"),
                 {R"({"ab": 1})", R"({"ab": 1, "abc": 2})"},
                 {R"({"ab": 1, "ab": "x"})", R"({"ab": 1, "long": 1})"});
    expect_texts(named(R"("patternProperties": {"^a": {}}, "additionalProperties": false)"),
                 {"{}", R"({"ab": 1})"}, {R"({"abcd": 1})", R"({"b": 1})"});
    expect_texts(named(R"("enum": [{"a": 1}, {"abcd": 1}])"), {R"({"a": 1})"}, {R"({"abcd": 1})"});
  }
  expect_texts(schema_grammar(R"({"propertyNames": {"enum": ["a", "b", "c"], "pattern": "[bc]"},
                                 "properties": {"b": {"type": "null"}},
                                 "additionalProperties": true})"),
               {R"({"b": null})", R"({"b": null, "c": 1})"}, {R"({"a": 1})", R"({"b": 1})"});
  EXPECT_EQ(compile_error(S::json_schema(R"({"type": "object", "propertyNames": {"maxLength": 3},
                                             "required": ["long"]})"))
                .message,
            "grammar: no text can match it");
  // A schema of names may be the object's own.
  expect_texts(schema_grammar(R"({"type": ["object", "string"], "maxLength": 2,
                                 "properties": {"ab": {}, "abc": {}},
                                 "propertyNames": {"$ref": "#"}})"),
               {R"({"ab": 1})", "\"ab\""}, {R"({"abc": 1})"});
}

TEST(JsonSchema, Combinations) {
  expect_texts(
      schema_grammar(R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]})"),
      {"1", "\"a\""}, {"\"ab\"", "null"});
  expect_texts(schema_grammar(R"({"oneOf": [{"type": "integer"}, {"const": "x"}]})"),
               {"1", "\"x\""}, {"\"y\""});
  expect_texts(schema_grammar(R"({"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]})"),
               {"3", "5"}, {"2", "6"});
  expect_texts(schema_grammar(R"({"type": "object", "properties": {"a": {"type": "integer"}},
      "allOf": [{"properties": {"b": {"type": "null"}}, "required": ["b"]},
                {"properties": {"a": {"minimum": 5}}}]})"),
               {R"({"a": 5, "b": null})", R"({"b": null})"},
               {R"({"a": 4, "b": null})", R"({"a": 5})"});
  expect_texts(
      schema_grammar(
          R"({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
      "anyOf": [{"required": ["a"]}, {"required": ["b"]}]})"),
      {R"({"a": null})", R"({"b": null})", R"({"a": null, "b": null})"}, {"{}"});
  // additionalProperties sees only its own object's properties.
  expect_texts(
      schema_grammar(R"({"allOf": [{"properties": {"a": {}}, "additionalProperties": false},
                                           {"properties": {"b": {}}, "required": []}]})"),
      {"{}", R"({"a": 1})"}, {R"({"b": 1})"});
}

TEST(JsonSchema, References) {
  expect_texts(schema_grammar(R"({"$defs": {"p/q": {"type": "integer"}},
      "properties": {"x": {"$ref": "#/$defs/p~1q"}, "y": {"$ref": "#/properties/x"}}})"),
               {R"({"x": 1, "y": 2})"}, {R"({"x": "1"})"});
  const auto tree = schema_grammar(R"({"definitions": {"node": {"type": "object",
      "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/definitions/node"}, {"type": "null"}]}},
      "required": ["v", "next"], "additionalProperties": false}}, "$ref": "#/definitions/node"})");
  std::string text = "null";
  for (int depth = 0; depth < 100; ++depth) text = R"({"v": 1, "next": )" + text + "}";
  expect_texts(tree, {text}, {text + "}", text.substr(1), R"({"v": 1})"});
  expect_texts(schema_grammar(R"({"type": "array", "items": {"$ref": "#"}})"), {"[]", "[[], [[]]]"},
               {"[1]"});
  expect_texts(
      schema_grammar(R"({"$ref": "#/$defs/a", "minimum": 3, "$defs": {"a": {"type": "integer"}}})"),
      {"3"}, {"2", "\"a\""});
  expect_texts(
      schema_grammar(R"({"$ref": "#here", "$defs": {"a": {"$anchor": "here", "type": "null"}}})"),
      {"null"}, {"1"});
}

TEST(JsonSchema, LineBreaks) {
  const auto grammar = schema_grammar(
      R"({"properties": {"a": {"type": "array", "items": {"type": "integer"}}, "b": {"type": "null"}}})",
      {.line_breaks = true});
  expect_texts(grammar,
               {R"({"a":[1,2],"b":null})", R"({"a": [1, 2], "b": null})",
                "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": null\n}"},
               {"{\n\n\"a\": [1]}", "{\t\"b\": null}", "{\"a\" : [1]}", "{  \"b\": null}"});
}

// What cannot be compiled says where.
TEST(JsonSchema, FaultsNameTheirPlace) {
  struct Fault {
    const char* schema;
    const char* param;
    const char* message;
  };
  const Fault faults[] = {
      {"{", "schema", "not JSON"},
      {"3", "schema", "want a schema, found a number"},
      {R"({"type": "strin"})", "schema.type", "want a type, found 'strin'"},
      {R"({"type": 3})", "schema.type", "want a type's name"},
      {R"({"properties": {"a": {"items": 4}}})", "schema.properties.a.items", "want a schema"},
      {R"({"properties": []})", "schema.properties", "want an object, found an array"},
      {R"({"required": "a"})", "schema.required", "want an array"},
      {R"({"enum": 1})", "schema.enum", "want an array"},
      {R"({"anyOf": []})", "schema.anyOf", "at least one schema"},
      {R"({"$ref": "#/$defs/x"})", "schema.$ref", "there is no '$defs'"},
      {R"({"$ref": "http://x/y"})", "schema.$ref", "into this schema"},
      {R"({"$ref": "#"})", "schema", "refers to itself without end"},
      {R"({"anyOf": [{"type": "null"}, {"$ref": "#"}]})", "schema", "refers to itself"},
      {R"({"minLength": -1})", "schema.minLength", "want a whole number"},
      {R"({"minLength": 99999999999})", "schema.minLength", "want at most"},
      {R"({"minLength": 18446744073709551615})", "schema.minLength", "want at most"},
      {R"({"minimum": "1"})", "schema.minimum", "want a number"},
      {R"({"multipleOf": 0})", "schema.multipleOf", "above 0"},
      {R"~({"pattern": "(?=x)"})~", "schema.pattern", "look-around is not supported at byte 0"},
      {R"({"pattern": "a^b"})", "schema.pattern", "at the ends of alternatives only"},
      {R"({"type": "object", "a": 1, "a": 2})", "schema", "key 'a' twice"},
      {"false", "", "no text can match"},
  };
  for (const Fault& fault : faults) {
    const Error error = compile_error(S::json_schema(fault.schema));
    EXPECT_EQ(error.code, Code::kInvalidArgument);
    EXPECT_EQ(error.param, fault.param) << fault.schema << ": " << error.message;
    EXPECT_NE(error.message.find(fault.message), std::string::npos) << error.message;
  }
}

// What is only ignored otherwise.
TEST(JsonSchema, StrictRefusesWhatIsNotSupported) {
  const std::pair<const char*, const char*> faults[] = {
      {R"({"properties": {"a": {"not": {}}}})", "s.properties.a.not"},
      {R"({"items": {"uniqueItems": true}})", "s.items.uniqueItems"},
      {R"({"type": "object", "if": {}})", "s.if"},
      {R"({"type": "string", "format": "idn-email"})", "s.format"},
      {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})", "s.oneOf"},
      // What speaks of numbers only accepts strings as well.
      {R"({"oneOf": [{"minimum": 5}, {"type": "string"}]})", "s.oneOf"},
      {R"({"oneOf": [{"properties": {"k": {"const": 1}}, "required": ["k"]}, {"const": "x"}]})",
       "s.oneOf"},
      {R"({"type": "object", "propertees": {}})", "s.propertees"},
      {R"({"properties": {"a": {}, "b": {}}, "minProperties": 2})", "s.minProperties"},
      {R"({"minProperties": 2, "additionalProperties": {}})", "s.minProperties"},
      {R"({"allOf": [{"type": "object"}, {"minProperties": 2}, {}]})", "s.allOf[1].minProperties"},
      {R"({"$defs": {"d": {"contains": {}}}, "properties": {"a": {"$ref": "#/$defs/d"}}})",
       "s.$defs.d.contains"},
  };
  for (const auto& [schema, path] : faults) {
    const Error error = compile_error(S::json_schema(schema, {.strict = true, .path = "s"}));
    EXPECT_EQ(error.param, path) << error.message;
    EXPECT_NE(schema_grammar(schema), nullptr);
  }
  for (
      const char* fine :
      {R"({"oneOf": [{"type": "integer"}, {"type": "string"}]})",
       R"({"oneOf": [{"const": 1}, {"enum": [2, 3]}]})",
       R"({"oneOf": [{"properties": {"k": {"const": "a"}}, "required": ["k"]},
                      {"properties": {"k": {"enum": ["b", "c"]}}, "required": ["k"]}]})",
       R"({"title": "t", "description": "d", "default": 1, "examples": [1], "x-y": 2, "type": "integer"})"})
    EXPECT_NE(schema_grammar(fine, {.strict = true}), nullptr) << fine;
}

// Branches without a type that are told apart by a property write objects, whatever else the
// schema may be.
TEST(JsonSchema, BranchesAreWhatTellsThemApart) {
  const char* schema = R"({"type": ["object", "string"], "oneOf": [
      {"properties": {"k": {"const": "a"}}, "required": ["k"]},
      {"properties": {"k": {"const": "b"}}, "required": ["k"]}]})";
  expect_texts(schema_grammar(schema, {.strict = true}), {R"({"k": "a"})", R"({"k": "b"})"},
               {"\"a\"", R"({"k": "c"})"});
  schema = R"({"enum": ["a", {"k": "a"}], "oneOf": [
      {"properties": {"k": {"const": "a"}}, "required": ["k"]},
      {"properties": {"k": {"const": "b"}}, "required": ["k"]}]})";
  expect_texts(schema_grammar(schema, {.strict = true}), {R"({"k": "a"})"}, {"\"a\""});
}

// Hostile schemas end in errors, soon.
TEST(JsonSchema, HostileSchemasAreRefused) {
  std::string deep(3000, '[');
  EXPECT_EQ(compile_error(S::json_schema(deep)).param, "schema");
  std::string nested = "{}";
  for (int i = 0; i < 200; ++i) nested = R"({"items": )" + nested + "}";
  EXPECT_NE(compile_error(S::json_schema(nested)).message.find("nested deeper"), std::string::npos);
  std::string wide = R"({"allOf": [)";
  for (int i = 0; i < 12; ++i)
    wide += concat(i > 0 ? "," : "", R"({"anyOf": [{"type": "null"}, {"minimum": )", i, "}]}");
  EXPECT_NE(compile_error(S::json_schema(wide + "]}")).message.find("combinations"),
            std::string::npos);
  // Each choice with each part of the allOf would be a gigabyte.
  std::string parts, branches = "{}";
  for (int i = 0; i < 97'000; ++i) parts += "{},";
  for (int i = 1; i < 900; ++i) branches += ",{}";
  const Error copied = compile_error(
      S::json_schema(concat(R"({"allOf": [)", parts, R"({"anyOf": [)", branches, "]}]}")));
  EXPECT_NE(copied.message.find("automaton states"), std::string::npos) << copied.message;
  // So would each element's place with each part.
  std::string places = "{}", others;
  for (int i = 1; i < 40'000; ++i) places += ",{}";
  for (int i = 0; i < 20'000; ++i) others += R"(,{"items":{}})";
  const Error crossed = compile_error(
      S::json_schema(concat(R"({"allOf": [{"prefixItems": [)", places, "]}", others, "]}")));
  EXPECT_NE(crossed.message.find("automaton states"), std::string::npos) << crossed.message;
  // 2^30 states when determinised.
  const Error blown = compile_error(
      S::json_schema(R"({"type": "string", "pattern": "a.{30}$", "maxLength": 1000})"));
  EXPECT_TRUE(blown.message.starts_with("grammar: ")) << blown.message;
  const Error counted = compile_error(
      S::json_schema(R"({"type": "string", "pattern": "(a{1000}){1000}", "maxLength": 10})"));
  EXPECT_NE(counted.message.find("too large to combine"), std::string::npos) << counted.message;
  EXPECT_EQ(counted.param, "schema");
  std::string many = R"({"properties": {)";
  for (int i = 0; i < 30000; ++i) many += concat(i > 0 ? "," : "", "\"property ", i, "\": {}");
  const Error large = compile_error(S::json_schema(many + "}}"));
  EXPECT_NE(large.message.find("automaton states"), std::string::npos) << large.message;
}

// The budget holds inside the rules of a single string as well, however many letters and places
// they tell apart.
TEST(JsonSchema, StringRulesKeepToTheBudget) {
  std::string letters, some;  // different characters
  for (char32_t c = 0; c < 250'000; ++c) tok::append_utf8(letters, 0x10000 + c);
  for (char32_t c = 0; c < 10'000; ++c) tok::append_utf8(some, 0x10000 + 2 * c);
  for (const std::string& schema : {
           concat(R"({"properties": {")", letters, R"(": {}}, "additionalProperties": {}})"),
           concat(R"({"properties": {")", letters, R"(": {}}, "patternProperties": {"^(.?){9000}[)",
                  some, R"(]$": {}}})"),
           concat(R"({"type": "string", "maxLength": 9000, "pattern": "^(.?){9000}[)", some,
                  R"(]$"})"),
           std::string(
               R"({"type": "string", "maxLength": 9, "pattern": "^((a|(b)|((c)))?){9000}x$"})"),
       }) {
    const auto begin = std::chrono::steady_clock::now();
    const auto made = compile(S::json_schema(schema), test_vocabulary(), {.time = from_ms(200)});
    // Fifty times the budget would still pass; where nothing looks at the clock the first takes a
    // minute.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10))
        << schema.substr(0, 40);
    if (made.ok()) continue;
    EXPECT_TRUE(made.error().message.starts_with("grammar: ") ||
                made.error().message.find("too large to combine") != std::string::npos)
        << made.error().message;
  }
}

// So it does where many values are compared with each other, and where objects have many members.
TEST(JsonSchema, ManyValuesKeepToTheBudget) {
  const auto listed = [](int begin, int end, std::string_view before, std::string_view behind) {
    std::string out;
    for (int i = begin; i < end; ++i) out += concat(i > begin ? "," : "", before, i, behind);
    return out;
  };
  const std::string names = listed(0, 45'000, "\"", "\""),
                    members = listed(0, 45'000, "\"", "\":0");
  std::string backward;
  for (int i = 45'000; i-- > 0;) backward += concat("\"", i, i > 0 ? "\":0," : "\":0");
  for (const std::string& schema : {
           concat(R"({"oneOf": [{"enum": [)", listed(0, 48'000, "\"a", "\""), R"(]}, {"enum": [)",
                  listed(0, 48'000, "\"b", "\""), "]}]}"),
           concat(R"({"required": [)", names, R"(], "enum": [{)", members, "}]}"),
           concat(R"({"allOf": [{"const": {)", members, R"(}}, {"const": {)", backward, "}}]}"),
       }) {
    const auto begin = std::chrono::steady_clock::now();
    const auto made = compile(S::json_schema(schema, {.strict = true}), test_vocabulary(),
                              {.time = from_ms(200)});
    // A loop over each with each takes twice that.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5))
        << schema.substr(0, 40);
    EXPECT_TRUE(made.ok() || made.error().message.starts_with("grammar: "));
  }
  // Equal values are equal however they are written.
  EXPECT_EQ(compile_error(S::json_schema(R"({"oneOf": [{"const": {"a": [1, "x"], "b": 1e16}},
                                                       {"const": {"b": 10000000000000000,
                                                                  "a": [1.0, "x"]}}]})",
                                         {.strict = true}))
                .param,
            "schema.oneOf");
  expect_texts(schema_grammar(R"({"allOf": [{"enum": [2, 1, {"a": 1, "b": 2}, [1, 2], "1"]},
                                            {"enum": [{"b": 2.0, "a": 1}, 1.0, [2, 1]]}]})"),
               {"1", R"({"a": 1, "b": 2})"}, {"2", "\"1\"", "[1, 2]", "[2, 1]"});
}

TEST(JsonSchema, TimeIsBounded) {
  struct Ticking final : Clock {
    TimePoint now() const override { return TimePoint(Duration(++ticks * 1'000'000'000)); }
    mutable int64_t ticks = 0;
  } ticking;
  const auto made = compile(S::json_schema(R"({"type": "object"})"), test_vocabulary(),
                            {.time = from_ms(2000), .clock = &ticking});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().message, "grammar: not compiled within 2000 ms");
}

}  // namespace
}  // namespace sis::text
