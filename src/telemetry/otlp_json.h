// Spans as the body of an OTLP/HTTP request: an ExportTraceServiceRequest in JSON.
//
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids in hexadecimal, 64-bit
// numbers as strings. Always valid JSON, whatever bytes the texts hold. Any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "telemetry/span.h"

namespace sis::telemetry {

// What all spans of a process share.
struct Resource {
  std::vector<Attribute> attributes;  // service.name, ...
  std::string scope = "sis";          // who made the spans
  std::string scope_version;
};

std::string otlp_json(const Resource& resource, std::span<const Span> spans);

}  // namespace sis::telemetry
