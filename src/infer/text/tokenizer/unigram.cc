// Unigram: of all ways to cut a piece into tokens, the one with the highest sum of scores.
//
//   best[end] = max over tokens piece[begin, end) of best[begin] + score(token)        (Viterbi)
//
// A character that is no token itself costs min_score - 10 as the unknown token. Unknown neighbours
// are joined; with byte_fallback they become the tokens <0x00>..<0xFF> of their bytes where those
// exist. Among equals the first found wins, and sums are made in double, from the left, as the
// library does. (Kudo 2018, https://arxiv.org/abs/1804.10959.)
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "infer/text/tokenizer/model.h"

namespace sis::text::tok {
namespace {

constexpr double kUnknownPenalty = 10.0;

// The best way to come to a place of the piece.
struct Arrival {
  double score;
  uint32_t begin;  // of the last token on it; kNowhere: not reached
  int32_t id;
};
constexpr uint32_t kNowhere = UINT32_MAX;

class Unigram final : public VocabularyModel {
 public:
  Unigram(Vocabulary vocabulary, std::vector<double> scores, std::optional<int32_t> unknown_id,
          bool byte_fallback)
      : VocabularyModel(std::move(vocabulary)),
        scores_(std::move(scores)),
        unknown_id_(unknown_id.value_or(-1)),
        byte_fallback_(byte_fallback) {
    double min_score = std::numeric_limits<double>::infinity();
    for (double score : scores_) min_score = std::min(min_score, score);
    unknown_score_ = min_score - kUnknownPenalty;
    for (size_t byte = 0; byte < byte_ids_.size(); ++byte)
      byte_ids_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
  }

  // Here every entry counts, also one whose text comes again.
  int32_t vocab_size() const override { return static_cast<int32_t>(scores_.size()); }

  void tokenize(const PreTokenizedString& string, size_t tokens_enough,
                std::vector<Token>& out) const override {
    static thread_local std::vector<Arrival> arrivals;
    for (const Piece& piece : string.pieces()) {
      if (out.size() >= tokens_enough) break;
      if (piece.added_id >= 0) {
        out.push_back({piece.added_id, piece.begin, piece.end});
        continue;
      }
      const std::string_view text = string.text_of(piece);
      if (arrivals.size() < text.size() + 1) arrivals.resize(text.size() + 1);
      search(text, arrivals.data());
      add(text, arrivals.data(), piece.begin, out);
    }
    if (arrivals.size() > kArrivalsKept) arrivals = {};
  }

  // The text itself, also for the unknown token; but the name of a byte for that byte.
  std::string_view value_of(int32_t id, std::string_view covered) const override {
    const bool is_byte = id != unknown_id_ && vocabulary_.text(id) != covered;
    return is_byte ? vocabulary_.text(id) : covered;
  }

 private:
  static constexpr size_t kArrivalsKept = 65'536;

  void search(std::string_view text, Arrival* arrivals) const {
    const DoubleArray& trie = vocabulary_.trie();
    const double* scores = scores_.data();
    for (size_t i = 0; i <= text.size(); ++i) arrivals[i].begin = kNowhere;
    arrivals[0].score = 0;
    for (size_t begin = 0; begin < text.size();) {
      const double score_here = arrivals[begin].score;
      const size_t next = begin + std::min(utf8_length(text[begin]), text.size() - begin);
      bool single = false;  // whether the character alone is a token
      const auto arrive = [&](size_t end, double score, int32_t id) {
        Arrival& arrival = arrivals[end];
        if (arrival.begin == kNowhere || score > arrival.score)
          arrival = {score, static_cast<uint32_t>(begin), id};
      };
      DoubleArray::Cursor cursor;
      for (size_t at = begin; at < text.size() && trie.step(cursor, text[at]);) {
        ++at;
        const int32_t id = trie.value(cursor);
        if (id == DoubleArray::kNoValue) continue;
        arrive(at, scores[id] + score_here, id);
        single |= at == next;
      }
      if (!single) arrive(next, unknown_score_ + score_here, unknown_id_);
      begin = next;
    }
  }

  // Follows the best way back from the end, then puts it in order.
  void add(std::string_view text, const Arrival* arrivals, uint32_t base,
           std::vector<Token>& out) const {
    const size_t first = out.size();
    for (auto end = static_cast<uint32_t>(text.size()); end > 0;) {
      const Arrival& last = arrivals[end];
      uint32_t begin = last.begin;
      if (last.id != unknown_id_) {
        out.push_back({last.id, base + begin, base + end});
        end = begin;
        continue;
      }
      while (begin > 0 && arrivals[begin].id == unknown_id_) begin = arrivals[begin].begin;
      add_unknown(text.substr(begin, end - begin), base + begin, out);
      end = begin;
    }
    std::reverse(out.begin() + static_cast<ptrdiff_t>(first), out.end());
  }

  // Tokens for a stretch nobody knows, last first.
  void add_unknown(std::string_view text, uint32_t begin, std::vector<Token>& out) const {
    const uint32_t end = begin + static_cast<uint32_t>(text.size());
    // Joined, it may be a token after all, only one that scored worse than its parts.
    if (const int32_t id = vocabulary_.find(text); id != DoubleArray::kNoValue) {
      out.push_back({id, begin, end});
      return;
    }
    if (byte_fallback_ && all_bytes_known(text)) {
      for (size_t i = text.size(); i-- > 0;)
        out.push_back({byte_ids_[static_cast<unsigned char>(text[i])], begin, end});
      return;
    }
    // A model without an unknown token has nothing to say here; the library fails instead.
    if (unknown_id_ >= 0) out.push_back({unknown_id_, begin, end});
  }

  bool all_bytes_known(std::string_view text) const {
    for (char byte : text)
      if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
    return true;
  }

  const std::vector<double> scores_;  // by id
  const int32_t unknown_id_;
  const bool byte_fallback_;
  double unknown_score_ = 0;
  std::array<int32_t, 256> byte_ids_{};
};

// The double that serde_json reads a score as: its digits as an integer, times or divided by a
// power of ten, rounded twice where there are more than 15 digits. One unit in the last place
// decides between equal sums, so the nearest double will not do. Files carry the shortest digits
// that tell doubles apart, and these come back from the nearest one.
double as_serde_reads(double nearest) {
  if (nearest == 0) return nearest;
  char text[64];
  const char* end =
      std::to_chars(text, text + sizeof text, std::abs(nearest), std::chars_format::scientific).ptr;
  uint64_t digits = 0;
  int exponent = 0;
  const char* at = text;
  for (bool fraction = false; at != end && *at != 'e'; ++at) {
    if (*at == '.') {
      fraction = true;
      continue;
    }
    digits = digits * 10 + static_cast<uint64_t>(*at - '0');
    exponent -= fraction ? 1 : 0;
  }
  int power = 0;
  if (at != end && *++at == '+') ++at;
  std::from_chars(at, end, power);
  exponent += power;
  auto value = static_cast<double>(digits);
  for (; exponent < -308; exponent += 308) value /= 1e308;
  // 10^n for n up to 308 is read from text, so that it is the nearest double.
  static const std::array<double, 309> kPowers = [] {
    std::array<double, 309> powers{};
    for (size_t n = 0; n < powers.size(); ++n) {
      const std::string number = concat("1e", n);
      std::from_chars(number.data(), number.data() + number.size(), powers[n]);
    }
    return powers;
  }();
  if (exponent < 0)
    value /= kPowers[static_cast<size_t>(-exponent)];
  else
    value *= kPowers[static_cast<size_t>(std::min(exponent, 308))];
  return nearest < 0 ? -value : value;
}

}  // namespace

Result<std::unique_ptr<Model>> make_unigram(const JsonObject& config) {
  SIS_ASSIGN(const JsonArray list, config.array("vocab"));
  // Ours alone: scores that never were in a file of the library's (legacy_sentencepiece.cc).
  SIS_ASSIGN(const bool exact, config.boolean("exact_scores", false));
  std::vector<VocabularyEntry> entries;
  std::vector<double> scores;
  entries.reserve(list.raw().size());
  scores.reserve(list.raw().size());
  SIS_TRY(list.for_each([&](simdjson::dom::element element, size_t index) -> Status {
    simdjson::dom::array pair;
    std::string_view token;
    double score = 0;
    if (element.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(token) != simdjson::SUCCESS || pair.at(1).get(score) != simdjson::SUCCESS)
      return Error{Code::kInvalidArgument, concat(list.path_of(index), ": want [token, score]")};
    entries.push_back({token, static_cast<int32_t>(index)});
    scores.push_back(exact ? score : as_serde_reads(score));
    return {};
  }));
  std::optional<int32_t> unknown_id;
  if (config.find("unk_id")) {
    SIS_ASSIGN(const int64_t id,
               config.integer("unk_id", 0, static_cast<int64_t>(entries.size()) - 1));
    unknown_id = static_cast<int32_t>(id);
  }
  SIS_ASSIGN(const bool byte_fallback, config.boolean("byte_fallback", false));
  SIS_ASSIGN(auto vocabulary, Vocabulary::build(entries, Vocabulary::Repeats::kLastWins,
                                                Vocabulary::Lookup::kTrie, list.path()));
  return std::unique_ptr<Model>(std::make_unique<Unigram>(std::move(vocabulary), std::move(scores),
                                                          unknown_id, byte_fallback));
}

}  // namespace sis::text::tok
