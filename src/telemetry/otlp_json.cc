#include "telemetry/otlp_json.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "telemetry/json_text.h"

namespace sis::telemetry {
namespace {

// W3C's sampled bit, and OTLP's two that tell whether the parent is remote.
constexpr int kSampled = 1, kKnowsRemote = 0x100, kRemote = 0x200;

struct ValueWriter {
  std::string& out;

  void operator()(const std::string& text) const {
    out += R"({"stringValue":)";
    append_json_string(out, text);
    out += '}';
  }
  void operator()(int64_t number) const {
    fmt::format_to(std::back_inserter(out), R"({{"intValue":"{}"}})", number);
  }
  void operator()(double number) const {
    if (std::isfinite(number))
      fmt::format_to(std::back_inserter(out), R"({{"doubleValue":{}}})", number);
    else
      (*this)(fmt::to_string(number));  // JSON has no infinity and no NaN
  }
  void operator()(bool flag) const {
    out += flag ? R"({"boolValue":true})" : R"({"boolValue":false})";
  }
  void operator()(const std::vector<std::string>& texts) const {
    out += R"({"arrayValue":{"values":[)";
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) out += ',';
      (*this)(texts[i]);
    }
    out += "]}}";
  }
};

void append_attributes(std::string& out, const std::vector<Attribute>& attributes) {
  out += R"("attributes":[)";
  for (size_t i = 0; i < attributes.size(); ++i) {
    out += i > 0 ? R"(,{"key":)" : R"({"key":)";
    append_json_string(out, attributes[i].key);
    out += R"(,"value":)";
    std::visit(ValueWriter{out}, attributes[i].value);
    out += '}';
  }
  out += ']';
}

void append_span(std::string& out, const Span& span) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, R"({{"traceId":"{}","spanId":"{}",)", to_hex(span.trace_id),
                 to_hex(span.span_id));
  if (span.parent != SpanId{}) fmt::format_to(to, R"("parentSpanId":"{}",)", to_hex(span.parent));
  if (!span.state.empty()) {
    out += R"("traceState":)";
    append_json_string(out, span.state);
    out += ',';
  }
  out += R"("name":)";
  append_json_string(out, span.name);
  fmt::format_to(to, R"(,"kind":{},"flags":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}",)",
                 static_cast<int>(span.kind),
                 kSampled | kKnowsRemote | (span.parent_remote ? kRemote : 0), span.begin_unix_ns,
                 span.end_unix_ns);
  append_attributes(out, span.attributes);
  if (span.status == SpanStatus::kUnset)
    out += R"(,"status":{}})";
  else
    fmt::format_to(to, R"(,"status":{{"code":{}}}}})", static_cast<int>(span.status));
}

}  // namespace

std::string otlp_json(const Resource& resource, std::span<const Span> spans) {
  std::string out;
  out.reserve(512 + spans.size() * 512);
  out += R"({"resourceSpans":[{"resource":{)";
  append_attributes(out, resource.attributes);
  out += R"(},"scopeSpans":[{"scope":{"name":)";
  append_json_string(out, resource.scope);
  out += R"(,"version":)";
  append_json_string(out, resource.scope_version);
  out += R"(},"spans":[)";
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0) out += ',';
    append_span(out, spans[i]);
  }
  return out + "]}]}]}";
}

}  // namespace sis::telemetry
