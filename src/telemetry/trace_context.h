// Who a request belongs to: ids of traces and spans, and the W3C headers that carry them.
//
// https://www.w3.org/TR/trace-context/: what a caller sends is hostile until it has the shape the
// recommendation wants; anything else counts as not sent, as it says, never as an error. Plain
// values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sis::telemetry {

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;  // all zeros: none

struct TraceContext {
  TraceId trace_id{};
  SpanId span_id{};
  bool sampled = false;
  std::string state;  // tracestate, "" when there is none
};

// Random, never all zeros.
TraceId make_trace_id();
SpanId make_span_id();

// Lower-case hexadecimal.
std::string to_hex(std::span<const uint8_t> bytes);

// nullopt for what is no traceparent of version 00, or of a later one that begins like it.
std::optional<TraceContext> parse_traceparent(std::string_view header);
// "00-<trace>-<span>-01"
std::string format_traceparent(const TraceContext& context);

// The members of all tracestate headers, joined; "" when one is malformed, a key comes twice, there
// are more than 32 or they are longer than 2,048 bytes.
std::string parse_tracestate(std::span<const std::string_view> headers);

// Whether a new trace belongs to the share `ratio` (0..1) that is kept. Depends on the id alone, so
// that servers with the same ratio agree.
bool keeps_trace(const TraceId& id, double ratio);

}  // namespace sis::telemetry
