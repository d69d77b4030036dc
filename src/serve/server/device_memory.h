// How much memory of the device the loaded models hold.
#pragma once

#include <cstdint>

#include "serve/server/model_pool.h"
#include "telemetry/metrics.h"

namespace sis::server {

// What the machine has, or a container may use of it; 0 when nobody says.
int64_t memory_total_bytes();

// device_memory_{used,reserved,total}_bytes: weights and caches of all models. Used counts the
// blocks of caches that sequences hold now; reserved what was taken when the models loaded. On a
// CPU the device's memory is the machine's.
class DeviceMemoryMetrics {
 public:
  explicit DeviceMemoryMetrics(telemetry::Registry& registry);
  // On a scrape, once the pool does not change any more.
  void refresh(const ModelPool& pool);

 private:
  telemetry::Gauge &used_, &reserved_, &total_;
};

}  // namespace sis::server
