#include "perf/triton/gpu_metrics.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "base/thread_team.h"
#include "net/http_client.h"

namespace sis::perf {

void GpuMetrics::add(const MetricPage& page) {
  const auto each = [&](const char* name, auto&& note) {
    const auto* samples = page.find(name);
    if (samples == nullptr) return;
    for (const MetricSample& sample : *samples)
      note(gpus[std::string(sample.label("gpu_uuid"))], sample.value);
  };
  each("nv_gpu_utilization", [](GpuFigures& gpu, double value) {
    gpu.utilization_sum += value;
    ++gpu.utilization_count;
  });
  each("nv_gpu_power_usage", [](GpuFigures& gpu, double value) {
    gpu.power_sum += value;
    ++gpu.power_count;
  });
  each("nv_gpu_memory_used_bytes", [](GpuFigures& gpu, double value) {
    gpu.memory_used_max = std::max(gpu.memory_used_max, value);
  });
  each("nv_gpu_memory_total_bytes",
       [](GpuFigures& gpu, double value) { gpu.memory_total = std::max(gpu.memory_total, value); });
}

void GpuMetrics::add(const GpuMetrics& other) {
  for (const auto& [uuid, from] : other.gpus) {
    GpuFigures& to = gpus[uuid];
    to.utilization_sum += from.utilization_sum;
    to.utilization_count += from.utilization_count;
    to.power_sum += from.power_sum;
    to.power_count += from.power_count;
    to.memory_used_max = std::max(to.memory_used_max, from.memory_used_max);
    to.memory_total = std::max(to.memory_total, from.memory_total);
  }
}

Result<std::unique_ptr<GpuWatch>> GpuWatch::start(const net::Url& url, Duration every,
                                                  bool verify_tls) {
  std::unique_ptr<GpuWatch> watch(new GpuWatch(url, every, verify_tls));
  auto page = watch->scrape();
  if (!page.ok()) return prefixed("--metrics-url", page.error());
  watch->metrics_.add(*page);
  watch->thread_ = std::thread([raw = watch.get()] {
    name_this_thread("sis-gpu");
    raw->run();
  });
  return watch;
}

GpuWatch::~GpuWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<MetricPage> GpuWatch::scrape() const {
  SIS_ASSIGN(const net::FetchResponse response,
             net::fetch(url_, {.timeout = from_seconds(10),
                               .verify_tls = verify_tls_,
                               .body_bytes_max = MetricPage::kPageBytesMax}));
  if (response.status != 200)
    return Error{Code::kUnavailable, concat("GET ", url_.text(), ": status ", response.status)};
  return MetricPage::parse(response.body);
}

void GpuWatch::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, every_, [this] { return stop_; })) {
    lock.unlock();
    auto page = scrape();
    lock.lock();
    if (page.ok())
      metrics_.add(*page);
    else if (status_.ok())
      status_ = page.error();
  }
}

Result<GpuMetrics> GpuWatch::take() {
  const std::lock_guard lock(mutex_);
  if (!status_.ok()) return prefixed("--metrics-url", status_.error());
  return std::exchange(metrics_, GpuMetrics{});
}

}  // namespace sis::perf
