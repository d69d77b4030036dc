#include "perf/load/run.h"

#include <algorithm>
#include <barrier>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/thread_team.h"
#include "net/http_client.h"
#include "perf/load/event_loop.h"
#include "perf/load/run_windows.h"

namespace sis::perf {
namespace {

// `total` in `parts` nearly equal shares.
uint64_t share(uint64_t total, int part, int parts) {
  const auto n = static_cast<uint64_t>(parts), i = static_cast<uint64_t>(part);
  return total / n + (i < total % n ? 1 : 0);
}

// So far ahead of the start of an open loop all its event loops are ready for the first due time.
constexpr Duration kHeadStart = std::chrono::milliseconds(1);
constexpr Duration kShowEvery = std::chrono::milliseconds(200);

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

struct Worker {
  LoopProgress progress;
  WindowBox* box = nullptr;
  Status status;
  bool ended = false;
  std::thread thread;
};

Progress progress_of(const std::vector<std::unique_ptr<Worker>>& workers, TimePoint start) {
  Progress progress;
  for (const auto& worker : workers) {
    progress.warming |= worker->progress.warming;
    progress.ok += worker->progress.ok.load(std::memory_order_relaxed);
    progress.failed += worker->progress.failed.load(std::memory_order_relaxed);
    progress.users += worker->progress.users.load(std::memory_order_relaxed);
    progress.latency_sum_ms +=
        static_cast<double>(worker->progress.latency_us.load(std::memory_order_relaxed)) * 1e-3;
  }
  if (start != TimePoint{}) progress.elapsed_s = std::max(0.0, to_seconds(clock_now() - start));
  return progress;
}

LoopOptions loop_options(const RunOptions& options, int connections, int part, int parts) {
  LoopOptions loop;
  loop.host = options.url.host;
  loop.connections = static_cast<int>(share(static_cast<uint64_t>(connections), part, parts));
  loop.pipeline = options.pipeline;
  loop.reuse = options.keep_alive;
  loop.timeout = options.timeout;
  loop.give_up_after = options.give_up_after;
  loop.part = part;
  loop.parts = parts;
  if (options.is_open()) {
    loop.open_loop = Schedule::Options{.rate = options.rate,
                                       .trace = options.trace,
                                       .rates = options.rates,
                                       .arrivals = options.arrivals,
                                       .burst = options.burst,
                                       .seed = options.seed,
                                       .part = part,
                                       .parts = parts};
  } else {
    if (!options.users.empty()) loop.users = &options.users;
    loop.users_now = options.users_now;
    loop.think_min = options.think_min;
    loop.think_max = std::max(options.think_min, options.think_max);
  }
  loop.seed = options.seed;
  loop.requests_per_user = options.requests_per_user;
  loop.requests = options.requests_per_user > 0
                      ? options.requests_per_user * static_cast<uint64_t>(loop.connections)
                      : share(options.requests, part, parts);
  loop.duration = options.duration;
  loop.warmup_requests = share(options.warmup_requests, part, parts);
  loop.warmup_duration = options.warmup_duration;
  loop.first_index = options.first_index + static_cast<uint64_t>(part);
  loop.index_step = static_cast<uint64_t>(parts);
  loop.window = options.window;
  loop.slo = options.slo;
  loop.errors_max = options.errors_max;
  loop.spin = options.spin;
  loop.cpu = options.first_cpu < 0 ? -1 : options.first_cpu + part;
  return loop;
}

}  // namespace

Result<RunResult> run_load(const RunOptions& options, const Workload& workload,
                           const std::atomic<bool>* stop,
                           const std::function<void(const Progress&)>& show) {
  std::unique_ptr<net::ClientTls> tls;
  if (options.url.tls) {
    SIS_ASSIGN(tls, net::ClientTls::create(options.verify_tls));
  }
  SIS_ASSIGN(const net::Endpoint endpoint,
             net::find_endpoint(options.url, tls.get(),
                                std::min<Duration>(options.timeout, from_seconds(10))));

  const int connections =
      options.is_open() || options.users.empty()
          ? options.connections
          : std::max(options.connections,
                     static_cast<int>(std::lround(std::min(options.users.highest(), 1e6))));
  // No loop without a connection or a request of its own.
  int threads = std::min(options.threads, connections);
  if (options.requests > 0 && options.requests_per_user == 0)
    threads =
        static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(threads), options.requests));

  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<int64_t> started{0};  // of the measured phase, since the clock's epoch
  std::atomic<bool> finish{false};
  const bool warms_up = options.warmup_requests > 0 || options.warmup_duration > Duration{};
  std::barrier line(threads, [&]() noexcept {
    if (warms_up && options.on_warmed_up) options.on_warmed_up();
    const TimePoint start = clock_now() + (options.is_open() ? kHeadStart : Duration{});
    started = start.time_since_epoch().count();
  });
  const auto start = [&] { return TimePoint(Duration(started.load())); };
  WindowMerger merger(
      {.parts = workload.parts(), .window = options.window, .on_window = options.on_window});
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < threads; ++i) {
    workers.push_back(std::make_unique<Worker>());
    workers.back()->box = merger.add_loop();
  }
  for (int i = 0; i < threads; ++i) {
    LoopOptions loop = loop_options(options, connections, i, threads);
    loop.endpoint = endpoint;
    loop.tls = tls.get();
    Worker& worker = *workers[static_cast<size_t>(i)];
    worker.thread = std::thread([&, loop] {
      name_this_thread("sis-load");
      {
        EventLoop event_loop(loop, workload, worker.box, &worker.progress, stop, &finish);
        worker.status = event_loop.run([&] {
          line.arrive_and_wait();
          return start();
        });
      }
      const std::lock_guard lock(mutex);
      worker.ended = true;
      changed.notify_one();
    });
  }

  // Windows are looked for a few times in each, so that a rule ends the run soon.
  Duration look_every = kShowEvery;
  if (options.window > Duration{})
    look_every = std::clamp<Duration>(options.window / 5, std::chrono::milliseconds(5), kShowEvery);
  TimePoint shown = clock_now();
  for (bool all_ended = false; !all_ended;) {
    std::vector<bool> ended;
    {
      std::unique_lock lock(mutex);
      const auto count = [&] {
        return std::count_if(workers.begin(), workers.end(),
                             [](const auto& worker) { return worker->ended; });
      };
      changed.wait_for(lock, look_every, [&] { return count() == threads; });
      all_ended = count() == threads;
      for (const auto& worker : workers) ended.push_back(worker->ended);
    }
    if (!merger.collect(ended, start())) finish = true;
    if (all_ended || !show || clock_now() - shown < kShowEvery) continue;
    shown = clock_now();
    show(progress_of(workers, start()));
  }

  RunResult result{
      .tally = {}, .peer = endpoint.text(), .threads = threads, .cores = available_cores()};
  merger.finish(result);
  for (size_t i = 0; workload.parts() > 1 && i < workload.parts(); ++i)
    result.part_names.push_back(workload.part_name(i));
  Status first_failure;
  int reached = 0;
  for (const auto& worker : workers) {
    worker->thread.join();
    if (worker->status.ok())
      ++reached;
    else if (first_failure.ok())
      first_failure = worker->status;
  }
  if (reached == 0) return first_failure.error();
  return result;
}

}  // namespace sis::perf
