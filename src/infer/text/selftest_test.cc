// A folder's self-test passes on what the original made, and names the first difference where one
// number or letter of it is changed.
#include "infer/text/selftest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sis::text {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizer = R"({"version":"1.0",
 "added_tokens":[{"id":0,"content":"[CLS]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
                 {"id":2,"content":"[SEP]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
 "normalizer":{"type":"Lowercase"},"pre_tokenizer":{"type":"Whitespace"},
 "post_processor":{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",0]},
 "decoder":{"type":"WordPiece","prefix":"##","cleanup":false},
 "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
          "vocab":{"[CLS]":0,"[UNK]":1,"[SEP]":2,"a":3,"b":4}}})";

class SelftestTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / (std::string("sis-selftest-") +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    auto tokenizer = Tokenizer::from_json(kTokenizer);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::move(*tokenizer);
    auto parsed =
        ChatTemplate::parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
    ASSERT_TRUE(parsed.ok());
    templates_ = ChatTemplates::from_template(std::move(*parsed));
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<std::optional<SelftestReport>> run(const std::string& json) {
    std::ofstream(folder_ / "sis-selftest.json") << json;
    return run_selftest(folder_.string(), *tokenizer_, &templates_);
  }

  fs::path folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  ChatTemplates templates_;
};

TEST_F(SelftestTest, NoFileIsNoTest) {
  const auto report = run_selftest(folder_.string(), *tokenizer_, nullptr);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->has_value());
}

TEST_F(SelftestTest, PassesOnWhatIsRight) {
  const auto report = run(
      R"({"texts":[{"text":"A b","ids":[0,3,4,2],"offsets":[0,0,0,1,2,3,0,0],"ids_plain":[3,4],"decoded":"a b"}],
      "pairs":[{"first":"a","second":"b","ids":[0,3,2,4,2]}],
      "conversations":[{"messages":[{"role":"user","content":"hi"}],"prompt":"<user>hi"},
                       {"messages":[{"role":"user","content":"hi"}],"continue_final_message":true,"prompt":"<user>hi"}]})");
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_TRUE(report->has_value());
  EXPECT_EQ((*report)->failed, 0) << (*report)->failures.front();
  EXPECT_EQ((*report)->texts, 2);
  EXPECT_EQ((*report)->conversations, 2);
}

TEST_F(SelftestTest, NamesWhatDiffers) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"texts":[{"text":"A b","ids":[0,3,3,2]}]})",
       "texts[0]: ids of 'A b': want [0 3 3 2] (4), got [0 3 4 2] (4)"},
      {R"({"texts":[{"text":"a","ids":[0,3,2],"offsets":[0,0,0,2,0,0]}]})",
       "texts[0]: offsets of 'a': want [0 0 0 2 0 0] (6), got [0 0 0 1 0 0] (6)"},
      {R"({"texts":[{"text":"a","ids_plain":[4]}]})",
       "texts[0]: ids_plain of 'a': want [4] (1), got [3] (1)"},
      {R"({"texts":[{"text":"a","ids":[0,3,2],"decoded":"b"}]})",
       "texts[0]: decoded of [0 3 2] (3): from byte 0 want 'b', got 'a'"},
      {R"({"pairs":[{"first":"a","second":"b","ids":[1]}]})",
       "pairs[0]: ids of 'a + b': want [1] (1), got [0 3 2 4 2] (5)"},
      {R"({"conversations":[{"messages":[{"role":"user","content":"hi"}],"prompt":"<user>ho"}]})",
       "conversations[0]: prompt from byte 7 want 'o', got 'i'"},
      {R"({"conversations":[{"messages":[{"role":"user","content":"x"}],"error":true}]})",
       "conversations[0]: want an error, got '<user>x'"},
  };
  for (const auto& [json, message] : cases) {
    const auto report = run(json);
    ASSERT_TRUE(report.ok()) << report.error().message;
    ASSERT_EQ((*report)->failed, 1) << json;
    EXPECT_EQ((*report)->failures.front(), message);
  }
}

// The tokenizers of all families, trained small, and the templates that go with them: what
// transformers made of texts in many scripts and of conversations
// (tools/golden/make_tokenizers.py).
TEST(SelftestGolden, Families) {
  const std::pair<const char*, bool> families[] = {
      {"bert-cased", false}, {"bert-uncased", false}, {"xlmr", false}, {"gpt2", false},
      {"whisper", false},    {"llama3", true},        {"qwen2", true}, {"gemma", true}};
  for (const auto& [family, has_template] : families) {
    const std::string folder = std::string("tests/golden/tokenizer/") + family;
    const auto tokenizer = Tokenizer::from_folder(folder);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    const auto templates = ChatTemplates::from_folder(folder);
    ASSERT_EQ(templates.ok(), has_template) << family;
    const auto report = run_selftest(folder, **tokenizer, templates.ok() ? &*templates : nullptr);
    ASSERT_TRUE(report.ok()) << report.error().message;
    ASSERT_TRUE(report->has_value()) << family;
    EXPECT_EQ((*report)->failed, 0) << family << ": " << (*report)->failures.front();
    EXPECT_GE((*report)->texts, 150) << family;
    EXPECT_GE((*report)->conversations, has_template ? 10 : 0) << family;
  }
}

TEST_F(SelftestTest, RefusesWhatIsNoSelftest) {
  for (const char* json :
       {"", "[]", R"({"texts":1})", R"({"texts":[1]})", R"({"texts":[{}]})",
        R"({"texts":[{"text":"a","ids":[-1]}]})", R"({"texts":[{"text":"a","ids":"x"}]})",
        R"({"conversations":[{"messages":1}]})", R"({"now":[2026]})",
        R"({"now":[2026,13,1,0,0,0]})",
        R"({"conversations":[{"messages":[{"role":"user","content":"x"}]}]})"}) {
    const auto report = run(json);
    ASSERT_FALSE(report.ok()) << json;
    EXPECT_NE(report.error().message.find("sis-selftest.json"), std::string::npos)
        << report.error().message;
  }
}

}  // namespace
}  // namespace sis::text
