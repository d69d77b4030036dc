#include "base/yaml_tree.h"

#include <gtest/gtest.h>

namespace sis {
namespace {

std::string error_of(const std::string& text, const YamlLimits& limits = {}) {
  const auto tree = parse_yaml(text, "t", limits);
  return tree.ok() ? "no error" : tree.error().message;
}

TEST(YamlTree, MergeKeys) {
  const auto tree = parse_yaml("base: &b {x: 1, y: 2}\nm: {<<: *b, y: 3}\n", "t");
  ASSERT_TRUE(tree.ok()) << tree.error().message;
  EXPECT_EQ(tree->find("m")->find("x")->scalar, "1");
  EXPECT_EQ(tree->find("m")->find("y")->scalar, "3");
  EXPECT_FALSE(parse_yaml("m: {<<: 4}", "t").ok());
}

// Values and keys know their lines, and scalars whether they stood in quotes.
TEST(YamlTree, LinesAndQuotes) {
  const auto tree = parse_yaml("a:\n  b: 1\n  c: '1'\n", "t");
  ASSERT_TRUE(tree.ok()) << tree.error().message;
  ASSERT_EQ(tree->members.size(), 1u);
  EXPECT_EQ(tree->members[0].line, 1);
  const YamlTree& a = tree->members[0].value;
  EXPECT_EQ(a.find("b")->line, 2);
  EXPECT_FALSE(a.find("b")->quoted);
  EXPECT_TRUE(a.find("c")->quoted);
  EXPECT_EQ(a.find("d"), nullptr);
  EXPECT_EQ(error_of("a:\n  b: 1\na:\n  b: 2\n"), "t line 3: key 'a' appears twice in one mapping");
}

// Each bound is kept where it stands and passed one above it.
TEST(YamlTree, LimitsOfTheCaller) {
  EXPECT_EQ(error_of("[1, 2]", {.file_bytes = 6}), "no error");
  EXPECT_EQ(error_of("[1, 2]", {.file_bytes = 5}), "t: 6 bytes, want at most 5");
  EXPECT_EQ(error_of("[1, 2]", {.values = 3}), "no error");
  EXPECT_EQ(error_of("[1, 2]", {.values = 2}),
            "t line 1: more than 2 values once aliases are expanded");
  EXPECT_EQ(error_of("[&a abc, *a]", {.text_bytes = 6}), "no error");
  EXPECT_EQ(error_of("[&a abc, *a]", {.text_bytes = 5}),
            "t line 1: more than 5 bytes of text once aliases are expanded");
  EXPECT_EQ(error_of("[[1]]", {.depth = 2}), "no error");
  EXPECT_EQ(error_of("[[1]]", {.depth = 1}), "t line 1: nested deeper than 1");
}

TEST(YamlTree, OverlaysMapsMemberByMember) {
  auto base = parse_yaml("{a: {x: 1, y: 2}, b: [1, 2], c: 3}", "t");
  const auto overlay = parse_yaml("{a: {y: 4, z: 5}, b: [6]}", "t");
  ASSERT_TRUE(base.ok() && overlay.ok());
  merge_yaml(*base, *overlay);
  EXPECT_EQ(base->find("a")->find("x")->scalar, "1");
  EXPECT_EQ(base->find("a")->find("y")->scalar, "4");
  EXPECT_EQ(base->find("a")->find("z")->scalar, "5");
  ASSERT_EQ(base->find("b")->items.size(), 1u);
  EXPECT_EQ(base->find("b")->items[0].scalar, "6");
  EXPECT_EQ(base->find("c")->scalar, "3");
}

}  // namespace
}  // namespace sis
