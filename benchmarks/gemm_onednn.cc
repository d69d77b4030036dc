#include "gemm_onednn.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>
#include <vector>

#include "dnnl.hpp"

namespace sis {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

}  // namespace

struct OneDnnProduct::Impl {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul primitive;
  std::vector<memory> weights;
  memory x, y, bias;
  bool fused = false;

  // `values` in f32, converted by oneDNN to what `to` says.
  memory converted(std::span<const float> values, const memory::desc& plain,
                   const memory::desc& to) {
    memory source(plain, engine, const_cast<float*>(values.data())), target(to, engine);
    dnnl::reorder(source, target).execute(stream, source, target);
    stream.wait();
    return target;
  }
};

OneDnnProduct::OneDnnProduct(const Options& o, std::span<const float> weights,
                             std::span<const float> x)
    : impl_(std::make_unique<Impl>()) {
  Impl& d = *impl_;
  d.fused = o.fused;
  const bool int8 = o.type == DType::kI8;
  const Type type = int8 ? Type::s8 : Type::bf16;
  const Type y_type = o.fused ? (o.residual ? Type::f32 : Type::bf16)
                      : int8  ? Type::s32
                              : Type::bf16;
  const memory::desc x_md({o.rows, o.in}, type, Tag::ab), w_any({o.in, o.out}, type, Tag::any);
  const memory::desc y_md({o.rows, o.out}, y_type, Tag::ab),
      bias_md({1, o.out}, Type::f32, Tag::ab);

  dnnl::primitive_attr attr;
  if (o.fused) {
    if (int8) attr.set_output_scales(1 << 1, std::vector<float>(static_cast<size_t>(o.out), 1e-4f));
    dnnl::post_ops post;
    if (o.gelu) post.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_erf, 0, 0);
    if (o.residual) post.append_sum(1.0f);
    attr.set_post_ops(post);
  }
  const dnnl::matmul::desc desc = o.fused ? dnnl::matmul::desc(x_md, w_any, bias_md, y_md)
                                          : dnnl::matmul::desc(x_md, w_any, y_md);
  const dnnl::matmul::primitive_desc primitive(desc, attr, d.engine);
  d.primitive = dnnl::matmul(primitive);

  // Our weights are [out, in]; int8 takes whole numbers.
  std::vector<float> scaled(weights.begin(), weights.end()),
      scaled_x(x.begin(), x.begin() + o.rows * o.in);
  if (int8) {
    for (auto& v : scaled) v = std::round(std::clamp(v * 30.0f, -127.0f, 127.0f));
    for (auto& v : scaled_x) v = std::round(std::clamp(v * 30.0f, -127.0f, 127.0f));
  }
  const memory::desc w_plain({o.in, o.out}, Type::f32, Tag::ba),
      x_plain({o.rows, o.in}, Type::f32, Tag::ab);
  for (int i = 0; i < o.copies; ++i)
    d.weights.push_back(d.converted(scaled, w_plain, primitive.weights_desc()));
  d.x = d.converted(scaled_x, x_plain, x_md);
  d.y = memory(y_md, d.engine);
  std::fill_n(static_cast<uint8_t*>(d.y.get_data_handle()), y_md.get_size(), uint8_t{0});
  d.bias = memory(bias_md, d.engine);
  std::fill_n(static_cast<float*>(d.bias.get_data_handle()), o.out, 0.1f);
}

OneDnnProduct::~OneDnnProduct() = default;

void OneDnnProduct::run(int copy) {
  Impl& d = *impl_;
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, d.x},
      {DNNL_ARG_WEIGHTS, d.weights[static_cast<size_t>(copy)]},
      {DNNL_ARG_DST, d.y}};
  if (d.fused) arguments.emplace(DNNL_ARG_BIAS, d.bias);
  d.primitive.execute(d.stream, arguments);
  d.stream.wait();
}

const char* onednn_version() {
  static const std::string text = [] {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
           std::to_string(v->patch);
  }();
  return text.c_str();
}

}  // namespace sis
