#include "telemetry/exposition.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/strings.h"
#include "telemetry/metrics.h"

namespace sis::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void append_number(std::string& out, double value) {
  if (std::isnan(value))
    out += "NaN";
  else if (std::isinf(value))
    out += value > 0 ? "+Inf" : "-Inf";
  else
    fmt::format_to(std::back_inserter(out), "{}", value);
}

void append_escaped(std::string& out, const std::string& text) {
  for (const char c : text) {
    if (c == '\\' || c == '"')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

void append_sample(std::string& out, std::string_view name, const ClientMetric& metric,
                   double value, const double* le = nullptr) {
  out += name;
  if (!metric.label.empty() || le) {
    out += '{';
    bool first = true;
    for (const auto& label : metric.label) {
      if (!std::exchange(first, false)) out += ',';
      out += label.name;
      out += "=\"";
      append_escaped(out, label.value);
      out += '"';
    }
    if (le) {
      out += first ? "le=\"" : ",le=\"";
      append_number(out, *le);
      out += '"';
    }
    out += '}';
  }
  out += ' ';
  append_number(out, value);
  out += '\n';
}

void append_family(std::string& out, const MetricFamily& family) {
  std::string name = family.name;
  const char* type = family.type == MetricType::Counter     ? "counter"
                     : family.type == MetricType::Histogram ? "histogram"
                                                            : "gauge";
  // A counter family goes by the name without _total; its samples have it.
  if (family.type == MetricType::Counter && name.ends_with("_total")) name.resize(name.size() - 6);
  out += concat("# TYPE ", name, " ", type, "\n# HELP ", name, " ");
  append_escaped(out, family.help);
  out += '\n';
  for (const auto& metric : family.metric) {
    switch (family.type) {
      case MetricType::Counter:
        append_sample(out, name + "_total", metric, metric.counter.value);
        break;
      case MetricType::Histogram:
        for (const auto& bucket : metric.histogram.bucket)
          append_sample(out, name + "_bucket", metric, static_cast<double>(bucket.cumulative_count),
                        &bucket.upper_bound);
        append_sample(out, name + "_sum", metric, metric.histogram.sample_sum);
        append_sample(out, name + "_count", metric,
                      static_cast<double>(metric.histogram.sample_count));
        break;
      default:
        append_sample(out, name, metric, metric.gauge.value);
    }
  }
}

// The weight of one entry of an Accept header, 1 when it names none or a broken one.
double quality(const std::vector<std::string>& parts) {
  for (size_t i = 1; i < parts.size(); ++i) {
    const auto parameter = trim(parts[i]);
    if (parameter.starts_with("q=") || parameter.starts_with("Q="))
      return parse_double(parameter.substr(2)).value_or(1.0);
  }
  return 1.0;
}

}  // namespace

bool accepts_openmetrics(std::string_view accept) {
  double openmetrics = 0, plain = 0;
  for (const auto& item : split_list(accept.substr(0, 4096))) {
    const auto parts = split(item, ';');
    const auto type = trim(parts[0]);
    if (iequals(type, "application/openmetrics-text"))
      openmetrics = std::max(openmetrics, quality(parts));
    else if (iequals(type, "text/plain") || iequals(type, "text/*"))
      plain = std::max(plain, quality(parts));
  }
  return openmetrics > 0 && openmetrics >= plain;
}

std::string openmetrics_text(const std::vector<MetricFamily>& families) {
  std::string out;
  for (const auto& family : families) append_family(out, family);
  return out + "# EOF\n";
}

}  // namespace sis::telemetry
