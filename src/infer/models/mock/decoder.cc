#include <algorithm>
#include <cstring>

#include "infer/models/mock/mock.h"
#include "infer/models/mock/pace.h"

namespace sis::models {
namespace {

using kernels::kKvBlockTokens;

// What the cache holds of a position: everything that the next token depends on.
struct Position {
  uint64_t hash = 0;   // of all tokens up to here
  uint64_t seed = 0;   // the hash where the answer began
  uint32_t place = 0;  // of the next token in the answer
  uint32_t unused = 0;
};

Position after(const Position& before, int32_t id, int32_t assistant) {
  uint64_t hash = (before.hash ^ static_cast<uint64_t>(id)) * 0x9E3779B97F4A7C15u;
  hash ^= hash >> 32;
  if (id == assistant) return {.hash = hash, .seed = hash, .place = 0};
  return {.hash = hash, .seed = before.seed, .place = before.place + 1};
}

// So far apart that no temperature or penalty a request may ask for changes the order.
constexpr float kUsual = -600, kEnding = -400, kSecond = -200, kFirst = 0;

class MockDecoder final : public nn::Decoder {
 public:
  explicit MockDecoder(const MockOptions& options) : options_(options), pace_(options) {
    info_.family = "mock";
    info_.kernels = "mock";
    info_.layers = info_.heads = 1;
    info_.head_dim = info_.hidden = 2;
    info_.vocab = words_.size();
    info_.tokens_max = kMockTokensMax;
    info_.weights_bytes = static_cast<int64_t>(options.memory_mb * (1 << 20));
    usual_.assign(static_cast<size_t>(info_.vocab), kUsual);
    // Under a grammar, where no word is allowed: the shorter the better, and a string before a
    // number, because it can be empty.
    float rank = kEnding;
    for (const char c : {'}', ']', '"', ',', ':', '{', '[', '0', 't', 'n'})
      usual_[static_cast<size_t>(words_.byte(static_cast<unsigned char>(c)))] = rank--;
    usual_[static_cast<size_t>(words_.end())] = kEnding + 1;
  }
  const nn::DecoderInfo& info() const override { return info_; }
  kernels::KvLayout kv_layout() const override {
    return {.layers = 1, .kv_heads = 1, .head_dim = 2, .dtype = DType::kBf16};
  }

  void forward(ops::Context&, const nn::DecoderBatch& batch, ops::KvView cache,
               Mat<float> logits) const override {
    const TimePoint begin = std::chrono::steady_clock::now();
    int64_t prefilled = 0, decoded = 0;
    auto wanted = batch.logit_rows.begin();
    int64_t next = 0;
    for (const ops::KvRows& sequence : batch.sequences) {
      const auto place_of = [&](int32_t position) {
        return cache.data +
               sequence.blocks[position / kKvBlockTokens] * cache.layout.block_bytes() +
               position % kKvBlockTokens * static_cast<int64_t>(sizeof(Position));
      };
      Position state;
      if (sequence.past > 0) std::memcpy(&state, place_of(sequence.past - 1), sizeof state);
      for (int32_t t = 0; t < sequence.tokens; ++t) {
        const int32_t row = sequence.row + t;
        state = after(state, batch.ids[static_cast<size_t>(row)], words_.assistant());
        std::memcpy(place_of(sequence.past + t), &state, sizeof state);
        if (wanted == batch.logit_rows.end() || *wanted != row) continue;
        write_logits(state, logits.row(next++));
        ++wanted;
      }
      (sequence.past > 0 && sequence.tokens == 1 ? decoded : prefilled) += sequence.tokens;
    }
    pace_.finish(begin, options_.prefill_us_per_token * static_cast<double>(prefilled) +
                            (decoded > 0 ? options_.decode_us_per_step : 0) +
                            options_.decode_us_per_row * static_cast<double>(decoded));
  }

 private:
  void write_logits(const Position& state, float* row) const {
    std::copy(usual_.begin(), usual_.end(), row);
    const int32_t token = words_.answer_token(state.seed, state.place);
    // Where the end is forbidden: a grammar's string ends here, anything else goes on.
    if (token == words_.end()) {
      row[words_.byte('"')] = kSecond;
      row[words_.answer_token(state.seed, state.place + 1)] = kSecond - 1;
    }
    row[token] = kFirst;
  }

  const MockOptions options_;
  const MockVocabulary words_;
  nn::DecoderInfo info_;
  std::vector<float> usual_;
  mutable MockPace pace_;  // one forward at a time
};

}  // namespace

std::unique_ptr<nn::Decoder> make_mock_decoder(const MockOptions& options) {
  return std::make_unique<MockDecoder>(options);
}

}  // namespace sis::models
