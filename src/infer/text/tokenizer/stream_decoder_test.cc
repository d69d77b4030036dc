#include "infer/text/tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::text {
namespace {

constexpr const char* kStyles[] = {"bert-uncased", "bert-cased", "xlmr",  "gpt2",
                                   "llama3",       "qwen2",      "gemma", "whisper"};

// A vocabulary with bytes, marks, affixes and special tokens, for decoders of every kind.
std::string tokenizer_with(std::string_view decoder) {
  std::string vocab;
  int id = 0;
  for (const char* token :
       {"a",      "b",      "\u2581", "\u2581a", "\u2581\u2581", "##c",    "d</w>",  "</w>",
        "|",      "<pad>",  " ",      "  ",      " x",           "x ",     ".",      "'",
        "n't",    "do not", "\u00e9", "\u4e2d",  "xx",           "yx",     "\u0120", "\u0120a",
        "\u00c3", "\u00a9", "\u00e4", "\u00b8",  "\u0143",       "\u00f0", "\u0141", ""})
    vocab += fmt::format("\"{}\":{},", token, id++);
  for (const int byte :
       {0x41, 0xC3, 0xA9, 0xE4, 0xB8, 0xAD, 0xF0, 0x9F, 0x98, 0x80, 0xFF, 0xED, 0xA0})
    vocab += fmt::format("\"<0x{:02X}>\":{},", byte, id++);
  vocab += fmt::format("\"[UNK]\":{}", id++);
  return fmt::format(
      R"({{"added_tokens":[{{"id":{},"content":"<s>","special":true}},{{"id":{},"content":"add me"}}],)"
      R"("decoder":{},"model":{{"type":"WordLevel","unk_token":"[UNK]","vocab":{{{}}}}}}})",
      id, id + 1, decoder, vocab);
}

constexpr std::string_view kDecoders[] = {
    "null",
    R"({"type":"ByteLevel"})",
    R"({"type":"WordPiece","prefix":"##","cleanup":true})",
    R"({"type":"WordPiece","prefix":"##","cleanup":false})",
    R"({"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always"})",
    R"({"type":"Metaspace","replacement":"\u2581","prepend_scheme":"never"})",
    R"({"type":"BPEDecoder","suffix":"</w>"})",
    R"({"type":"CTC","pad_token":"<pad>","word_delimiter_token":"|","cleanup":true})",
    R"({"type":"ByteFallback"})",
    R"({"type":"Fuse"})",
    R"({"type":"Strip","content":" ","start":1,"stop":1})",
    R"({"type":"Replace","pattern":{"Regex":"x+"},"content":"y"})",
    R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]})",
    R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})",
    R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":" ","start":2,"stop":3},{"type":"Replace","pattern":{"String":"xyx"},"content":"-"}]})",
    R"({"type":"Sequence","decoders":[{"type":"ByteLevel"},{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always"},{"type":"Strip","content":"x","start":1,"stop":2}]})",
    R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"WordPiece","prefix":"##","cleanup":true}]})",
    R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"Regex":"x+"},"content":"ab"},{"type":"ByteFallback"},{"type":"CTC"},{"type":"BPEDecoder"},{"type":"ByteLevel"}]})",
    R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"String":"xx"},"content":"x"},{"type":"Replace","pattern":{"String":"a"},"content":"aa"}]})",
    R"({"type":"Sequence","decoders":[]})",
};

// Streams `ids` and checks each piece: whole characters, together what decode() makes.
void check(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip,
           std::string_view what) {
  StreamDecoder stream(tokenizer, skip);
  std::string text;
  for (const int32_t id : ids) {
    const std::string piece = stream.push(id);
    ASSERT_TRUE(is_utf8(piece)) << what << ": " << in_quotes(piece);
    text += piece;
  }
  text += stream.flush();
  ASSERT_EQ(text, tokenizer.decode(ids, skip)) << what << fmt::format(" [{}]", fmt::join(ids, ","));
}

std::vector<int32_t> random_ids(Rng& rng, int32_t end, uint64_t count_below) {
  std::vector<int32_t> ids(rng.below(count_below));
  // A few lie outside the vocabulary and are passed over.
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(end) + 3)) - 1;
  return ids;
}

// Every decoder, alone and in chains, on random ids.
TEST(StreamDecoder, EqualsDecode) {
  for (const std::string_view decoder : kDecoders) {
    const auto made = Tokenizer::from_json(tokenizer_with(decoder));
    ASSERT_TRUE(made.ok()) << made.error().message;
    Rng rng{11};
    for (int round = 0; round < 4000; ++round) {
      const auto ids = random_ids(rng, (*made)->vocab_size(), 9);
      check(**made, ids, round % 2 == 0, decoder);
      if (HasFatalFailure()) return;
    }
  }
}

// The styles of published checkpoints, on random ids and on ids of texts with some of them broken.
TEST(StreamDecoder, EqualsDecodeInEveryStyle) {
  for (const char* style : kStyles) {
    const auto made = Tokenizer::from_folder(concat("tests/golden/tokenizer/", style));
    ASSERT_TRUE(made.ok()) << made.error().message;
    Rng rng{12};
    for (int round = 0; round < 2000; ++round) {
      auto ids = random_ids(rng, (*made)->vocab_size(), 40);
      if (round % 3 == 0) {
        ids = (*made)
                  ->encode("Caf\u00e9 na\u00efve  \u4e2d\u6587 \U0001F469\u200D\U0001F467 don't\n",
                           {})
                  .ids;
        ids.erase(ids.begin() + static_cast<ptrdiff_t>(rng.below(ids.size())));
      }
      check(**made, ids, round % 2 == 0, style);
      if (HasFatalFailure()) return;
    }
  }
}

// After a prompt the text goes on where the prompt's ended.
TEST(StreamDecoder, ContinuesAPrompt) {
  for (const char* style : kStyles) {
    const auto made = Tokenizer::from_folder(concat("tests/golden/tokenizer/", style));
    ASSERT_TRUE(made.ok()) << made.error().message;
    Rng rng{13};
    for (int round = 0; round < 500; ++round) {
      const auto prompt = random_ids(rng, (*made)->vocab_size(), 12);
      const auto ids = random_ids(rng, (*made)->vocab_size(), 12);
      StreamDecoder before(**made), stream(**made);
      std::string text;
      for (const int32_t id : prompt) text += before.push(id);
      stream.skip_prompt(prompt);
      for (const int32_t id : ids) text += stream.push(id);
      text += stream.flush();
      std::vector<int32_t> all = prompt;
      all.insert(all.end(), ids.begin(), ids.end());
      ASSERT_EQ(text, (*made)->decode(all, true)) << style;
    }
  }
}

// Nothing waits that need not: ASCII comes at once, a character with its last byte.
TEST(StreamDecoder, DoesNotWait) {
  const auto made = Tokenizer::from_json(tokenizer_with(R"({"type":"ByteLevel"})"));
  ASSERT_TRUE(made.ok()) << made.error().message;
  StreamDecoder stream(**made);
  EXPECT_EQ(stream.push(*(*made)->token_to_id("a")), "a");
  EXPECT_EQ(stream.push(*(*made)->token_to_id("\u00c3")), "");
  EXPECT_EQ(stream.push(*(*made)->token_to_id("\u00a9")), "\u00e9");
  EXPECT_EQ(stream.push(*(*made)->token_to_id("\u00f0")), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
}

}  // namespace
}  // namespace sis::text
