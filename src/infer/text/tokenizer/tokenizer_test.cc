#include "infer/text/tokenizer/tokenizer.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/strings.h"
#include "infer/text/tokenizer/tokenizer_cases.h"

namespace sis::text {
namespace {

std::string filled_in(std::string_view json) {
  std::string out(json);
  for (const auto& [name, model] :
       {std::pair{std::string_view("\"@WORDS\""), kWords}, {"\"@PIECES\"", kPieces}})
    if (const size_t at = out.find(name); at != std::string::npos)
      out.replace(at, name.size(), model);
  return out;
}

std::vector<int32_t> flat(const std::vector<std::pair<int32_t, int32_t>>& offsets) {
  std::vector<int32_t> out;
  for (const auto& [begin, end] : offsets) out.insert(out.end(), {begin, end});
  return out;
}

std::unique_ptr<Tokenizer> make(std::string_view json) {
  auto tokenizer = Tokenizer::from_json(filled_in(json));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
}

// Every element gives the ids, types and offsets that the tokenizers library gives, and the same
// ids when offsets are not asked for.
TEST(Tokenizer, ElementsMatchTheLibrary) {
  for (const TokenizerCase& want : kTokenizerCases) {
    const auto tokenizer = make(want.json);
    ASSERT_NE(tokenizer, nullptr) << want.name;
    for (const bool with_offsets : {true, false}) {
      const EncodeOptions options{.add_special_tokens = want.add_special_tokens,
                                  .tokens_max = want.tokens_max,
                                  .with_offsets = with_offsets};
      const Encoding got = want.second ? tokenizer->encode_pair(want.first, *want.second, options)
                                       : tokenizer->encode(want.first, options);
      const std::string what = concat(want.name, " on ", in_quotes(want.first));
      EXPECT_EQ(got.ids, want.ids) << what;
      EXPECT_EQ(got.type_ids, want.type_ids) << what;
      EXPECT_EQ(flat(got.offsets), with_offsets ? want.offsets : std::vector<int32_t>()) << what;
    }
  }
}

// Cutting to a limit gives the same as cutting the whole, also when the model stops early.
TEST(Tokenizer, TruncationKeepsAPrefix) {
  const auto tokenizer = make(kJsonTemplate);
  const Encoding whole = tokenizer->encode("a b c d e abc", {});
  for (int32_t limit = 3; limit <= static_cast<int32_t>(whole.ids.size()) + 1; ++limit) {
    const Encoding cut = tokenizer->encode("a b c d e abc", {.tokens_max = limit});
    const size_t kept = std::min<size_t>(static_cast<size_t>(limit), whole.ids.size());
    ASSERT_EQ(cut.ids.size(), kept);
    EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end() - 1, whole.ids.begin()));
    EXPECT_EQ(cut.ids.back(), 2);
  }
  // Less room than special tokens need: these alone.
  EXPECT_EQ(tokenizer->encode("a b", {.tokens_max = 1}).ids, (std::vector<int32_t>{1, 2}));
}

// The file's limits are told, and followed only when asked.
TEST(Tokenizer, FileLimits) {
  EXPECT_EQ(make(kJsonTemplate)->truncation(), std::nullopt);
  const auto tokenizer = make(
      R"({"truncation":{"direction":"Left","max_length":3,"strategy":"LongestFirst","stride":1},
      "padding":{"strategy":{"Fixed":4},"direction":"Left","pad_to_multiple_of":3,"pad_id":9,"pad_type_id":1,"pad_token":"x"},
      "pre_tokenizer":{"type":"WhitespaceSplit"},"model":"@WORDS"})");
  ASSERT_TRUE(tokenizer->truncation() && tokenizer->padding());
  EXPECT_EQ(tokenizer->truncation()->tokens_max, 3);
  const auto whole = tokenizer->encode("a b c d", {.with_offsets = true});
  EXPECT_EQ(whole.ids.size(), 4u);
  std::vector<Encoding> batch{
      tokenizer->encode("a b c d", {.with_offsets = true, .truncation = tokenizer->truncation()}),
      tokenizer->encode("", {})};
  EXPECT_EQ(batch[0].ids, (std::vector<int32_t>{whole.ids.begin() + 1, whole.ids.end()}));
  pad(batch, *tokenizer->padding());
  EXPECT_EQ(batch[0].ids, (std::vector<int32_t>{9, 9, 9, 5, 6, 7}));
  EXPECT_EQ(batch[0].type_ids, (std::vector<int32_t>{1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(batch[0].attention, (std::vector<uint8_t>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(batch[0].offsets[3], (std::pair<int32_t, int32_t>{2, 3}));
  EXPECT_EQ(batch[1].ids, std::vector<int32_t>(6, 9));
}

// A thread's word cache tells tokenizers apart, and one that is gone from one that came after.
TEST(Tokenizer, WordsAreNotMixedUp) {
  for (int round = 0; round < 20; ++round) {
    std::vector<std::unique_ptr<Tokenizer>> all;
    for (int first = 0; first < 3; ++first)
      all.push_back(
          make(fmt::format(R"({{"model":{{"type":"BPE","vocab":{{"a":{},"b":{}}},"merges":[]}}}})",
                           first, first + 7)));
    for (int first = 0; first < 3; ++first)
      EXPECT_EQ(all[first]->encode("ab", {}).ids, (std::vector<int32_t>{first, first + 7}));
  }
}

// Long texts of one kind come out whole and in time that does not grow with their square.
TEST(Tokenizer, LongTexts) {
  for (const char* style : {"gpt2", "llama3", "qwen2", "gemma"}) {
    const auto tokenizer = Tokenizer::from_folder(concat("tests/golden/tokenizer/", style));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    for (const std::string_view unit : {" ", "a", "\n", "ab", "\u00e9", "a ", "\u4e2d"}) {
      std::string text;
      while (text.size() < 1'000'000) text += unit;
      const auto ids = (*tokenizer)->encode(text, {.add_special_tokens = false}).ids;
      EXPECT_TRUE((*tokenizer)->decode(ids, false) == text) << style << in_quotes(unit);
    }
  }
}

TEST(Tokenizer, Decodes) {
  const auto words = make(
      concat(R"({"added_tokens":[{"content":"[SEP]","special":true},{"content":"new"}],)",
             R"("decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"model":"@WORDS"})"));
  EXPECT_EQ(words->decode({10, 11, 16, 2}, true), "abca,");
  EXPECT_EQ(words->decode({10, 11, 16, 2}, false), "abca, [SEP]");
  EXPECT_EQ(words->decode({4, 1000000, -5, 5}, true), "a b");  // unknown ids are passed over
  EXPECT_EQ(words->token_to_id("new"), words->vocab_size() - 1);
  EXPECT_EQ(words->id_to_token(words->vocab_size() - 1), "new");
  EXPECT_EQ(words->id_to_token(words->vocab_size()), "");
  EXPECT_EQ(words->token_to_id("nobody"), std::nullopt);

  const auto pieces = make(
      R"({"decoder":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always"},"model":"@PIECES"})");
  EXPECT_EQ(pieces->decode({9, 8, 5}, true), "ab ab");
  const auto chain = make(
      R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["?",0],["\u2581a",-1],["<0xC3>",-2],["<0xA9>",-2]]},"decoder":
      {"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},
      {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}})");
  EXPECT_EQ(chain->decode({1, 2, 3, 1}, true), "a\u00e9 a");
  EXPECT_EQ(chain->decode({1, 3, 2}, true), "a\uFFFD\uFFFD");
  EXPECT_EQ(make(R"({"model":"@WORDS"})")->decode({4, 5}, true), "a b");
}

// Bytes that are not UTF-8 count as U+FFFD each, and nothing is read past the end.
TEST(Tokenizer, BrokenUtf8) {
  const auto tokenizer = make(kJsonBertNormalizer);
  for (const std::string_view text :
       {"a \xFF b", "a\xC3", "\xE4\xB8", "\xF0\x9F\x98", "\x80\x80", "\xED\xA0\x80"}) {
    EXPECT_NO_FATAL_FAILURE(tokenizer->encode(text, {.with_offsets = true})) << in_quotes(text);
  }
  EXPECT_EQ(tokenizer->encode("a \xFF b", {}).ids, tokenizer->encode("a \uFFFD b", {}).ids);
}

// One tokenizer serves many threads; long and short texts in turn share no state.
TEST(Tokenizer, ManyThreads) {
  const auto tokenizer = make(kJsonUnigram);
  const Encoding want = tokenizer->encode("abc ab  a", {.with_offsets = true});
  const std::string longer = concat(std::string(300'000, 'a'), " abc");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        if (i % 7 == 3) {
          EXPECT_GT(tokenizer->encode(longer, {}).ids.size(), 1000u);
        }
        const Encoding got = tokenizer->encode("abc ab  a", {.with_offsets = true});
        EXPECT_EQ(got.ids, want.ids);
        EXPECT_EQ(got.offsets, want.offsets);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Refused {
  std::string_view json, message;
};

// What cannot be used is refused with the name of the part and what was found.
TEST(Tokenizer, RefusesWithReasons) {
  const Refused kRefused[] = {
      {"", "tokenizer.json: "},
      {"{", "tokenizer.json: "},
      {"[]", "want an object, found an array"},
      {"{}", "model: want an object, found nothing"},
      {R"({"version":"2.0","model":"@WORDS"})", "version: want 1.0"},
      {R"({"model":{"type":"Magic"}})", "model.type: 'Magic' is not supported (there are "},
      {R"({"normalizer":{"type":"Rot13"},"model":"@WORDS"})",
       "normalizer.type: 'Rot13' is not supported"},
      {R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"No"}]},"model":"@WORDS"})",
       "normalizer.normalizers[1].type: 'No'"},
      {R"({"normalizer":7,"model":"@WORDS"})", "normalizer: want an object, found a number"},
      {R"({"normalizer":{"type":"Strip","strip_left":"yes","strip_right":true},"model":"@WORDS"})",
       "normalizer.strip_left: want a boolean, found a string"},
      {R"({"normalizer":{"type":"Replace","pattern":{"Regex":"("},"content":""},"model":"@WORDS"})",
       "regex '('"},
      {R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"&&&&"},"model":"@WORDS"})",
       "not base64"},
      {R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="},"model":"@WORDS"})",
       "runs past"},
      {R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"BAAAAAAAAAD/"},"model":"@WORDS"})",
       "not UTF-8"},
      {R"({"pre_tokenizer":{"type":"Metaspace","replacement":"ab"},"model":"@WORDS"})",
       "want one character"},
      {R"({"pre_tokenizer":{"type":"Punctuation","behavior":"Eaten"},"model":"@WORDS"})",
       "found 'Eaten'"},
      {R"({"post_processor":{"type":"BertProcessing","cls":["a"],"sep":["b",1]},"model":"@WORDS"})",
       "post_processor.cls"},
      {R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"X","type_id":0}}],"pair":[]},"model":"@WORDS"})",
       "'X' is not in special_tokens"},
      {R"({"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"pair":[]},"model":"@WORDS"})",
       "names sequence B"},
      {R"({"decoder":{"type":"Sequence","decoders":[{"type":"Scramble"}]},"model":"@WORDS"})",
       "'Scramble'"},
      {R"({"model":{"type":"WordPiece","vocab":{"a":0}}})", "'[UNK]' is not in the vocabulary"},
      {R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":0}}})", "belongs to both"},
      {R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1,"a":2}}})", "is there twice"},
      {R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":-1}}})", "want an id from 0"},
      {R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1.5}}})", "want an id from 0"},
      {R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":2000000000}}})",
       "too high for 2 tokens"},
      {R"({"model":{"type":"Unigram","vocab":[["a"]]}})", "model.vocab[0]: want [token, score]"},
      {R"({"model":{"type":"Unigram","vocab":[["a","b"]]}})", "want [token, score]"},
      {R"({"model":{"type":"Unigram","vocab":[["a",1e999]]}})", "tokenizer.json: "},
      {R"({"model":{"type":"Unigram","vocab":[["a",NaN]]}})", "tokenizer.json: "},
      {R"({"model":{"type":"Unigram","unk_id":5,"vocab":[["a",0]]}})",
       "model.unk_id: want 0 to 0, found 5"},
      {R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}})",
       "model.merges[0]: 'ab' is not in the vocabulary"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}})",
       "model.merges[0]: want \"left right\""},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","a","a"]]}})", "model.merges[0]"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a",7]]}})", "model.merges[0]"},
      {R"({"model":{"vocab":{"a":0},"merges":7}})", "model.merges: want an array"},
      {R"({"model":{"type":"BPE","continuing_subword_prefix":"##","vocab":{"a":0},"merges":["a a"]}})",
       "shorter than the prefix"},
      {R"({"pre_tokenizer":{"type":"ByteLevel","use_regex":1},"model":"@WORDS"})",
       "pre_tokenizer.use_regex: want a boolean"},
      {R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a[bc]]"}},"model":"@WORDS"})",
       "classes inside classes"},
      {R"({"truncation":{"max_length":-1},"model":"@WORDS"})",
       "truncation.max_length: want 0 to 2147483647, found -1"},
      {R"({"truncation":{"max_length":5,"strategy":"Some"},"model":"@WORDS"})", "found 'Some'"},
      {R"({"padding":{"strategy":"Fixed","pad_id":0,"pad_token":"x"},"model":"@WORDS"})",
       "padding.strategy: want BatchLongest"},
      {R"({"padding":{"strategy":{"Fixed":4},"pad_id":0,"pad_token":"x","direction":"Up"},"model":"@WORDS"})",
       "want Left or Right"},
      {R"({"added_tokens":{},"model":"@WORDS"})", "added_tokens: want an array, found an object"},
      {R"({"added_tokens":[{"content":7}],"model":"@WORDS"})",
       "added_tokens[0].content: want a string"},
      {"{'model':{'type':'Unigram','vocab':[[\"\xFF\",0]]}}", "tokenizer.json: "},
  };
  for (const Refused& refused : kRefused) {
    const auto tokenizer = Tokenizer::from_json(filled_in(refused.json));
    ASSERT_FALSE(tokenizer.ok()) << refused.json;
    EXPECT_NE(tokenizer.error().message.find(refused.message), std::string::npos)
        << refused.json << "\n"
        << tokenizer.error().message;
  }
  std::string deep = R"({"model":"@WORDS","normalizer":)";
  for (int i = 0; i < 40; ++i) deep += R"({"type":"Sequence","normalizers":[)";
  deep += R"({"type":"NFC"})";
  for (int i = 0; i < 40; ++i) deep += "]}";
  const auto tokenizer = Tokenizer::from_json(filled_in(deep + "}"));
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(tokenizer.error().message.find("nested deeper than"), std::string::npos)
      << tokenizer.error().message;
}

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / concat("tokenizer_test.", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, std::string_view content) {
    std::ofstream(folder_ / name) << content;
  }
  std::filesystem::path folder_;
};

TEST_F(FolderTest, MissingFilesAreNamed) {
  auto tokenizer = Tokenizer::from_folder((folder_ / "nowhere").string());
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.error().code, Code::kNotFound);
  EXPECT_NE(tokenizer.error().message.find("nowhere: has neither tokenizer.json nor vocab.txt"),
            std::string::npos);
}

// vocab.txt with its config gives what the tokenizer.json that says the same gives.
TEST_F(FolderTest, ReadsVocabTxt) {
  write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\nab\n##c\r\n\"q\\\n,\nAB\n\xC3\xA9\ne\n");
  auto tokenizer = Tokenizer::from_folder(folder_.string());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("ABC, \xC3\xA9[SEP]", {}).ids,
            (std::vector<int32_t>{1, 3, 4, 6, 9, 2, 2}));
  EXPECT_EQ((*tokenizer)->id_to_token(5), "\"q\\");

  write(
      "tokenizer_config.json",
      R"({"do_lower_case":false,"strip_accents":null,"cls_token":{"content":"[CLS]"},"sep_token":"[SEP]"})");
  tokenizer = Tokenizer::from_folder(folder_.string());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("ABc, \xC3\xA9", {}).ids,
            (std::vector<int32_t>{1, 7, 4, 6, 8, 2}));

  write("tokenizer_config.json", R"({"do_lower_case":"no"})");
  EXPECT_FALSE(Tokenizer::from_folder(folder_.string()).ok());
  write("tokenizer_config.json", R"({"sep_token":"<end>"})");
  tokenizer = Tokenizer::from_folder(folder_.string());
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(tokenizer.error().message.find("the special token '<end>' is missing"),
            std::string::npos);
}

}  // namespace
}  // namespace sis::text
