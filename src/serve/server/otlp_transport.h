// Brings spans to an OpenTelemetry collector: OTLP over HTTP, JSON.
//
// One POST per portion on a connection of its own.
// https://opentelemetry.io/docs/specs/otlp/#otlphttp
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/http_client_url.h"
#include "telemetry/span_exporter.h"

namespace sis::server {

// Where an endpoint as users write it takes traces: "http://host:4318" and ".../" get "/v1/traces",
// a path that ends so stays as it is. kInvalidArgument says what is wrong with the URL.
Result<net::Url> otlp_traces_url(const std::string& endpoint);

// What an answer of the collector means.
telemetry::SpanTransport::Answer read_otlp_answer(int status, const std::string& body);

std::unique_ptr<telemetry::SpanTransport> otlp_transport(net::Url url);

}  // namespace sis::server
