#include "serve/server/tracing.h"

#include <unistd.h>

#include "base/check.h"
#include "base/strings.h"
#include "serve/server/otlp_transport.h"
#include "version.h"

namespace sis::server {
namespace {

constexpr uint16_t kOtlpGrpcPort = 4317;

bool wanted(const Settings& settings) {
  return settings.flag("ENABLE_TRACING") && !settings.text("OTLP_ENDPOINT").empty();
}

// https://opentelemetry.io/docs/specs/semconv/resource/
telemetry::Resource resource(const Settings& settings) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::string& service = settings.text("SERVICE_NAME");
  return {.attributes = {{"service.name", service.empty() ? "sis" : service},
                         {"service.version", std::string(SIS_VERSION)},
                         {"service.instance.id", telemetry::to_hex(telemetry::make_trace_id())},
                         {"host.name", std::string(host)},
                         {"process.pid", static_cast<int64_t>(getpid())},
                         {"telemetry.sdk.name", "sis"},
                         {"telemetry.sdk.language", "cpp"},
                         {"telemetry.sdk.version", std::string(SIS_VERSION)}},
          .scope = "sis",
          .scope_version = SIS_VERSION};
}

}  // namespace

Status check_tracing(const Settings& settings) {
  if (!wanted(settings)) return {};
  const auto url = otlp_traces_url(settings.text("OTLP_ENDPOINT"));
  if (url.ok()) return {};
  return Error{
      Code::kInvalidArgument,
      concat("OTLP_ENDPOINT (", settings.source_of("OTLP_ENDPOINT"), "): ", url.error().message)};
}

Tracing::Tracing(const Settings& settings, telemetry::Registry& registry,
                 const telemetry::Logger& log) {
  if (!wanted(settings)) return;
  const auto url = otlp_traces_url(settings.text("OTLP_ENDPOINT"));
  SIS_CHECK(url.ok(), url.error().message);
  const double ratio = settings.number("TRACE_SAMPLE_RATIO");
  if (url->port == kOtlpGrpcPort)
    log.warning("tracing", {{"endpoint", url->text()},
                            {"warning",
                             "port 4317 usually is a collector's gRPC port; spans are sent as OTLP "
                             "over HTTP, which collectors take on port 4318"}});
  log.info("tracing", {{"endpoint", url->text()}, {"sample_ratio", ratio}});
  exporter_ =
      std::make_unique<telemetry::SpanExporter>(telemetry::SpanExportOptions(), resource(settings),
                                                otlp_transport(*url), log.named("sis.trace"));
  tracer_ = telemetry::Tracer(ratio, exporter_.get());
  add_metrics(registry);
}

void Tracing::add_metrics(telemetry::Registry& registry) {
  using Samples = std::vector<telemetry::Sample>;
  const auto* exporter = exporter_.get();
  const auto number = [](auto count) { return static_cast<double>(count); };
  metrics_ = {
      registry.counter_callback("trace_spans_sent_total", "Spans that the collector took.", {},
                                [=] {
                                  return Samples{{{}, number(exporter->counts().sent)}};
                                }),
      registry.counter_callback("trace_spans_dropped_total", "Spans that were lost, and why.",
                                {"reason"},
                                [=] {
                                  const auto counts = exporter->counts();
                                  return Samples{{{"queue_full"}, number(counts.queue_full)},
                                                 {{"unreachable"}, number(counts.failed)},
                                                 {{"refused"}, number(counts.refused)}};
                                }),
      registry.counter_callback("trace_export_retries_total",
                                "Portions of spans that were sent again.", {},
                                [=] {
                                  return Samples{{{}, number(exporter->counts().retries)}};
                                }),
      registry.gauge_callback("trace_queue_spans", "Spans that wait to be sent.", {}, [=] {
        return Samples{{{}, number(exporter->counts().queued)}};
      })};
}

}  // namespace sis::server
