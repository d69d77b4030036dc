#include "perf/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/report/engine_json.h"
#include "perf/report/generation.h"
#include "perf/report/histogram_text.h"
#include "perf/report/shown_url.h"
#include "perf/report/terminal.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

double per_second(uint64_t count, double wall_s) {
  return wall_s > 0 ? static_cast<double>(count) / wall_s : 0;
}

struct Rates {
  double wall_s = 0, requests = 0, items = 0, tokens = 0, amount = 0;
};

// With a sending window only what was answered inside it counts; otherwise everything.
Rates rates(const Tally& tally) {
  const bool window = tally.window_end != TimePoint{};
  Rates out{.wall_s = tally.wall_s()};
  out.requests = per_second(window ? tally.ok_in_window : tally.ok, out.wall_s);
  out.items = per_second(window ? tally.items_in_window : tally.items, out.wall_s);
  out.amount = out.wall_s > 0 ? (window ? tally.amount_in_window : tally.amount) / out.wall_s : 0.0;
  out.tokens = per_second(window ? tally.prompt_tokens_in_window : tally.prompt_tokens, out.wall_s);
  return out;
}

std::string bytes_text(uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value < 1e3) return concat(bytes, " B");
  if (value < 1e6) return concat(short_number(value / 1e3), " kB");
  if (value < 1e9) return concat(short_number(value / 1e6), " MB");
  return concat(short_number(value / 1e9), " GB");
}

std::string faults_text(const Tally& tally) {
  std::string out;
  for (size_t i = 0; i < kFaults; ++i)
    if (tally.faults[i] > 0)
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", fault_name(static_cast<Fault>(i)),
                         with_commas(tally.faults[i]));
  std::string statuses;
  for (size_t code = 0; code < tally.statuses.size(); ++code)
    if (tally.statuses[code] > 0 && (code < 200 || code >= 400))
      statuses += fmt::format("{}{}: {}", statuses.empty() ? "" : ", ", code,
                              with_commas(tally.statuses[code]));
  if (!statuses.empty()) out += concat("; by status ", statuses);
  return out;
}

std::string load_text(const RunOptions& options) {
  std::string out =
      options.is_open() ? fmt::format("open loop, {}, up to {} connections", rate_text(options),
                                      options.connections)
      : options.users.empty()
          ? fmt::format("{}", options.connections)
          : fmt::format("up to {} users over {} stage{}", short_number(options.users.highest()),
                        options.users.stages.size(), options.users.stages.size() == 1 ? "" : "s");
  if (options.think_max > Duration{})
    out += fmt::format(", thinking {:g} to {:g} s between requests", to_seconds(options.think_min),
                       to_seconds(options.think_max));
  if (options.pipeline > 1) out += concat(", ", options.pipeline, " pipelined on each");
  if (!options.keep_alive) out += ", a connection per request";
  return out;
}

}  // namespace

std::string summary_text(const RunLabel& label, const RunOptions& options, const RunResult& result,
                         bool verbose) {
  const Tally& tally = result.tally;
  const Rates rate = rates(tally);
  std::string out;
  const auto line = [&](std::string_view name, const std::string& value) {
    out += fmt::format("{:<12} {}\n", name.empty() ? std::string() : concat(name, ":"), value);
  };

  line(label.what, label.model.empty()
                       ? shown_url(options.url.text())
                       : concat(printable(label.model), " at ", shown_url(options.url.text())));
  if (!label.load.empty()) line("load", label.load);
  line("requests",
       with_commas(tally.ok + tally.failed) +
           (tally.unsent > 0 ? concat(" (", with_commas(tally.unsent), " more not sent)") : ""));
  line("concurrency", load_text(options));
  line("successes", with_commas(tally.ok));
  line("failures",
       with_commas(tally.failed) + (tally.failed > 0 ? concat(" (", faults_text(tally), ")") : ""));
  line("429", with_commas(tally.statuses[429]));
  if (tally.connect_failures > 0 || tally.resent > 0)
    line("connections",
         fmt::format("{} made, {} attempts failed, {} requests sent again after the server closed",
                     with_commas(tally.connects), with_commas(tally.connect_failures),
                     with_commas(tally.resent)));
  if (!tally.latency.empty()) {
    line("latency ms",
         histogram_text(tally.latency) + (options.is_open() ? "  (from the intended send)" : ""));
    if (!tally.unsent_waited.empty())
      line("all due ms", fmt::format("{}  (at least: with {} never sent)",
                                     histogram_text(tally.latency_all_due()),
                                     with_commas(tally.unsent_waited.count())));
    if (options.is_open())
      line("service ms", histogram_text(tally.service) + "  (from the actual send)");
    if (options.is_open()) {
      const ScheduleFigures schedule = schedule_figures(tally);
      line("schedule",
           fmt::format(
               "{} due, {} sent; sends late: p50 {}  p99 {}  max {} ms; waited for a "
               "connection: p99 {}  max {} ms",
               with_commas(schedule.due), with_commas(schedule.sent),
               short_number(tally.late.quantile_ms(0.5)),
               short_number(tally.late.quantile_ms(0.99)), short_number(tally.late.max_ms()),
               short_number(tally.waited.quantile_ms(0.99)), short_number(tally.waited.max_ms())));
      if (!tally.unsent_waited.empty())
        line("unsent", fmt::format("{} were due and never sent; when sending ended they had "
                                   "waited: p50 {}  p99 {}  max {} ms",
                                   with_commas(tally.unsent_waited.count()),
                                   short_number(tally.unsent_waited.quantile_ms(0.5)),
                                   short_number(tally.unsent_waited.quantile_ms(0.99)),
                                   short_number(tally.unsent_waited.max_ms())));
    }
  }
  if (label.generates) generation_time_lines(tally, options, line);
  if (!tally.failed_latency.empty() && tally.failed > 0)
    line("failed ms", histogram_text(tally.failed_latency));
  line("wall", fmt::format("{} s", short_number(rate.wall_s)));
  std::string throughput = fmt::format("{} requests/s", short_number(rate.requests));
  if (!label.items_name.empty())
    throughput += fmt::format(", {} {}/s", short_number(rate.items), label.items_name);
  if (!label.amount_name.empty())
    throughput += fmt::format(", {} {}/s", short_number(rate.amount), label.amount_name);
  line("throughput", throughput);
  if (label.counts_cache_hits)
    line("cache hits", tally.answers_with_cache == 0
                           ? std::string("unknown: no answer said")
                           : fmt::format("{:.1f} % of {} answers",
                                         100.0 * static_cast<double>(tally.cache_hits) /
                                             static_cast<double>(tally.answers_with_cache),
                                         with_commas(tally.answers_with_cache)));
  if (label.generates) generation_rate_lines(tally, options, line);
  if (label.counts_tokens && !label.generates && tally.ok > 0) {
    if (tally.answers_with_prompt_tokens == 0)
      line("tokens", "unknown: no answer had usage.prompt_tokens");
    else
      line("tokens",
           fmt::format("{} tokens/s, {} in all{}", short_number(rate.tokens),
                       with_commas(tally.prompt_tokens),
                       tally.answers_with_prompt_tokens < tally.ok
                           ? fmt::format(" (only {} of {} answers had usage.prompt_tokens)",
                                         with_commas(tally.answers_with_prompt_tokens),
                                         with_commas(tally.ok))
                           : ""));
  }
  line("bytes", concat(bytes_text(tally.bytes_out), " out, ", bytes_text(tally.bytes_in), " in"));
  if (!tally.errors.empty()) line("first error", printable(tally.errors.front().message));
  if (tally.messages.size() + (tally.other_messages > 0 ? 1 : 0) > 1) {
    for (const auto& [message, count] : tally.messages)
      line("", fmt::format("{} x {}", with_commas(count), printable(message)));
    if (tally.other_messages > 0) line("", concat(with_commas(tally.other_messages), " x others"));
  }
  if (verbose)
    for (const auto& error : tally.errors)
      line("error", fmt::format("request {} at {:.3f} s: {}", error.request, error.at_s,
                                printable(error.message)));
  for (size_t i = 0; i < result.parts.size(); ++i) {
    const Tally& part = result.parts[i];
    line(i == 0 ? "parts" : "",
         fmt::format("{}: {} requests, {} failures, {}", result.part_names[i],
                     with_commas(part.ok + part.failed), with_commas(part.failed),
                     part.latency.empty() ? "no good answer" : histogram_text(part.latency)));
  }
  if (result.stop_rule)
    line("stop rule",
         concat(result.stop_rule->rule,
                result.stop_rule->met ? " met: " : " not met: ", result.stop_rule->detail));
  const Verdict verdict = judge_run(options, result);
  line("verdict", concat(verdict_name(verdict.kind), ": ", verdict.reason));
  return out;
}

Json summary_json(const RunLabel& label, const RunOptions& options, const RunResult& result) {
  const Tally& tally = result.tally;
  const Rates rate = rates(tally);
  Json out;
  out["what"] = label.what;
  if (!label.model.empty()) out["model"] = label.model;
  out["url"] = shown_url(options.url.text());
  out["peer"] = result.peer;
  out["load"] = label.load;
  out["loop"] = options.is_open() ? "open" : "closed";
  out["connections"] = options.connections;
  out["threads"] = result.threads;
  out["pipeline"] = options.pipeline;
  out["keep_alive"] = options.keep_alive;
  if (options.is_open()) {
    out["rate"] = options.rate;
    out["arrivals"] = options.arrivals == Arrivals::kPoisson ? "poisson" : "constant";
  }
  out["seed"] = options.seed;
  out["timeout_s"] = to_seconds(options.timeout);
  out["requests_wanted"] = options.requests;
  out["duration_wanted_s"] = to_seconds(options.duration);
  out["warmup_requests"] = options.warmup_requests;
  out["warmup_s"] = to_seconds(options.warmup_duration);

  out["requests"] = tally.ok + tally.failed;
  out["successes"] = tally.ok;
  out["failures"] = tally.failed;
  out["status_429"] = tally.statuses[429];
  Json faults = Json::object(), statuses = Json::object();
  for (size_t i = 0; i < kFaults; ++i) faults[fault_name(static_cast<Fault>(i))] = tally.faults[i];
  for (size_t code = 0; code < tally.statuses.size(); ++code)
    if (tally.statuses[code] > 0) statuses[std::to_string(code)] = tally.statuses[code];
  out["failures_by_kind"] = std::move(faults);
  out["statuses"] = std::move(statuses);
  out["unsent"] = tally.unsent;
  out["abandoned"] = tally.abandoned;
  out["connects"] = tally.connects;
  out["connect_failures"] = tally.connect_failures;
  out["resent"] = tally.resent;

  out["wall_s"] = rate.wall_s;
  out["requests_per_s"] = rate.requests;
  if (!label.items_name.empty()) {
    out[label.items_name] = tally.items;
    out[label.items_name + "_per_s"] = rate.items;
  }
  if (!label.amount_name.empty()) {
    out[label.amount_name] = tally.amount;
    out[label.amount_name + "_per_s"] = rate.amount;
  }
  if (label.counts_cache_hits) {
    out["answers_with_cache"] = tally.answers_with_cache;
    out["cache_hits"] = tally.answers_with_cache > 0 ? Json(tally.cache_hits) : Json(nullptr);
    out["cache_hit_rate"] = tally.answers_with_cache > 0
                                ? Json(static_cast<double>(tally.cache_hits) /
                                       static_cast<double>(tally.answers_with_cache))
                                : Json(nullptr);
  }
  if (label.counts_tokens) {
    out["prompt_tokens"] =
        tally.answers_with_prompt_tokens > 0 ? Json(tally.prompt_tokens) : Json(nullptr);
    out["prompt_tokens_per_s"] =
        tally.answers_with_prompt_tokens > 0 ? Json(rate.tokens) : Json(nullptr);
    out["answers_with_usage"] = tally.answers_with_prompt_tokens;
  }
  if (label.generates) add_generation_json(tally, options, out);
  out["bytes_out"] = tally.bytes_out;
  out["bytes_in"] = tally.bytes_in;
  out["latency_ms"] = histogram_json(tally.latency, true);
  if (options.is_open()) {
    out["service_ms"] = histogram_json(tally.service, true);
    out["late_ms"] = histogram_json(tally.late, false);
    out["waited_for_connection_ms"] = histogram_json(tally.waited, false);
    if (!tally.unsent_waited.empty()) {
      out["unsent_waited_ms"] = histogram_json(tally.unsent_waited, true);
      if (!tally.latency.empty())
        out["latency_all_due_ms"] = histogram_json(tally.latency_all_due(), true);
    }
  }
  out["failed_latency_ms"] = histogram_json(tally.failed_latency, true);
  out["read_delay_max_ms"] = histogram_json(tally.poll_delay, false);

  add_engine_json(options, result, out);

  Json generator;
  generator["cpu_s"] = tally.cpu_s;
  generator["cpu_wait_s"] = tally.cpu_wait_s;
  generator["busiest_thread_share"] = tally.cpu_share_max;
  out["generator"] = std::move(generator);
  const Verdict verdict = judge_run(options, result);
  out["verdict"] = verdict_name(verdict.kind);
  out["verdict_reason"] = verdict.reason;

  Json messages = Json::object(), errors = Json::array(), timeline = Json::array();
  for (const auto& [message, count] : tally.messages) messages[message] = count;
  if (tally.other_messages > 0) messages["(others)"] = tally.other_messages;
  for (const auto& error : tally.errors)
    errors.push_back(
        {{"request", error.request}, {"at_s", error.at_s}, {"message", error.message}});
  for (const auto& second : tally.timeline) {
    const auto count = static_cast<double>(second.ok + second.failed);
    timeline.push_back({{"ok", second.ok},
                        {"failed", second.failed},
                        {"latency_mean_ms", count > 0 ? second.latency_sum_ms / count : 0.0},
                        {"latency_max_ms", second.latency_max_ms}});
  }
  out["error_counts"] = std::move(messages);
  out["errors"] = std::move(errors);
  out["timeline_per_second"] = std::move(timeline);
  return out;
}

Json document_json(const Document& document, const Json& runs) {
  Json out;
  out["tool"] = "sis bench";
  out["version"] = document.version;
  out["command"] = document.command;
  out["started"] = document.started;
  out["machine"] = {{"cpu", document.machine.cpu},
                    {"cores", document.machine.cores},
                    {"memory_gb", document.machine.memory_gb},
                    {"kernel", document.machine.kernel}};
  out["runs"] = runs;
  return out;
}

std::string with_commas(uint64_t value) {
  std::string text = std::to_string(value);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<size_t>(at), 1, ',');
  return text;
}

std::string short_number(double value) {
  const double size = std::fabs(value);
  if (size == 0) return "0";
  if (!(size < 1e18)) return fmt::format("{:g}", value);  // no whole number holds it
  if (size >= 99.95)
    return (value < 0 ? "-" : "") + with_commas(static_cast<uint64_t>(std::llround(size)));
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  if (size >= 0.9995) return fmt::format("{:.2f}", value);
  if (size >= 0.0995) return fmt::format("{:.3f}", value);
  return fmt::format("{:.4f}", value);
}

}  // namespace sis::perf
