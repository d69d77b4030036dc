// A model that can break and be replaced while its lane keeps its queue.
//
// Stands between the engine and the model itself. When a forward throws, the model counts as
// broken: ready() is false, so that its lane waits, `on_fault` is told, and the exception goes on
// to the step it belongs to. Later the model is taken down and another one of the same shape put in
// its place. forward(), take_down() and put() on the executor's thread; info(), kv_layout() and
// ready() on any.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/strings.h"
#include "infer/nn/decoder.h"
#include "infer/nn/encoder.h"

namespace sis::nn {

// Called on the executor's thread; must be cheap.
using OnFault = std::function<void(const std::string& what)>;

// What ReplaceableEncoder and ReplaceableDecoder have in common.
template <class Model>
class Replaceable {
 public:
  Replaceable(std::unique_ptr<Model> model, OnFault on_fault)
      : model_(std::move(model)), on_fault_(std::move(on_fault)) {}

  bool ready() const { return ready_.load(std::memory_order_acquire); }

  // Frees the model; until put() a forward throws.
  void take_down() {
    ready_.store(false, std::memory_order_release);
    model_.reset();
  }
  void put(std::unique_ptr<Model> model) {
    model_ = std::move(model);
    ready_.store(true, std::memory_order_release);
  }

  template <class Fn>
  void run(Fn&& fn) const {
    try {
      if (!model_) throw std::runtime_error("the model is being rebuilt");
      fn(std::as_const(*model_));
    } catch (const std::exception& fault) {
      // One fault is told once, however many steps run into it.
      if (ready_.exchange(false, std::memory_order_acq_rel)) on_fault_(fault.what());
      throw;
    }
  }

 private:
  std::unique_ptr<Model> model_;
  const OnFault on_fault_;
  mutable std::atomic<bool> ready_{true};
};

class ReplaceableEncoder final : public Encoder {
 public:
  ReplaceableEncoder(std::unique_ptr<Encoder> model, OnFault on_fault)
      : info_(model->info()), held_(std::move(model), std::move(on_fault)) {}

  const EncoderInfo& info() const override { return info_; }
  bool ready() const override { return held_.ready(); }
  void forward(ops::Context& context, const RaggedBatch& batch, Mat<float> states) const override {
    held_.run([&](const Encoder& model) { model.forward(context, batch, states); });
  }
  void take_down() { held_.take_down(); }
  // kInvalidArgument when its shape is another one: what the lane has queued would not fit.
  Status put(std::unique_ptr<Encoder> model) {
    const EncoderInfo& now = model->info();
    if (now.hidden != info_.hidden || now.vocab != info_.vocab ||
        now.tokens_max != info_.tokens_max || now.types != info_.types)
      return Error{Code::kInvalidArgument,
                   concat("the checkpoint has changed: hidden ", now.hidden, ", vocabulary ",
                          now.vocab, ", tokens ", now.tokens_max, "; loaded were ", info_.hidden,
                          ", ", info_.vocab, ", ", info_.tokens_max)};
    held_.put(std::move(model));
    return {};
  }

 private:
  const EncoderInfo info_;
  Replaceable<Encoder> held_;
};

class ReplaceableDecoder final : public Decoder {
 public:
  ReplaceableDecoder(std::unique_ptr<Decoder> model, OnFault on_fault)
      : info_(model->info()),
        layout_(model->kv_layout()),
        held_(std::move(model), std::move(on_fault)) {}

  const DecoderInfo& info() const override { return info_; }
  kernels::KvLayout kv_layout() const override { return layout_; }
  bool ready() const override { return held_.ready(); }
  void forward(ops::Context& context, const DecoderBatch& batch, ops::KvView cache,
               Mat<float> logits) const override {
    held_.run([&](const Decoder& model) { model.forward(context, batch, cache, logits); });
  }
  void take_down() { held_.take_down(); }
  // kInvalidArgument when its shape is another one: the cache would not fit.
  Status put(std::unique_ptr<Decoder> model) {
    const DecoderInfo& now = model->info();
    if (now.vocab != info_.vocab || now.tokens_max != info_.tokens_max ||
        model->kv_layout().block_bytes() != layout_.block_bytes())
      return Error{
          Code::kInvalidArgument,
          concat("the checkpoint has changed: vocabulary ", now.vocab, ", tokens ", now.tokens_max,
                 ", ", model->kv_layout().block_bytes(), " bytes per cache block; loaded were ",
                 info_.vocab, ", ", info_.tokens_max, ", ", layout_.block_bytes())};
    held_.put(std::move(model));
    return {};
  }

 private:
  const DecoderInfo info_;
  const kernels::KvLayout layout_;
  Replaceable<Decoder> held_;
};

}  // namespace sis::nn
