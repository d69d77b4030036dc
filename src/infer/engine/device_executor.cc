#include "infer/engine/device_executor.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"

namespace sis::engine {
namespace {

// A lane that ran so recently is about to come again: a chat between two tokens, say.
constexpr Duration kStillThere = std::chrono::milliseconds(50);

}  // namespace

struct DeviceExecutor::State {
  State(const ExecutorOptions& options, const Clock& clock)
      : options(options), clock(clock), team({.workers = options.threads, .spin_us = 50}) {}

  struct Slot {
    Lane* lane;
    double weight;
    double service = 0;  // device seconds per weight; the least goes next
    bool leaving = false;
    TimePoint ended{};  // its last step; of the steady clock
  };

  void run();
  Slot* pick(TimePoint now, std::optional<TimePoint>& earliest);
  bool shared(const Slot& slot, TimePoint now);
  static void step(Lane& lane, ops::Context& context);

  const ExecutorOptions options;
  const Clock& clock;
  ThreadTeam team;
  Workspace workspace;
  std::thread thread;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  bool woken = false;
  Lane* running = nullptr;
  std::vector<std::unique_ptr<Slot>> slots;
  std::deque<std::function<void(ops::Context&)>> calls;

  std::atomic<int64_t> steps{0};
  std::atomic<double> busy_seconds{0};
};

DeviceExecutor::State::Slot* DeviceExecutor::State::pick(TimePoint now,
                                                         std::optional<TimePoint>& earliest) {
  Slot* best = nullptr;
  double least_waiting = 0;
  for (const auto& slot : slots) {
    if (slot->leaving) continue;
    const auto at = slot->lane->ready_at(now);
    if (!at) continue;
    if (*at > now) {
      earliest = earliest ? std::min(*earliest, *at) : *at;
      continue;
    }
    if (!best || slot->service < least_waiting) {
      best = slot.get();
      least_waiting = slot->service;
    }
  }
  // A lane that was idle must not cash in the time it did not use.
  if (best)
    for (const auto& slot : slots) slot->service = std::max(slot->service, least_waiting);
  return best;
}

// Whether another lane than `slot` uses the device, too.
bool DeviceExecutor::State::shared(const Slot& slot, TimePoint now) {
  const TimePoint steady = std::chrono::steady_clock::now();
  return std::ranges::any_of(slots, [&](const auto& other) {
    if (other.get() == &slot || other->leaving) return false;
    if (other->ended != TimePoint{} && steady - other->ended < kStillThere) return true;
    const auto at = other->lane->ready_at(now);
    return at && *at <= now;
  });
}

// The border that no exception crosses: a step that fails costs its lane, not the process.
void DeviceExecutor::State::step(Lane& lane, ops::Context& context) {
  try {
    lane.step(context);
  } catch (const std::exception& fault) {
    lane.failed(fault.what());
  }
}

void DeviceExecutor::State::run() {
  name_this_thread("sis-device");
  flush_denormals();
  std::unique_lock lock(mutex);
  while (!stopping) {
    std::function<void(ops::Context&)> job;
    std::optional<TimePoint> earliest;
    Slot* slot = nullptr;
    bool hurry = false;
    woken = false;
    if (!calls.empty()) {
      job = std::move(calls.front());
      calls.pop_front();
    } else {
      const TimePoint now = clock.now();
      slot = pick(now, earliest);
      if (slot) {
        running = slot->lane;
        hurry = slots.size() > 1 && shared(*slot, now);
      }
    }
    if (!job && !slot) {
      const auto stirred = [this] { return stopping || woken || !calls.empty(); };
      if (earliest)
        changed.wait_until(lock, *earliest, stirred);
      else
        changed.wait(lock, stirred);
      continue;
    }
    lock.unlock();
    const auto begin = std::chrono::steady_clock::now();
    ops::Context context{team, workspace, options.isa, hurry ? options.shared_step : Duration{}};
    if (job)
      job(context);
    else
      step(*slot->lane, context);
    workspace.reset();
    if (static_cast<int64_t>(workspace.bytes_reserved()) > options.workspace_bytes_keep)
      workspace = Workspace();
    const TimePoint end = std::chrono::steady_clock::now();
    const double seconds = to_seconds(end - begin);
    lock.lock();
    ++steps;
    busy_seconds = busy_seconds + seconds;
    if (slot) {
      slot->service += seconds / slot->weight;
      slot->ended = end;
    }
    if (running) {
      running = nullptr;
      changed.notify_all();  // remove() may wait
    }
  }
}

DeviceExecutor::DeviceExecutor(const ExecutorOptions& options, const Clock& clock)
    : state_(std::make_unique<State>(options, clock)) {
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

DeviceExecutor::~DeviceExecutor() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

void DeviceExecutor::add(Lane& lane, double weight) {
  SIS_CHECK(weight > 0, "weight=", weight);
  {
    std::lock_guard lock(state_->mutex);
    state_->slots.push_back(std::make_unique<State::Slot>(State::Slot{&lane, weight}));
    state_->woken = true;
  }
  state_->changed.notify_all();
}

void DeviceExecutor::remove(Lane& lane) {
  std::unique_lock lock(state_->mutex);
  // No step of it begins any more, however soon it is ready again.
  for (const auto& slot : state_->slots) slot->leaving |= slot->lane == &lane;
  state_->changed.wait(lock, [&] { return state_->running != &lane; });
  std::erase_if(state_->slots, [&](const auto& slot) { return slot->lane == &lane; });
}

void DeviceExecutor::wake() {
  {
    std::lock_guard lock(state_->mutex);
    state_->woken = true;
  }
  state_->changed.notify_all();
}

void DeviceExecutor::call(const std::function<void(ops::Context&)>& fn) {
  std::mutex done_mutex;
  std::condition_variable done_changed;
  bool done = false;
  {
    std::lock_guard lock(state_->mutex);
    SIS_CHECK(std::this_thread::get_id() != state_->thread.get_id(),
              "call() from the executor's own thread");
    state_->calls.push_back([&](ops::Context& context) {
      fn(context);
      std::lock_guard done_lock(done_mutex);
      done = true;
      done_changed.notify_all();
    });
  }
  state_->changed.notify_all();
  std::unique_lock done_lock(done_mutex);
  done_changed.wait(done_lock, [&] { return done; });
}

Status DeviceExecutor::try_call(const std::function<Status(ops::Context&)>& fn) {
  Status status;
  call([&](ops::Context& context) {
    try {
      status = fn(context);
    } catch (const std::exception& fault) {
      status = Error{Code::kInternal, fault.what()};
    }
  });
  return status;
}

int DeviceExecutor::threads() const { return state_->team.workers(); }
Isa DeviceExecutor::isa() const { return state_->options.isa; }
ExecutorStats DeviceExecutor::stats() const { return {state_->steps, state_->busy_seconds}; }

}  // namespace sis::engine
