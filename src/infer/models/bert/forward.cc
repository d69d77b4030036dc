#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/strings.h"
#include "infer/models/bert/bert.h"
#include "infer/models/bert/weights.h"
#include "infer/ops/encoder_ops.h"

namespace sis::models::bert {
namespace {

// Rows of the feed-forward part at a time: its wide middle stays in cache and its scratch small.
constexpr int64_t kFeedForwardRows = 1024;

class Bert final : public nn::Encoder {
 public:
  Bert(const Config& config, Weights weights, DType compute)
      : config_(config), weights_(std::move(weights)), compute_(compute) {
    info_ = {.family = config.family,
             .hidden = config.hidden,
             .layers = config.layers,
             .vocab = config.vocab,
             .tokens_max = config.tokens_max(),
             .types = config.type_vocab,
             .weights_bytes = weights_.bytes};
    int32_t matrices = 0, in_bf16 = 0;
    const char* bf16_kernels = nullptr;
    for (const auto& layer : weights_.layers)
      for (const auto* linear : {&layer.qkv, &layer.attention_out, &layer.up, &layer.down}) {
        info_.linear_params += linear->in() * linear->out();
        ++matrices;
        if (linear->compute() == compute) {
          info_.kernels = linear->variant();
        } else {
          ++in_bf16;
          bf16_kernels = linear->variant();
        }
      }
    if (in_bf16 > 0)
      info_.kernels = concat(info_.kernels, info_.kernels.empty() ? "" : " with ", bf16_kernels,
                             " for ", in_bf16, " of ", matrices, " matrices");
  }

  const nn::EncoderInfo& info() const override { return info_; }

  void forward(ops::Context& context, const nn::RaggedBatch& batch,
               Mat<float> states) const override {
    SIS_CHECK(states.rows == batch.tokens() && states.cols == config_.hidden, "rows=", states.rows,
              " cols=", states.cols);
    if (compute_ == DType::kF32)
      run<float>(context, batch, states);
    else
      run<bf16>(context, batch, states);
  }

 private:
  // `h` is the residual stream; `x` the same values as the products read them (h itself in f32).
  template <class T>
  void run(ops::Context& context, const nn::RaggedBatch& batch, Mat<float> h) const {
    Workspace::Scope scope(context.workspace);
    const int64_t tokens = batch.tokens(), hidden = config_.hidden;
    const float scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim()));

    int32_t* positions = context.workspace.take<int32_t>(tokens);
    for (int64_t s = 0; s < batch.sequences(); ++s)
      for (int32_t t = batch.offsets[s]; t < batch.offsets[s + 1]; ++t)
        positions[t] = config_.position_offset + t - batch.offsets[s];

    Mat<bf16> low;  // bf16 copy of h; not needed in f32
    Mat<const T> x;
    if constexpr (std::is_same_v<T, float>) {
      x = h;
    } else {
      low = context.workspace.take_mat<bf16>(tokens, hidden);
      x = low;
    }
    Mat<T> qkv = context.workspace.take_mat<T>(tokens, 3 * hidden);
    Mat<T> attended = context.workspace.take_mat<T>(tokens, hidden);
    Mat<T> wide =
        context.workspace.take_mat<T>(std::min(tokens, kFeedForwardRows), config_.intermediate);

    const Norm& first = weights_.embedding_norm;
    ops::embed_layer_norm(context,
                          {.ids = batch.ids,
                           .positions = {positions, static_cast<size_t>(tokens)},
                           .types = batch.types,
                           .word = weights_.word,
                           .position = weights_.position,
                           .type = weights_.type,
                           .gamma = first.gamma,
                           .beta = first.beta,
                           .eps = config_.norm_eps},
                          h, low);
    for (const Layer& layer : weights_.layers) {
      layer.qkv.forward(context, x, {}, qkv);  // [tokens, 3 hidden]
      ops::attention(context, qkv, batch.offsets, config_.heads, config_.head_dim(), scale,
                     attended);
      layer.attention_out.forward(context, attended, {.residual = h}, h);  // [tokens, hidden]
      ops::layer_norm(context, h, layer.attention_norm.gamma, layer.attention_norm.beta,
                      config_.norm_eps, h, low);
      for (int64_t begin = 0; begin < tokens; begin += kFeedForwardRows) {
        const int64_t end = std::min(tokens, begin + kFeedForwardRows);
        Mat<T> middle = wide.rows_between(0, end - begin);
        Mat<float> part = h.rows_between(begin, end);
        layer.up.forward(context, x.rows_between(begin, end), {.activation = config_.activation},
                         middle);
        layer.down.forward(context, middle, {.residual = part}, part);
      }
      ops::layer_norm(context, h, layer.output_norm.gamma, layer.output_norm.beta, config_.norm_eps,
                      h, low);
    }
  }

  const Config config_;
  const Weights weights_;
  const DType compute_;
  nn::EncoderInfo info_;
};

}  // namespace

Result<std::unique_ptr<nn::Encoder>> load(const Config& config,
                                          std::unique_ptr<weights::WeightSource> source,
                                          DType compute, Isa isa, ThreadTeam& team) {
  SIS_ASSIGN(auto weights, load_weights(config, std::move(source), compute, isa, team));
  return std::unique_ptr<nn::Encoder>(std::make_unique<Bert>(config, std::move(weights), compute));
}

}  // namespace sis::models::bert
