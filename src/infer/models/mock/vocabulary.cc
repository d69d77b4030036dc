#include "infer/models/mock/vocabulary.h"

#include <fmt/format.h>

namespace sis::models {
namespace {

constexpr const char* kMarkers[] = {"<|system|>", "<|user|>", "<|assistant|>", "<|tool|>",
                                    "<|end|>"};
constexpr std::string_view kStarters = "The A Every This That One Another Each";
constexpr std::string_view kAdjectives =
    "small quiet green old bright heavy gentle simple early warm round hollow silver patient "
    "narrow distant common sudden";
constexpr std::string_view kNouns =
    "river garden window engine letter market bridge valley teacher machine winter story harbour "
    "forest kitchen number lantern village signal mountain";
constexpr std::string_view kVerbs =
    "follows carries answers watches builds holds finds opens keeps moves remembers crosses "
    "measures repeats gathers meets";
constexpr std::string_view kAdverbs =
    "slowly again today often together well quietly later soon twice always nearly";

// The letter that byte-level tokenizers write for a byte: printable ones are themselves, the
// others U+0100 and on, in order.
std::vector<std::string> byte_letters() {
  std::vector<std::string> letters;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint32_t point = printable ? byte : next++;
    if (point < 0x80)
      letters.emplace_back(1, static_cast<char>(point));
    else
      letters.push_back(
          {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))});
  }
  return letters;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

uint64_t mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

MockVocabulary::MockVocabulary() {
  for (const auto& letter : byte_letters()) bytes_.push_back(add(letter));
  openings_ = add_words(kStarters, /*with_space=*/false);
  starters_ = add_words(kStarters);
  adjectives_ = add_words(kAdjectives);
  nouns_ = add_words(kNouns);
  verbs_ = add_words(kVerbs);
  adverbs_ = add_words(kAdverbs);
  the_ = add_word(" the");
  first_marker_ = size();
  for (const char* marker : kMarkers) add(marker);
  assistant_ = ids_.find("<|assistant|>")->second;
  end_ = ids_.find(end_token())->second;
}

int32_t MockVocabulary::add(const std::string& token) {
  const auto [it, fresh] = ids_.emplace(token, size());
  if (fresh) tokens_.push_back(token);
  return it->second;
}

int32_t MockVocabulary::add_word(std::string_view text) {
  int32_t whole = byte(static_cast<unsigned char>(text.front()));
  for (const char c : text.substr(1)) {
    const int32_t letter = byte(static_cast<unsigned char>(c));
    const int32_t before = size();
    const int32_t longer =
        add(tokens_[static_cast<size_t>(whole)] + tokens_[static_cast<size_t>(letter)]);
    if (longer == before) merges_.emplace_back(whole, letter);
    whole = longer;
  }
  return whole;
}

std::vector<int32_t> MockVocabulary::add_words(std::string_view list, bool with_space) {
  std::vector<int32_t> ids;
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    ids.push_back(add_word((with_space ? " " : "") + std::string(list.substr(0, end))));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return ids;
}

uint32_t MockVocabulary::answer_tokens(uint64_t seed) {
  return kSentenceTokens * (2 + static_cast<uint32_t>(seed % 6));
}

int32_t MockVocabulary::answer_token(uint64_t seed, uint32_t place) const {
  // Behind its end an answer begins anew: whoever ignores the end gets words on and on.
  place %= answer_tokens(seed) + 1;
  if (place == answer_tokens(seed)) return end_;
  const auto one_of = [&](const std::vector<int32_t>& words) {
    return words[mixed(seed ^ place) % words.size()];
  };
  switch (place % kSentenceTokens) {
    case 0:
      return one_of(place == 0 ? openings_ : starters_);
    case 1:
    case 5:
      return one_of(adjectives_);
    case 2:
    case 6:
      return one_of(nouns_);
    case 3:
      return one_of(verbs_);
    case 4:
      return the_;
    case 7:
      return one_of(adverbs_);
    default:
      return byte('.');
  }
}

std::string_view MockVocabulary::end_token() { return "<|end|>"; }

std::string_view MockVocabulary::chat_template() {
  return "{% for message in messages %}"
         "<|{{ message.role }}|>"
         "{% if message.content is string %}{{ message.content }}"
         "{% elif message.content %}{{ message.content | tojson }}{% endif %}"
         "{% if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}<|end|>"
         "{% endfor %}"
         "{% if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif %}"
         "{% if add_generation_prompt %}<|assistant|>{% endif %}";
}

std::string MockVocabulary::tokenizer_json(bool marks_answers) const {
  const std::string byte_level =
      R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
  std::string out = R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)";
  for (int32_t id = first_marker_; id < size(); ++id) {
    out += fmt::format(R"({}{{"id":{},"content":"{}","single_word":false,"lstrip":false,)"
                       R"("rstrip":false,"normalized":false,"special":true}})",
                       id == first_marker_ ? "" : ",", id, tokens_[static_cast<size_t>(id)]);
  }
  out += R"(],"normalizer":null,"pre_tokenizer":)" + byte_level + R"(,"post_processor":)";
  if (marks_answers)
    out += fmt::format(
        R"({{"type":"TemplateProcessing","single":[{{"Sequence":{{"id":"A","type_id":0}}}},)"
        R"({{"SpecialToken":{{"id":"<|assistant|>","type_id":0}}}}],)"
        R"("pair":[{{"Sequence":{{"id":"A","type_id":0}}}},{{"Sequence":{{"id":"B","type_id":1}}}},)"
        R"({{"SpecialToken":{{"id":"<|assistant|>","type_id":1}}}}],)"
        R"("special_tokens":{{"<|assistant|>":{{"id":"<|assistant|>","ids":[{}],)"
        R"("tokens":["<|assistant|>"]}}}}}})",
        assistant_);
  else
    out += "null";
  out += R"(,"decoder":)" + byte_level +
         R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,)"
         R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,)"
         R"("byte_fallback":false,"vocab":{)";
  for (int32_t id = 0; id < first_marker_; ++id) {
    if (id > 0) out += ',';
    append_quoted(out, tokens_[static_cast<size_t>(id)]);
    out += fmt::format(":{}", id);
  }
  out += R"(},"merges":[)";
  for (size_t i = 0; i < merges_.size(); ++i) {
    if (i > 0) out += ',';
    append_quoted(out, tokens_[static_cast<size_t>(merges_[i].first)] + " " +
                           tokens_[static_cast<size_t>(merges_[i].second)]);
  }
  out += "]}}";
  return out;
}

}  // namespace sis::models
