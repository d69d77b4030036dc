#include "infer/models/mock/mock.h"
#include "infer/models/mock/pace.h"

namespace sis::models {
namespace {

// How much the place of a token weighs beside the token itself.
constexpr float kPlaceWeight = 0.1f;

class MockEncoder final : public nn::Encoder {
 public:
  explicit MockEncoder(const MockOptions& options) : options_(options), pace_(options) {
    info_.family = "mock";
    info_.kernels = "mock";
    info_.hidden = kMockHidden;
    info_.layers = 1;
    info_.vocab = MockVocabulary().size();
    info_.tokens_max = kMockTokensMax;
    info_.weights_bytes = static_cast<int64_t>(options.memory_mb * (1 << 20));
    Rng rng(7);  // the same vectors in every process
    table_.resize(static_cast<size_t>(info_.vocab) * kMockHidden);
    for (float& value : table_) value = static_cast<float>(rng.uniform() * 2 - 1);
  }
  const nn::EncoderInfo& info() const override { return info_; }

  void forward(ops::Context&, const nn::RaggedBatch& batch, Mat<float> states) const override {
    const TimePoint begin = std::chrono::steady_clock::now();
    for (int64_t s = 0; s < batch.sequences(); ++s) {
      const int32_t first = batch.offsets[static_cast<size_t>(s)],
                    end = batch.offsets[static_cast<size_t>(s) + 1];
      for (int32_t t = first; t < end; ++t) {
        const int32_t id = batch.ids[static_cast<size_t>(t)];
        const float* token = row_of(id);
        const float* place = row_of((id + 131 * (t - first + 1)) % info_.vocab);
        float* state = states.row(t);
        for (int32_t c = 0; c < kMockHidden; ++c) state[c] = token[c] + kPlaceWeight * place[c];
      }
    }
    pace_.finish(begin, options_.embed_us_per_batch +
                            options_.embed_us_per_token * static_cast<double>(batch.tokens()));
  }

 private:
  const float* row_of(int32_t id) const {
    return table_.data() + static_cast<int64_t>(id) * kMockHidden;
  }

  const MockOptions options_;
  nn::EncoderInfo info_;
  std::vector<float> table_;
  mutable MockPace pace_;  // one forward at a time
};

}  // namespace

std::unique_ptr<nn::Encoder> make_mock_encoder(const MockOptions& options) {
  return std::make_unique<MockEncoder>(options);
}

}  // namespace sis::models
