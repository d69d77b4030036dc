#include "infer/models/decoder/graph.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace sis::models::decoder {
namespace {

// Rows of the feed-forward part at a time: its wide middle stays in cache and its scratch small.
constexpr int64_t kFeedForwardRows = 512;

}  // namespace

Graph::Graph(const Config& config, Weights weights, DType compute)
    : config_(config),
      weights_(std::move(weights)),
      compute_(compute),
      rope_(rope_frequencies(config.rope, config.head_dim)),
      local_rope_(rope_frequencies(config.local_rope, config.head_dim)) {}

std::string Graph::kernels() const {
  const char *kernels = "", *others = "";
  int32_t matrices = 0, other = 0;
  for (const auto& layer : weights_.layers)
    for (const auto* linear : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down}) {
      ++matrices;
      if (linear->compute() == compute_) {
        kernels = linear->variant();
      } else {
        ++other;
        others = linear->variant();
      }
    }
  if (other == 0) return kernels;
  return concat(kernels, *kernels ? " with " : "", others, " for ", other, " of ", matrices,
                " matrices");
}

int64_t Graph::linear_params() const {
  int64_t total = 0;
  for (const auto& layer : weights_.layers)
    for (const auto* linear : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down})
      total += linear->params();
  return total;
}

int64_t Graph::linear_bytes() const {
  int64_t total = 0;
  for (const auto& layer : weights_.layers)
    for (const auto* linear : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down})
      total += linear->bytes();
  return total;
}

void Graph::run(ops::Context& context, std::span<const int32_t> ids,
                std::span<const ops::KvRows> sequences, ops::KvView cache, Mat<float> h) const {
  if (compute_ == DType::kF32)
    run_as<float>(context, ids, sequences, cache, h);
  else
    run_as<bf16>(context, ids, sequences, cache, h);
}

// `h` is the residual stream, `x` its norm as the products read it.
template <class T>
void Graph::run_as(ops::Context& context, std::span<const int32_t> ids,
                   std::span<const ops::KvRows> sequences, ops::KvView cache, Mat<float> h) const {
  Workspace::Scope scope(context.workspace);
  const Config& c = config_;
  const int64_t tokens = static_cast<int64_t>(ids.size());
  const int64_t queries = int64_t{c.heads} * c.head_dim, keys = int64_t{c.kv_heads} * c.head_dim;
  const int64_t wide_rows = std::min(tokens, kFeedForwardRows);

  Mat<T> x = context.workspace.take_mat<T>(tokens, c.hidden);
  Mat<T> qkv = context.workspace.take_mat<T>(tokens, queries + 2 * keys);
  Mat<T> attended = context.workspace.take_mat<T>(tokens, queries);
  Mat<T> gated = context.workspace.take_mat<T>(wide_rows, c.intermediate);
  Mat<float> y;  // what a part adds to h, where a norm comes between
  if (c.post_norms) y = context.workspace.take_mat<float>(tokens, c.hidden);

  const auto norm = [&](const std::vector<float>& scale) {
    if constexpr (std::is_same_v<T, float>)
      ops::rms_norm(context, h, scale, c.norm_eps, x, {});
    else
      ops::rms_norm(context, h, scale, c.norm_eps, {}, x);
  };

  ops::embed_tokens(context, ids, weights_.embedding, c.embedding_factor, h);
  for (int32_t l = 0; l < c.layers; ++l) {
    const Layer& layer = weights_.layers[l];
    const Frequencies& rope = c.local[l] ? local_rope_ : rope_;
    const int32_t cached = cache.layout.layers == 1 ? 0 : l;
    norm(layer.attention_norm);
    layer.qkv.forward(context, x, {}, qkv);  // [tokens, queries + 2 keys]
    ops::rotate_and_cache(context,
                          {.sequences = sequences,
                           .cache = cache,
                           .layer = cached,
                           .heads = c.heads,
                           .q_norm = layer.q_norm,
                           .k_norm = layer.k_norm,
                           .eps = c.norm_eps,
                           .inverse_frequency = rope.inverse,
                           .rope_factor = rope.factor},
                          qkv);
    ops::cached_attention(context,
                          {.sequences = sequences,
                           .cache = cache,
                           .layer = cached,
                           .heads = c.heads,
                           .scale = c.query_scale,
                           .causal = c.causal,
                           .window = c.windows[l]},
                          qkv, attended);
    if (c.post_norms) {
      layer.attention_out.forward(context, attended, {}, y);  // [tokens, hidden]
      ops::add_rms_norm(context, y, layer.post_attention_norm, c.norm_eps, h);
    } else {
      layer.attention_out.forward(context, attended, {.residual = h}, h);
    }
    norm(layer.feed_forward_norm);
    for (int64_t begin = 0; begin < tokens; begin += kFeedForwardRows) {
      const int64_t end = std::min(tokens, begin + kFeedForwardRows), rows = end - begin;
      const Mat<T> middle = gated.rows_between(0, rows);
      layer.gate_up.forward(context, x.rows_between(begin, end), {c.activation}, middle);
      if (c.post_norms) {
        layer.down.forward(context, middle, {}, y.rows_between(begin, end));
      } else {
        const Mat<float> part = h.rows_between(begin, end);
        layer.down.forward(context, middle, {.residual = part}, part);
      }
    }
    if (c.post_norms) ops::add_rms_norm(context, y, layer.post_feed_forward_norm, c.norm_eps, h);
  }
}

}  // namespace sis::models::decoder
