// Traces as the settings want them: where spans go, how many are kept, and the metrics that tell
// whether they get there.
#pragma once

#include <memory>
#include <vector>

#include "base/settings.h"
#include "telemetry/metrics.h"
#include "telemetry/tracer.h"

namespace sis::server {

// Whether OTLP_ENDPOINT is one that spans can be sent to; the error names the setting.
Status check_tracing(const Settings& settings);

class Tracing {
 public:
  // On as soon as there is an endpoint, which check_tracing() has seen, unless ENABLE_TRACING says
  // no. `registry` outlives it.
  Tracing(const Settings& settings, telemetry::Registry& registry, const telemetry::Logger& log);
  // Flushes, within some seconds.
  ~Tracing() = default;
  Tracing(const Tracing&) = delete;

  const telemetry::Tracer& tracer() const { return tracer_; }

 private:
  void add_metrics(telemetry::Registry& registry);

  std::unique_ptr<telemetry::SpanExporter> exporter_;  // null: off
  telemetry::Tracer tracer_;
  std::vector<std::shared_ptr<void>> metrics_;  // they read the exporter: gone before it is
};

}  // namespace sis::server
