#include "serve/server/device_memory.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace sis::server {
namespace {

telemetry::Gauge& cpu_gauge(telemetry::Registry& registry, const char* name, const char* help) {
  return registry.gauges(name, help, {"device", "type"}).with({"cpu", "cpu"});
}

}  // namespace

int64_t memory_total_bytes() {
  int64_t total = 0;
  std::ifstream info("/proc/meminfo");
  for (std::string key; info >> key;) {
    int64_t kib = 0;
    if (key == "MemTotal:" && info >> kib) total = kib << 10;
    info.ignore(1000, '\n');
  }
  int64_t limit = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0)
    total = total > 0 ? std::min(total, limit) : limit;
  return total;
}

DeviceMemoryMetrics::DeviceMemoryMetrics(telemetry::Registry& registry)
    : used_(cpu_gauge(registry, "device_memory_used_bytes",
                      "Weights, and caches as far as sequences hold them.")),
      reserved_(cpu_gauge(registry, "device_memory_reserved_bytes",
                          "Weights and whole caches of the loaded models.")),
      total_(cpu_gauge(registry, "device_memory_total_bytes", "Memory of the device.")) {
  total_.set(static_cast<double>(memory_total_bytes()));
}

void DeviceMemoryMetrics::refresh(const ModelPool& pool) {
  double weights = 0, caches = 0, caches_used = 0;
  for (const auto& entry : pool.embedders())
    weights += static_cast<double>(entry.service->model().encoder->info().weights_bytes);
  for (const auto& entry : pool.chats()) {
    const auto gauges = entry->generator->gauges();
    const auto bytes = static_cast<double>(entry->cache.bytes);
    weights += static_cast<double>(entry->model.decoder->info().weights_bytes);
    caches += bytes;
    if (gauges.blocks_total > 0)
      caches_used += bytes * gauges.blocks_used / static_cast<double>(gauges.blocks_total);
  }
  used_.set(weights + caches_used);
  reserved_.set(weights + caches);
}

}  // namespace sis::server
