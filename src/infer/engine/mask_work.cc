#include "infer/engine/mask_work.h"

namespace sis::engine {

void MaskWork::compute(Choice& choice) {
  if (!choice.matcher) choice.matcher = choice.request->call.grammar->start();
  choice.matcher->mask(choice.mask);
}

void MaskWork::add(Choice& choice) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  const bool posted = pool_.post([this, &choice] {
    compute(choice);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  });
  if (posted) return;
  pending_.fetch_sub(1, std::memory_order_relaxed);
  kept_.push_back(&choice);
}

void MaskWork::wait() {
  for (Choice* choice : kept_) compute(*choice);
  kept_.clear();
  for (int32_t left; (left = pending_.load(std::memory_order_acquire)) != 0;)
    pending_.wait(left, std::memory_order_acquire);
}

}  // namespace sis::engine
