// One timed piece of a trace, as OpenTelemetry means it.
//
// Plain data. Whoever fills one keeps texts short: what comes from outside is cut with
// attribute_text().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "telemetry/trace_context.h"

namespace sis::telemetry {

struct Attribute {
  using Value = std::variant<std::string, int64_t, double, bool, std::vector<std::string>>;
  const char* key;  // a literal: "http.route"
  Value value;
};

inline constexpr size_t kAttributeBytesMax = 256;

inline std::string attribute_text(std::string_view text) {
  return std::string(text.substr(0, kAttributeBytesMax));
}

enum class SpanKind : uint8_t { kInternal = 1, kServer = 2 };  // OTLP's numbers
enum class SpanStatus : uint8_t { kUnset = 0, kOk = 1, kError = 2 };

struct Span {
  TraceId trace_id{};
  SpanId span_id{};
  SpanId parent{};             // zeros: the trace begins here
  bool parent_remote = false;  // the parent is another process's
  std::string state;           // tracestate
  std::string name;
  SpanKind kind = SpanKind::kInternal;
  int64_t begin_unix_ns = 0, end_unix_ns = 0;
  std::vector<Attribute> attributes;
  SpanStatus status = SpanStatus::kUnset;
};

}  // namespace sis::telemetry
