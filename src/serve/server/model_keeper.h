// Keeps models alive: one circuit breaker each, and when a model's engine fails, the model is
// loaded again behind it.
//
// A guarded model that throws from forward() opens its breaker at once, and its lane waits. The
// keeper's thread then frees the model (two may not fit into memory), loads it from its folder
// again, runs one token through it, puts it in place and closes the breaker. While that fails it is
// tried again and again, at growing distances, and the breaker stays open.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "infer/engine/device_executor.h"
#include "infer/nn/decoder.h"
#include "infer/nn/encoder.h"
#include "serve/admission/breaker.h"
#include "telemetry/log.h"

namespace sis::server {

// What the keeper tells about itself; any thread, must be cheap.
struct KeeperHooks {
  std::function<void(const std::string& model, admission::BreakerState state, bool opened)>
      on_state;  // as admission::Breaker::OnState
  std::function<void(const std::string& model, bool ok)> on_rebuild;
};

class ModelKeeper {
 public:
  ModelKeeper(const admission::BreakerOptions& options, engine::DeviceExecutor& executor,
              const Clock& clock, telemetry::Logger log);
  ~ModelKeeper();  // after the attempt in progress
  ModelKeeper(const ModelKeeper&) = delete;

  void set_hooks(KeeperHooks hooks) { hooks_ = std::move(hooks); }  // before the first guard()

  template <class Model>
  using LoadAgain = std::function<Result<std::unique_ptr<Model>>()>;
  // A model like `model` that recovers. It must outlive stop(). `load_again` is called on the
  // keeper's thread.
  std::unique_ptr<nn::Encoder> guard(const std::string& name, std::unique_ptr<nn::Encoder> model,
                                     LoadAgain<nn::Encoder> load_again);
  std::unique_ptr<nn::Decoder> guard(const std::string& name, std::unique_ptr<nn::Decoder> model,
                                     LoadAgain<nn::Decoder> load_again);
  // Of a guarded model; lives as long as the keeper.
  admission::Breaker& breaker(const std::string& name);
  const std::vector<std::unique_ptr<admission::Breaker>>& breakers() const { return breakers_; }

  // No attempt runs or begins after this.
  void stop();

  // Before attempt `attempt` (1: the one after the first failure).
  static Duration backoff(int attempt);

 private:
  struct Patient {
    admission::Breaker* breaker = nullptr;
    std::function<void()> take_down;
    std::function<Status()> rebuild;
    int attempts = 0;
    // Guarded by mutex_:
    bool broken = false;
    TimePoint due{};
    Duration took{};  // the last rebuild; a guess at the next one
  };

  Patient& admit(const std::string& name);
  template <class Replaceable, class Model>
  std::unique_ptr<Model> guard_model(const std::string& name, std::unique_ptr<Model> model,
                                     LoadAgain<Model> load_again);
  void fault(Patient& patient, const std::string& what);
  void run();
  void attend(Patient& patient);

  const admission::BreakerOptions options_;
  engine::DeviceExecutor& executor_;
  const Clock& clock_;
  const telemetry::Logger log_;
  KeeperHooks hooks_;
  std::vector<std::unique_ptr<admission::Breaker>> breakers_;
  std::vector<std::unique_ptr<Patient>> patients_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sis::server
