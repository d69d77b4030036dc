#include "infer/models/decoder/decoder.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/strings.h"
#include "infer/models/decoder/graph.h"

namespace sis::models::decoder {
namespace {

using kernels::kKvBlockTokens;

class CausalDecoder final : public nn::Decoder {
 public:
  CausalDecoder(const Config& config, Weights weights, DType compute, DType kv)
      : graph_(config, std::move(weights), compute), kv_(kv) {
    const Config& c = graph_.config();
    const auto& head = graph_.weights().head;
    info_ = {.family = c.family,
             .kernels = graph_.kernels(),
             .hidden = c.hidden,
             .layers = c.layers,
             .heads = c.heads,
             .head_dim = c.head_dim,
             .vocab = c.vocab,
             .tokens_max = c.positions_max,
             .linear_params = graph_.linear_params(),
             .head_params = head.in() * head.out(),
             .step_bytes = graph_.linear_bytes() + head.bytes(),
             .weights_bytes = graph_.weights().bytes};
  }

  const nn::DecoderInfo& info() const override { return info_; }

  kernels::KvLayout kv_layout() const override {
    const Config& c = graph_.config();
    return {.layers = c.layers, .kv_heads = c.kv_heads, .head_dim = c.head_dim, .dtype = kv_};
  }

  void forward(ops::Context& context, const nn::DecoderBatch& batch, ops::KvView cache,
               Mat<float> logits) const override {
    const int64_t tokens = static_cast<int64_t>(batch.ids.size()), hidden = info_.hidden;
    const int64_t rows = static_cast<int64_t>(batch.logit_rows.size());
    SIS_CHECK(logits.rows == rows && (rows == 0 || logits.cols == info_.vocab), "logits ",
              logits.rows, "x", logits.cols, " for ", rows, " rows");
    Workspace::Scope scope(context.workspace);
    Mat<float> h = context.workspace.take_mat<float>(tokens, hidden);
    graph_.run(context, batch.ids, batch.sequences, cache, h);
    if (rows == 0) return;

    Mat<float> last = context.workspace.take_mat<float>(rows, hidden);
    for (int64_t r = 0; r < rows; ++r) std::copy_n(h.row(batch.logit_rows[r]), hidden, last.row(r));
    const auto& scale = graph_.weights().final_norm;
    const auto& head = graph_.weights().head;
    const float eps = graph_.config().norm_eps;
    if (graph_.compute() == DType::kF32) {
      ops::rms_norm(context, last, scale, eps, last, {});
      head.forward(context, last, {}, logits);  // [rows, vocab]
    } else {
      Mat<bf16> low = context.workspace.take_mat<bf16>(rows, hidden);
      ops::rms_norm(context, last, scale, eps, {}, low);
      head.forward(context, low, {}, logits);
    }
  }

 private:
  const Graph graph_;
  const DType kv_;
  nn::DecoderInfo info_;
};

// Keys and values live for one layer only, in scratch.
class StateEncoder final : public nn::Encoder {
 public:
  StateEncoder(const Config& config, Weights weights, DType compute)
      : graph_(config, std::move(weights), compute) {
    const Config& c = graph_.config();
    info_ = {.family = c.family,
             .kernels = graph_.kernels(),
             .hidden = c.hidden,
             .layers = c.layers,
             .vocab = c.vocab,
             .tokens_max = c.positions_max,
             .linear_params = graph_.linear_params(),
             .weights_bytes = graph_.weights().bytes};
  }

  const nn::EncoderInfo& info() const override { return info_; }

  void forward(ops::Context& context, const nn::RaggedBatch& batch,
               Mat<float> states) const override {
    SIS_CHECK(states.rows == batch.tokens() && states.cols == info_.hidden, "rows=", states.rows,
              " cols=", states.cols);
    Workspace::Scope scope(context.workspace);
    const Config& c = graph_.config();
    const kernels::KvLayout layout{
        .layers = 1,
        .kv_heads = c.kv_heads,
        .head_dim = c.head_dim,
        .dtype = graph_.compute() == DType::kF32 ? DType::kF32 : DType::kBf16};
    const int64_t sequences = batch.sequences();
    auto* rows = context.workspace.take<ops::KvRows>(sequences);
    int64_t blocks = 0;
    for (int64_t s = 0; s < sequences; ++s)
      blocks += (batch.offsets[s + 1] - batch.offsets[s] + kKvBlockTokens - 1) / kKvBlockTokens;
    auto* table = context.workspace.take<int32_t>(blocks);
    std::iota(table, table + blocks, 0);
    auto* data = context.workspace.take<std::byte>(blocks * layout.block_bytes());
    // Places behind a sequence's end count for nothing, but must be numbers.
    context.team.split(blocks, 1, [&](int64_t begin, int64_t end, int) {
      std::fill(data + begin * layout.block_bytes(), data + end * layout.block_bytes(),
                std::byte{0});
    });
    int64_t block = 0;
    for (int64_t s = 0; s < sequences; ++s) {
      const int32_t tokens = batch.offsets[s + 1] - batch.offsets[s];
      rows[s] = {.blocks = table + block, .past = 0, .tokens = tokens, .row = batch.offsets[s]};
      block += (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
    }
    graph_.run(context, batch.ids, {rows, static_cast<size_t>(sequences)}, {data, layout}, states);
    ops::rms_norm(context, states, graph_.weights().final_norm, c.norm_eps, states, {});
  }

 private:
  const Graph graph_;
  nn::EncoderInfo info_;
};

}  // namespace

Result<std::unique_ptr<nn::Decoder>> load(const Config& config,
                                          std::unique_ptr<weights::WeightSource> source,
                                          DType compute, DType kv, Isa isa, ThreadTeam& team) {
  if (!config.causal)
    return Error{Code::kInvalidArgument,
                 "config.json: use_bidirectional_attention: this model makes embeddings, not text"};
  SIS_ASSIGN(auto weights, load_weights(config, std::move(source), true, compute, isa, team));
  return std::unique_ptr<nn::Decoder>(
      std::make_unique<CausalDecoder>(config, std::move(weights), compute, kv));
}

Result<std::unique_ptr<nn::Encoder>> load_encoder(const Config& config,
                                                  std::unique_ptr<weights::WeightSource> source,
                                                  DType compute, Isa isa, ThreadTeam& team) {
  SIS_ASSIGN(auto weights, load_weights(config, std::move(source), false, compute, isa, team));
  return std::unique_ptr<nn::Encoder>(
      std::make_unique<StateEncoder>(config, std::move(weights), compute));
}

}  // namespace sis::models::decoder
