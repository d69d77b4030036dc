// Which requests are traced, and where their spans go.
//
// The caller's decision stands when it sent one (parent-based); of traces that begin here the share
// `ratio` is kept. Without an exporter nothing is recorded, but every request still has its ids, so
// that its log lines can be found, and the caller's decision is passed on as it came. Any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "telemetry/span_exporter.h"
#include "telemetry/trace_context.h"

namespace sis::telemetry {

class Tracer {
 public:
  Tracer() = default;  // off
  // `exporter` may be null (off), else outlives the tracer.
  Tracer(double ratio, SpanExporter* exporter) : ratio_(ratio), exporter_(exporter) {}

  bool on() const { return exporter_ != nullptr; }

  struct Begun {
    TraceContext own;     // of the request's own span
    SpanId parent{};      // the caller's span; zeros: none
    bool record = false;  // its spans are wanted
  };
  // What the request's headers say. More than one traceparent counts as none.
  Begun begin(std::span<const std::string_view> traceparents,
              std::span<const std::string_view> tracestates) const {
    Begun begun;
    auto parent = traceparents.size() == 1 ? parse_traceparent(traceparents[0]) : std::nullopt;
    if (parent) {
      begun.parent = parent->span_id;
      begun.own = std::move(*parent);
      begun.own.state = parse_tracestate(tracestates);
    } else {
      begun.own.trace_id = make_trace_id();
      begun.own.sampled = on() && keeps_trace(begun.own.trace_id, ratio_);
    }
    begun.own.span_id = make_span_id();
    begun.record = on() && begun.own.sampled;
    return begun;
  }

  void finish(std::vector<Span> spans) const {
    if (exporter_) exporter_->offer(std::move(spans));
  }

 private:
  double ratio_ = 0;
  SpanExporter* exporter_ = nullptr;
};

}  // namespace sis::telemetry
