// The one place that starts parallel compute on a device.
//
// Models put lanes here; each lane knows when it next has something to run and runs one bounded
// step when asked. The executor's thread serves ready lanes in weighted-fair order (the lane with
// the least device time per weight goes first), so one model's backlog delays another by a step at
// most. Because a lane forms its batch only when its turn comes, whatever arrived meanwhile is in
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "infer/ops/context.h"

namespace sis::engine {

class Lane {
 public:
  virtual ~Lane() = default;
  // When this lane next wants the device: nothing queued -> nullopt; at or before `now` -> ready.
  // Executor thread.
  virtual std::optional<TimePoint> ready_at(TimePoint now) = 0;
  // One bounded piece of work. Executor thread.
  virtual void step(ops::Context& context) = 0;
  // step() ended with an exception: ends what was in it with an error. Must not throw. Executor
  // thread.
  virtual void failed(const std::string& what) = 0;
};

struct ExecutorOptions {
  int threads = 0;  // 0: one per core
  Isa isa = Isa::kRef;
  int64_t workspace_bytes_keep =
      256 << 20;  // scratch above this is given back after the step that needed it
  Duration shared_step = from_ms(10);  // wanted of a step while other lanes use the device, too
};

struct ExecutorStats {
  int64_t steps = 0;
  double busy_seconds = 0;
};

class DeviceExecutor {
 public:
  DeviceExecutor(const ExecutorOptions& options, const Clock& clock);
  ~DeviceExecutor();  // after the step in progress
  DeviceExecutor(const DeviceExecutor&) = delete;

  // `weight` is the lane's share when several are ready. The lane must outlive its registration.
  void add(Lane& lane, double weight);
  void remove(Lane& lane);  // returns when no step of it runs
  void wake();              // some lane's ready_at() may have changed; any thread

  // Runs `fn` on the executor's thread between steps and waits for it: loading, packing, warm-up.
  void call(const std::function<void(ops::Context&)>& fn);
  // The same for what may fail: an exception of `fn` comes back as kInternal.
  Status try_call(const std::function<Status(ops::Context&)>& fn);

  int threads() const;
  Isa isa() const;
  ExecutorStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sis::engine
