#include "infer/engine/mask_work.h"

#include <algorithm>
#include <exception>

namespace sis::engine {
namespace {

constexpr size_t kJobsMax = 4;  // of a step; each takes masks until there is none

}  // namespace

void MaskWork::Batch::work() {
  for (size_t i; (i = next.fetch_add(1, std::memory_order_acq_rel)) < choices.size();) {
    Choice& choice = *choices[i];
    try {
      if (!choice.matcher) choice.matcher = choice.request->call.grammar->start();
      choice.matcher->mask(choice.mask);
    } catch (const std::exception& fault) {
      choice.mask_fault = fault.what();
    }
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == choices.size()) done.notify_one();
  }
}

void MaskWork::add(Choice& choice) {
  if (!batch_) batch_ = std::make_shared<Batch>();
  batch_->choices.push_back(&choice);
}

void MaskWork::start() {
  if (!batch_) return;
  for (size_t i = 0; i < std::min(batch_->choices.size(), kJobsMax); ++i)
    if (!pool_.post([batch = batch_] { batch->work(); })) return;
}

void MaskWork::wait() {
  if (!batch_) return;
  batch_->work();
  const size_t all = batch_->choices.size();
  for (size_t done; (done = batch_->done.load(std::memory_order_acquire)) != all;)
    batch_->done.wait(done, std::memory_order_acquire);
  batch_.reset();
}

}  // namespace sis::engine
