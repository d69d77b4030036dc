#include "perf/report/html_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "perf/report/conclusion.h"
#include "perf/report/html_charts.h"
#include "perf/report/html_page.h"
#include "perf/report/html_text.h"
#include "perf/report/run_words.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

constexpr size_t kRunsOpen = 3;  // of more runs, the details are folded
constexpr size_t kErrorsShown = 200;

std::string cell(std::string_view text, std::string_view style = "") {
  return style.empty() ? concat("<td>", html_escaped(text), "</td>")
                       : concat("<td class=\"", style, "\">", html_escaped(text), "</td>");
}

std::string table(const std::string& head, const std::string& rows) {
  return concat("<div class=\"scroll\"><table><thead><tr>", head, "</tr></thead><tbody>", rows,
                "</tbody></table></div>\n");
}

std::string word_table(const Words& words) {
  std::string rows;
  for (const auto& [name, value] : words)
    rows += concat("<tr>", cell(name, "l n"), cell(value, "l"), "</tr>");
  return rows.empty()
             ? rows
             : concat("<div class=\"scroll\"><table><tbody>", rows, "</tbody></table></div>\n");
}

// "good", "warn" or "bad".
const char* verdict_style(const RunData& run) {
  if (run.verdict == "failed") return "bad";
  for (const ThresholdData& threshold : run.thresholds)
    if (!threshold.ok) return "bad";
  if (run.verdict != "valid" || run.failures > 0 || (run.stable && !*run.stable)) return "warn";
  return "good";
}

std::string capital(std::string words) {
  if (!words.empty() && words[0] >= 'a' && words[0] <= 'z')
    words[0] = static_cast<char>(words[0] - 'a' + 'A');
  return words;
}

std::string banner(const RunData& run) {
  const std::string_view style = verdict_style(run);
  const size_t missed = static_cast<size_t>(
      std::count_if(run.thresholds.begin(), run.thresholds.end(),
                    [](const ThresholdData& threshold) { return !threshold.ok; }));
  std::string out =
      concat("<div class=\"banner ", style, "\"><b class=\"mark\">",
             html_escaped(capital(run.verdict.empty() ? "no verdict" : run.verdict)), "</b>");
  if (!run.verdict_reason.empty()) out += concat(": ", html_escaped(run.verdict_reason));
  if (missed > 0)
    out += fmt::format(". <b class=\"mark\">✗ {} of {} thresholds missed</b>", missed,
                       run.thresholds.size());
  else if (!run.thresholds.empty())
    out += fmt::format(". ✓ all {} thresholds met", run.thresholds.size());
  out += "<ul>";
  for (const std::string& sentence : run_conclusions(run))
    // The banner's head has said that.
    if (run.verdict_reason.empty() || sentence.find(run.verdict_reason) == std::string::npos)
      out += concat("<li>", html_escaped(sentence), "</li>");
  return out + "</ul></div>\n";
}

std::string tile(std::string_view name, std::string_view value, std::string_view unit,
                 std::string_view style = "") {
  return fmt::format("<div class=\"tile {}\"><span>{}</span><b>{}</b> <small>{}</small></div>\n",
                     style, html_escaped(name), html_escaped(value), html_escaped(unit));
}

std::string tiles(const RunData& run) {
  std::string out = tile("Throughput", short_number(run.requests_per_s), "requests/s");
  for (const auto& [name, q] :
       {std::pair("Latency p50", 0.5), std::pair("p95", 0.95), std::pair("p99", 0.99)})
    if (const auto ms = run.latency.quantile_ms(q)) out += tile(name, short_number(*ms), "ms");
  out += tile("Failures", percent_text(run.failed_share()),
              fmt::format("{} of {}", with_commas(run.failures), with_commas(run.requests)),
              run.failures > 0 ? "bad" : "");
  if (const auto ms = run.ttft.quantile_ms(0.5))
    out += tile("First token p50", short_number(*ms), "ms");
  if (const auto ms = run.itl.quantile_ms(0.5)) out += tile("Gap p50", short_number(*ms), "ms");
  for (const auto& [name, rate] : run.rates) {
    std::string words = name;
    std::replace(words.begin(), words.end(), '_', ' ');
    out += tile(capital(words), short_number(rate), "per second");
  }
  if (run.goodput_share) out += tile("Goodput", percent_text(*run.goodput_share), "within limits");
  if (run.unsent > 0) out += tile("Never sent", with_commas(run.unsent), "requests", "bad");
  return concat("<div class=\"tiles\">", out, "</div>\n");
}

std::string charts(const RunData& run) {
  std::string out = latency_over_time_chart(run) + throughput_over_time_chart(run) +
                    percentile_chart(run) + users_over_time_chart(run);
  out += run.ttft.empty() ? distribution_chart("Latency distribution", run.latency, "c1")
                          : first_token_over_time_chart(run) + tokens_over_time_chart(run) +
                                distribution_chart("Time to first token", run.ttft, "c4") +
                                distribution_chart("Inter-token latency", run.itl, "c5") +
                                distribution_chart("Time per output token", run.tpot, "c6");
  out += server_chart(run) + http_time_chart(run);
  return out.empty() ? out : concat("<div class=\"charts\">", out, "</div>\n");
}

std::string threshold_table(const RunData& run) {
  if (run.thresholds.empty()) return {};
  std::string rows;
  for (const ThresholdData& threshold : run.thresholds)
    rows += concat("<tr>",
                   cell(threshold.ok ? "✓ met" : "✗ missed", threshold.ok ? "l n good" : "l n bad"),
                   cell(threshold.metric, "l"), cell(threshold.threshold, "l"),
                   cell(threshold.value ? short_number(*threshold.value) : "no samples"), "</tr>");
  return "<h3>Thresholds</h3>" +
         table(
             "<th class=\"l\"></th><th class=\"l\">Metric</th><th class=\"l\">Threshold</th>"
             "<th>Value</th>",
             rows);
}

std::string times_row(std::string_view name, const HistogramData& times) {
  if (times.empty()) return {};
  std::string row = concat("<tr>", cell(name, "l"), cell(with_commas(times.count)),
                           cell(short_number(times.mean_ms)), cell(short_number(times.min_ms)));
  for (const double q : {0.5, 0.9, 0.95, 0.99, 0.999, 0.9999}) {
    const auto ms = times.quantile_ms(q);
    row += cell(ms ? short_number(*ms) : "-");
  }
  return row +
         concat(cell(short_number(times.max_ms)), cell(short_number(times.stdev_ms)), "</tr>");
}

std::string times_table(const RunData& run) {
  const bool open = !run.service.empty();
  const std::string rows =
      times_row(open ? "Latency, from the intended send" : "Latency", run.latency) +
      times_row("Latency of all that were due, at least", run.latency_all_due) +
      times_row("Service, from the actual send", run.service) +
      times_row("Failed requests", run.failed) + times_row("First token", run.ttft) +
      times_row("Gap between tokens", run.itl) + times_row("Time per output token", run.tpot) +
      times_row("Connecting", run.http.connecting) +
      times_row("TLS handshake", run.http.tls_handshaking) +
      times_row("Sending", run.http.sending) +
      times_row("Waiting for the first byte", run.http.waiting) +
      times_row("Receiving", run.http.receiving) + times_row("Wait for a connection", run.waited) +
      times_row("Generator's own delay", run.late);
  if (rows.empty()) return {};
  return "<h3>Times in ms</h3>" +
         table(
             "<th class=\"l\"></th><th>count</th><th>mean</th><th>min</th><th>p50</th><th>p90</th>"
             "<th>p95</th><th>p99</th><th>p99.9</th><th>p99.99</th><th>max</th><th>deviation</th>",
             rows);
}

std::string parts_table(const RunData& run) {
  if (run.parts.empty()) return {};
  std::string rows;
  for (const PartData& part : run.parts) {
    rows += concat("<tr>", cell(part.name, "l"), cell(with_commas(part.requests)),
                   cell(short_number(part.requests_per_s)));
    rows += cell(part.latency.empty() ? "-" : short_number(part.latency.mean_ms));
    for (const double q : {0.5, 0.95, 0.99}) {
      const auto ms = part.latency.quantile_ms(q);
      rows += cell(ms ? short_number(*ms) : "-");
    }
    rows += cell(part.latency.empty() ? "-" : short_number(part.latency.max_ms));
    rows += cell(percent_text(part.requests > 0 ? static_cast<double>(part.failures) /
                                                      static_cast<double>(part.requests)
                                                : 0),
                 part.failures > 0 ? "bad" : "") +
            "</tr>";
  }
  return "<h3>Parts of the mix</h3>" + table(
                                           "<th class=\"l\">Part</th><th>requests</th><th>per "
                                           "second</th><th>mean ms</th><th>p50</th>"
                                           "<th>p95</th><th>p99</th><th>max</th><th>failed</th>",
                                           rows);
}

std::string errors(const RunData& run) {
  std::string out, rows;
  for (const auto& [message, count] : run.error_counts)
    rows += concat("<tr>", cell(with_commas(count), "n"), cell(message, "l"), "</tr>");
  if (!rows.empty())
    out += "<h3>Errors</h3>" + table("<th>count</th><th class=\"l\">Message</th>", rows);
  Words kinds;
  for (const auto& [kind, count] : run.failures_by_kind)
    kinds.emplace_back(concat("Failed: ", kind), with_commas(count));
  for (const auto& [status, count] : run.statuses)
    kinds.emplace_back(status == "0" ? "Other statuses" : concat("Status ", status),
                       with_commas(count));
  if (run.failures > 0) out += word_table(kinds);
  if (run.errors.size() > 1) {
    rows.clear();
    for (size_t i = 0; i < std::min(run.errors.size(), kErrorsShown); ++i)
      rows += concat("<tr>", cell(with_commas(run.errors[i].request)),
                     cell(fmt::format("{:.3f}", run.errors[i].at_s)),
                     cell(run.errors[i].message, "l"), "</tr>");
    out += concat("<details><summary>The first ", std::min(run.errors.size(), kErrorsShown),
                  " errors one by one</summary>",
                  table("<th>request</th><th>at s</th><th class=\"l\">Message</th>", rows),
                  "</details>");
  }
  return out;
}

std::string server_tables(const RunData& run) {
  std::string out;
  for (const ServerData& server : run.servers) {
    Words words = server.words;
    for (const auto& [name, value] : server.facts) words.emplace_back(name, short_number(value));
    if (words.empty()) continue;
    out += concat("<h3>The server's own figures",
                  server.kind.empty() ? "" : concat(": ", html_escaped(server.kind)), "</h3>",
                  word_table(words));
  }
  return out;
}

Words totals(const RunData& run) {
  Words out;
  out.emplace_back("Wall time", concat(short_number(run.wall_s), " s"));
  out.emplace_back("Good answers", with_commas(run.successes));
  out.emplace_back("Bytes sent", with_commas(run.bytes_out));
  out.emplace_back("Bytes received", with_commas(run.bytes_in));
  out.emplace_back("Connections made", with_commas(run.connects));
  if (run.connect_failures > 0)
    out.emplace_back("Connections failed", with_commas(run.connect_failures));
  if (run.resent > 0) out.emplace_back("Sent again", with_commas(run.resent));
  if (run.abandoned > 0) out.emplace_back("Dropped in flight", with_commas(run.abandoned));
  if (run.generator_cpu_share)
    out.emplace_back("Generator's busiest thread", percent_text(*run.generator_cpu_share));
  return out;
}

std::string run_body(const RunData& run) {
  std::string out = banner(run);
  if (!run.measured) return out + word_table(configuration_words(run));
  out += tiles(run) + charts(run) + threshold_table(run) + parts_table(run) + errors(run) +
         times_table(run) + server_tables(run);
  out += concat("<div class=\"cols\"><div><h3>Configuration</h3>",
                word_table(configuration_words(run)), "</div><div><h3>Totals</h3>",
                word_table(totals(run)), "</div></div>\n");
  return out;
}

std::string sweep(const Report& report) {
  if (!report.is_sweep()) return {};
  const bool rates = report.runs.front().level_rate.has_value();
  std::string rows, said;
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    rows += concat("<tr>", cell(count_text(run.level().value_or(0))),
                   cell(short_number(run.requests_per_s)));
    for (const double q : {0.5, 0.9, 0.95, 0.99}) {
      const auto ms = run.latency_to_judge().quantile_ms(q);
      rows += cell(ms ? short_number(*ms) : "-");
    }
    rows += concat(cell(percent_text(run.failed_share()), run.failures > 0 ? "bad" : ""),
                   cell(concat(run.verdict, run.stable && !*run.stable ? ", not stable" : ""), "l"),
                   "</tr>");
  }
  for (const std::string& sentence : sweep_conclusions(report))
    said += concat("<li>", html_escaped(sentence), "</li>");
  return concat("<h2>Levels</h2>", said.empty() ? "" : concat("<ul>", said, "</ul>"),
                "<div class=\"charts\">", sweep_chart(report), sweep_throughput_chart(report),
                "</div>",
                table(concat("<th>", rates ? "Wanted requests/s" : "Concurrency",
                             "</th><th>requests/s</th><th>p50 ms</th><th>p90</th><th>p95</th>"
                             "<th>p99</th><th>failed</th><th class=\"l\">Verdict</th>"),
                      rows));
}

// Runs of one document that are no sweep: one line each.
std::string overview(const Report& report) {
  if (report.is_sweep() || report.runs.size() < 2) return {};
  std::string rows;
  for (const RunData& run : report.runs) {
    rows += concat("<tr>", cell(run.title(), "l"), cell(with_commas(run.requests)),
                   cell(short_number(run.requests_per_s)));
    for (const double q : {0.5, 0.95, 0.99}) {
      const auto ms = run.latency_to_judge().quantile_ms(q);
      rows += cell(ms ? short_number(*ms) : "-");
    }
    rows += concat(cell(percent_text(run.failed_share()), run.failures > 0 ? "bad" : ""),
                   cell(run.verdict, "l"), "</tr>");
  }
  return "<h2>Runs</h2>" + table(
                               "<th class=\"l\">Run</th><th>requests</th><th>per "
                               "second</th><th>p50 ms</th><th>p95</th>"
                               "<th>p99</th><th>failed</th><th class=\"l\">Verdict</th>",
                               rows);
}

}  // namespace

std::string html_report(const Report& report) {
  const std::string name =
      report.runs.size() == 1
          ? report.runs.front().title()
          : (report.runs.empty() ? "no runs" : fmt::format("{} runs", report.runs.size()));
  const std::string title = concat("Load test: ", name);
  std::string body = concat("<header><h1>", html_escaped(title), "</h1>\n<p class=\"sub\">");
  if (!report.runs.empty()) body += concat(html_escaped(report.runs.front().url), " · ");
  body += concat(html_escaped(report.started), "</p>\n");
  if (!report.command.empty())
    body += concat("<p class=\"sub\"><code>", html_escaped(report.command), "</code></p>\n");
  body += "</header>\n<main>\n" + sweep(report) + overview(report);
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    if (report.runs.size() == 1) {
      body += run_body(run);
    } else if (report.runs.size() <= kRunsOpen) {
      body += concat("<h2>", html_escaped(run.title()), "</h2>\n", run_body(run));
    } else {
      body += concat("<details><summary>", html_escaped(run.title()), "</summary>\n", run_body(run),
                     "</details>\n");
    }
  }
  if (report.runs.empty()) body += "<p>This document has no runs.</p>";
  const Words machine = machine_words(report);
  if (!machine.empty()) body += "<h2>Load generator</h2>" + word_table(machine);
  body += "</main>\n";
  body +=
      concat("<footer>", html_escaped(report.tool), " ", html_escaped(report.version),
             ". Latency counts from the moment a request should have been sent; percentiles are "
             "those of good answers.</footer>\n");
  return html_page(title, body);
}

}  // namespace sis::perf
