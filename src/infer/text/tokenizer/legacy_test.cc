// Checkpoints without tokenizer.json; tests/interop/tokenizer_legacy.py compares them with the
// transformers package.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "infer/text/tokenizer/legacy_sentencepiece.h"
#include "infer/text/tokenizer/sentencepiece.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace sis::text {
namespace {

using tok::LegacyFiles;
using tok::read_sentencepiece;
using tok::sentencepiece_tokenizer_json;

// A protocol buffer field of bytes.
std::string field(int number, std::string_view bytes) {
  return concat(static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size()), bytes);
}

std::string piece(std::string_view text, float score, int type) {
  std::string number(4, '\0');
  std::memcpy(number.data(), &score, 4);
  return field(1, concat(field(1, text), '\x15', number, '\x18', static_cast<char>(type)));
}

// <unk>, <s>, </s> and a few letters; `type` 1 is unigram, 2 BPE.
std::string small_model(int type) {
  std::string out = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  for (const auto& [text, score] :
       {std::pair{"\u2581", -3.0f}, {"a", -4.0f}, {"b", -4.5f}, {"ab", -1.0f}, {"\u2581ab", -0.5f}})
    out += piece(text, score, 1);
  return out + field(2, concat('\x18', static_cast<char>(type)));
}

LegacyFiles of_class(std::string_view name) {
  LegacyFiles files;
  files.tokenizer_config = concat(R"({"tokenizer_class":")", name, "\"}");
  return files;
}

TEST(SentencePiece, ReadsPieces) {
  const std::string file = small_model(2);
  const auto model = read_sentencepiece(file);
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_EQ(model->pieces.size(), 8u);
  EXPECT_EQ(model->type, tok::SentencePieceModel::kBpe);
  EXPECT_EQ(model->pieces[1].text, "<s>");
  EXPECT_EQ(model->pieces[1].type, tok::SentencePiece::kControl);
  EXPECT_EQ(model->pieces[7].score, -0.5f);
}

// Every beginning of a file is refused or read, and what is wrong is said.
TEST(SentencePiece, RefusesWhatIsBroken) {
  const std::string file = small_model(1);
  for (size_t bytes = 0; bytes < file.size(); ++bytes)
    if (const auto model = read_sentencepiece(std::string_view(file).substr(0, bytes)); !model) {
      EXPECT_NE(model.error().message.find("sentencepiece model: "), std::string::npos);
    }
  const std::pair<std::string, std::string_view> kBroken[] = {
      {"", "there are no pieces"},
      {small_model(3), "want a model of type 1 (unigram) or 2 (bpe), found 3"},
      {piece("\xFF", 0, 1), "not UTF-8"},
      {piece("a", std::numeric_limits<float>::infinity(), 1), "not a finite number"},
      {piece("a", 0, 9), "want a type from 1 to 6, found 9"},
      {piece("a", 0, 1) + field(2, "\xC0\x02\x07"), "want an unknown id below 1, found 7"},
      {"\x0A\x7F", "runs past the end"},
      {"\x0B", "want a field of kind"},
      {std::string(11, '\xFF'), "key is cut off"}};
  for (const auto& [bytes, message] : kBroken) {
    const auto model = read_sentencepiece(bytes);
    ASSERT_FALSE(model.ok()) << message;
    EXPECT_NE(model.error().message.find(message), std::string::npos) << model.error().message;
  }
}

// The class decides ids: fairseq's order for XLM-R, the file's own for Llama.
TEST(SentencePiece, ClassesDifferInIds) {
  const auto load = [](int type, std::string_view name) {
    const auto json = sentencepiece_tokenizer_json(small_model(type), of_class(name));
    EXPECT_TRUE(json.ok()) << json.error().message;
    auto tokenizer = Tokenizer::from_json(*json);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    return std::move(tokenizer).value();
  };
  EXPECT_EQ(load(1, "XLMRobertaTokenizerFast")->encode("ab a", {}).ids,
            (std::vector<int32_t>{0, 8, 4, 5, 2}));
  const auto llama = load(2, "LlamaTokenizer");
  EXPECT_EQ(llama->encode("ab a", {}).ids, (std::vector<int32_t>{1, 7, 3, 4}));
  EXPECT_EQ(llama->decode({1, 7, 3, 4}, true), "ab a");
  EXPECT_EQ(load(1, "T5Tokenizer")->token_to_id("<extra_id_0>"), 107);
}

TEST(SentencePiece, NamesWhatDoesNotFit) {
  const auto unknown = sentencepiece_tokenizer_json(small_model(1), of_class("OddTokenizer"));
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("'OddTokenizer' is not supported"), std::string::npos);
  const auto wrong = sentencepiece_tokenizer_json(small_model(1), of_class("LlamaTokenizer"));
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message.find("LlamaTokenizer wants type 2, found 1"), std::string::npos);
}

class LegacyFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / concat("legacy_test.", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, std::string_view content) {
    std::ofstream(folder_ / name) << content;
  }
  Result<std::unique_ptr<Tokenizer>> load() { return Tokenizer::from_folder(folder_.string()); }
  std::filesystem::path folder_;
};

// vocab.json and merges.txt, with added tokens from both places they are told in.
TEST_F(LegacyFolder, ReadsVocabAndMerges) {
  write("vocab.json", R"({"a":0,"b":1,"\u0120":2,"ab":3,"\u0120ab":4,"<s>":5,"</s>":6})");
  write("merges.txt", "#version: 0.2\na b\n\u0120 ab\r\n\n");
  auto tokenizer = load();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("ab ab", {}).ids, (std::vector<int32_t>{3, 4}));
  EXPECT_EQ((*tokenizer)->decode({3, 4}, true), "ab ab");

  write("tokenizer_config.json",
        R"({"tokenizer_class":"GPT2TokenizerFast","add_bos_token":true,"bos_token":"<s>",
        "added_tokens_decoder":{"8":{"content":"<two>","special":false},"7":{"content":"<one>","special":true}}})");
  write("added_tokens.json", R"({"<three>":9})");
  tokenizer = load();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("<three>ab<one><two>", {}).ids,
            (std::vector<int32_t>{5, 9, 3, 7, 8}));
  EXPECT_EQ((*tokenizer)->decode({3, 7, 8}, true), "ab<two>");

  write("tokenizer_config.json", R"({"tokenizer_class":"RobertaTokenizer"})");
  tokenizer = load();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("ab", {}).ids, (std::vector<int32_t>{5, 3, 6}));
}

TEST_F(LegacyFolder, RefusesWithReasons) {
  const auto message = [&] {
    const auto tokenizer = load();
    return tokenizer.ok() ? std::string("no error") : tokenizer.error().message;
  };
  write("vocab.json", R"({"a":0,"b":1})");
  write("merges.txt", "a b\n");
  EXPECT_NE(message().find("model.merges[0]: 'ab' is not in the vocabulary"), std::string::npos)
      << message();
  write("merges.txt", "a b c\n");
  EXPECT_NE(message().find("want \"left right\""), std::string::npos) << message();
  write("merges.txt", "");
  write("tokenizer_config.json", R"({"tokenizer_class":"OddTokenizer"})");
  EXPECT_NE(message().find("'OddTokenizer' is not supported"), std::string::npos) << message();
  write("tokenizer_config.json", R"({"tokenizer_class":"WhisperTokenizer"})");
  EXPECT_NE(message().find("'<|startoftranscript|>' is missing"), std::string::npos) << message();
  write("tokenizer_config.json", R"({"added_tokens_decoder":{"x":"y"}})");
  EXPECT_NE(message().find("want an id, found 'x'"), std::string::npos) << message();
}

}  // namespace
}  // namespace sis::text
