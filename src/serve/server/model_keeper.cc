#include "serve/server/model_keeper.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/strings.h"
#include "base/thread_team.h"
#include "infer/nn/replaceable.h"

namespace sis::server {
namespace {

constexpr Duration kBackoffFirst = std::chrono::seconds(1), kBackoffMost = std::chrono::seconds(60);

Status check_finite(std::span<const float> values) {
  if (std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
    return {};
  return Error{Code::kInternal, "the reloaded model computes values that are not numbers"};
}

// One token through a model that nobody uses yet.
Status try_out(ops::Context& context, const nn::Encoder& model) {
  const int32_t ids[] = {0}, offsets[] = {0, 1};
  const Mat<float> states = context.workspace.take_mat<float>(1, model.info().hidden);
  model.forward(context, {.ids = ids, .offsets = offsets}, states);
  return check_finite({states.row(0), static_cast<size_t>(states.cols)});
}

Status try_out(ops::Context& context, const nn::Decoder& model) {
  const kernels::KvLayout layout = model.kv_layout();
  const Buffer cache(static_cast<size_t>(layout.block_bytes()));
  const int32_t ids[] = {0}, blocks[] = {0}, wanted[] = {0};
  const ops::KvRows rows[] = {{.blocks = blocks, .past = 0, .tokens = 1, .row = 0}};
  const Mat<float> logits = context.workspace.take_mat<float>(1, model.info().vocab);
  model.forward(context, {.ids = ids, .sequences = rows, .logit_rows = wanted},
                {cache.data(), layout}, logits);
  return check_finite({logits.row(0), static_cast<size_t>(logits.cols)});
}

}  // namespace

ModelKeeper::ModelKeeper(const admission::BreakerOptions& options, engine::DeviceExecutor& executor,
                         const Clock& clock, telemetry::Logger log)
    : options_(options), executor_(executor), clock_(clock), log_(std::move(log)) {
  thread_ = std::thread([this] { run(); });
}

ModelKeeper::~ModelKeeper() { stop(); }

void ModelKeeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Duration ModelKeeper::backoff(int attempt) {
  return std::min(kBackoffMost, kBackoffFirst * (int64_t{1} << std::clamp(attempt - 1, 0, 16)));
}

ModelKeeper::Patient& ModelKeeper::admit(const std::string& name) {
  breakers_.push_back(std::make_unique<admission::Breaker>(
      name, options_, clock_, [this, name](admission::BreakerState state, bool opened) {
        if (hooks_.on_state) hooks_.on_state(name, state, opened);
      }));
  auto patient = std::make_unique<Patient>();
  patient->breaker = breakers_.back().get();
  const std::lock_guard lock(mutex_);
  return *patients_.emplace_back(std::move(patient));
}

template <class Replaceable, class Model>
std::unique_ptr<Model> ModelKeeper::guard_model(const std::string& name,
                                                std::unique_ptr<Model> model,
                                                LoadAgain<Model> load_again) {
  Patient& patient = admit(name);
  auto guarded = std::make_unique<Replaceable>(
      std::move(model), [this, &patient](const std::string& what) { fault(patient, what); });
  Replaceable& place = *guarded;
  patient.take_down = [this, &place] { executor_.call([&](ops::Context&) { place.take_down(); }); };
  patient.rebuild = [this, &place, load_again = std::move(load_again)]() -> Status {
    SIS_ASSIGN(auto fresh, load_again());
    SIS_TRY(executor_.try_call([&](ops::Context& context) -> Status {
      SIS_TRY(try_out(context, std::as_const(*fresh)));
      return place.put(std::move(fresh));
    }));
    executor_.wake();  // its lane has waited
    return {};
  };
  return guarded;
}

std::unique_ptr<nn::Encoder> ModelKeeper::guard(const std::string& name,
                                                std::unique_ptr<nn::Encoder> model,
                                                LoadAgain<nn::Encoder> load_again) {
  return guard_model<nn::ReplaceableEncoder>(name, std::move(model), std::move(load_again));
}

std::unique_ptr<nn::Decoder> ModelKeeper::guard(const std::string& name,
                                                std::unique_ptr<nn::Decoder> model,
                                                LoadAgain<nn::Decoder> load_again) {
  return guard_model<nn::ReplaceableDecoder>(name, std::move(model), std::move(load_again));
}

admission::Breaker& ModelKeeper::breaker(const std::string& name) {
  const auto it = std::find_if(breakers_.begin(), breakers_.end(),
                               [&](const auto& breaker) { return breaker->name() == name; });
  SIS_CHECK(it != breakers_.end(), "no breaker for ", name);
  return **it;
}

// Executor thread.
void ModelKeeper::fault(Patient& patient, const std::string& what) {
  {
    const std::lock_guard lock(mutex_);
    patient.breaker->trip(/*held=*/true, patient.took);
    patient.broken = true;
    patient.due = clock_.now();
  }
  changed_.notify_all();
  log_.error("engine_fault", {{"model", patient.breaker->name()}, {"reason", what}});
}

void ModelKeeper::run() {
  name_this_thread("sis-keeper");
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Patient* next = nullptr;
    for (const auto& patient : patients_)
      if (patient->broken && (!next || patient->due < next->due)) next = patient.get();
    if (!next) {
      changed_.wait(lock);
    } else if (const TimePoint now = clock_.now(); next->due > now) {
      changed_.wait_for(lock, next->due - now);
    } else {
      next->broken = false;
      lock.unlock();
      attend(*next);
      lock.lock();
    }
  }
}

void ModelKeeper::attend(Patient& patient) {
  const std::string& name = patient.breaker->name();
  const TimePoint begin = clock_.now();
  Status status;
  try {
    patient.take_down();
    status = patient.rebuild();
  } catch (const std::exception& fault) {  // no memory to load it, say
    status = Error{Code::kInternal, fault.what()};
  }
  const TimePoint end = clock_.now();
  if (hooks_.on_rebuild) hooks_.on_rebuild(name, status.ok());
  const std::lock_guard lock(mutex_);
  patient.took = end - begin;  // the model may be failing again just now
  if (status.ok()) {
    patient.attempts = 0;
    // It may have failed again in the meantime; then the breaker stays as that left it.
    if (!patient.broken) patient.breaker->release();
    log_.info("model_rebuilt", {{"model", name}, {"took_ms", to_ms(patient.took)}});
    return;
  }
  const Duration wait = backoff(++patient.attempts);
  patient.broken = true;
  patient.due = end + wait;
  patient.breaker->trip(/*held=*/true, wait + patient.took);
  log_.error("model_rebuild_failed", {{"model", name},
                                      {"reason", status.error().message},
                                      {"attempt", patient.attempts},
                                      {"next_ms", to_ms(wait)}});
}

}  // namespace sis::server
