#include "perf/load/run.h"

#include <algorithm>
#include <barrier>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/thread_team.h"
#include "net/http_client.h"
#include "perf/load/event_loop.h"

namespace sis::perf {
namespace {

// `total` in `parts` nearly equal shares.
uint64_t share(uint64_t total, int part, int parts) {
  const auto n = static_cast<uint64_t>(parts), i = static_cast<uint64_t>(part);
  return total / n + (i < total % n ? 1 : 0);
}

struct Worker {
  LoopProgress progress;
  Tally tally;
  Status status;
  std::thread thread;
};

}  // namespace

Result<RunResult> run_load(const RunOptions& options, const Workload& workload,
                           const std::atomic<bool>* stop,
                           const std::function<void(const Progress&)>& show) {
  std::unique_ptr<net::TlsContext> tls;
  if (options.url.tls) {
    SIS_ASSIGN(tls, net::TlsContext::create(options.verify_tls));
  }
  SIS_ASSIGN(const net::Endpoint endpoint,
             net::find_endpoint(options.url, tls.get(),
                                std::min<Duration>(options.timeout, from_seconds(10))));

  // No loop without a connection or a request of its own.
  int threads = std::min(options.threads, options.connections);
  if (options.requests > 0)
    threads =
        static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(threads), options.requests));

  std::mutex mutex;
  std::condition_variable changed;
  int running = threads;
  std::atomic<int64_t> measured_since{0};
  std::barrier line(threads, [&]() noexcept {
    measured_since = std::chrono::steady_clock::now().time_since_epoch().count();
  });
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < threads; ++i) {
    LoopOptions loop{.endpoint = endpoint, .tls = tls.get(), .host = options.url.host};
    loop.connections =
        static_cast<int>(share(static_cast<uint64_t>(options.connections), i, threads));
    loop.pipeline = options.pipeline;
    loop.reuse = options.keep_alive;
    loop.timeout = options.timeout;
    loop.give_up_after = options.give_up_after;
    if (options.rate > 0)
      loop.open_loop = Schedule::Options{.rate = options.rate,
                                         .arrivals = options.arrivals,
                                         .seed = options.seed,
                                         .part = i,
                                         .parts = threads};
    loop.requests = share(options.requests, i, threads);
    loop.duration = options.duration;
    loop.warmup_requests = share(options.warmup_requests, i, threads);
    loop.warmup_duration = options.warmup_duration;
    loop.first_index = static_cast<uint64_t>(i);
    loop.index_step = static_cast<uint64_t>(threads);
    loop.slo = options.slo;
    loop.errors_max = options.errors_max;
    loop.spin = options.spin;
    loop.cpu = options.first_cpu < 0 ? -1 : options.first_cpu + i;
    auto& worker = *workers.emplace_back(std::make_unique<Worker>());
    worker.thread = std::thread([&, loop] {
      name_this_thread("sis-load");
      {
        EventLoop event_loop(loop, workload, &worker.progress, stop);
        worker.status = event_loop.run([&] { line.arrive_and_wait(); }, worker.tally);
      }
      if (!worker.status.ok()) worker.tally.unsent = loop.requests;
      const std::lock_guard lock(mutex);
      --running;
      changed.notify_one();
    });
  }

  for (std::unique_lock lock(mutex); running > 0;) {
    changed.wait_for(lock, std::chrono::milliseconds(200), [&] { return running == 0; });
    if (running == 0 || !show) continue;
    lock.unlock();
    Progress progress;
    for (const auto& worker : workers) {
      progress.warming |= worker->progress.warming;
      progress.ok += worker->progress.ok.load(std::memory_order_relaxed);
      progress.failed += worker->progress.failed.load(std::memory_order_relaxed);
      progress.latency_sum_ms +=
          static_cast<double>(worker->progress.latency_us.load(std::memory_order_relaxed)) * 1e-3;
    }
    if (const int64_t since = measured_since.load(); since != 0)
      progress.elapsed_s =
          to_seconds(std::chrono::steady_clock::now().time_since_epoch() - Duration(since));
    show(progress);
    lock.lock();
  }

  RunResult result{.tally = {}, .peer = endpoint.text(), .threads = threads};
  Status first_failure;
  int reached = 0;
  for (const auto& worker : workers) {
    worker->thread.join();
    result.tally.merge(worker->tally);
    if (worker->status.ok())
      ++reached;
    else if (first_failure.ok())
      first_failure = worker->status;
  }
  if (reached == 0) return first_failure.error();
  return result;
}

}  // namespace sis::perf
