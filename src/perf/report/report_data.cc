#include "perf/report/report_data.h"

#include <algorithm>

#include "base/file.h"
#include "base/strings.h"
#include "perf/report/report_reader.h"
#include "perf/report/run_words.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr uintmax_t kFileBytesMax = uintmax_t{256} << 20;
constexpr int kDepthMax = 24;
constexpr size_t kRunsMax = 1000, kWindowsMax = 100'000, kCountersMax = 65'536;
constexpr size_t kPartsMax = 1000, kThresholdsMax = 1000, kErrorsMax = 10'000, kNamesMax = 1000;
constexpr size_t kServersMax = 64, kFactsMax = 500;
constexpr int kFactDepthMax = 4;

constexpr std::pair<const char*, double> kQuantiles[] = {
    {"p50", 0.5},  {"p75", 0.75},    {"p90", 0.9},      {"p95", 0.95},
    {"p99", 0.99}, {"p99_9", 0.999}, {"p99_99", 0.9999}};

HistogramData read_histogram(const ObjectReader& parent, const char* key) {
  HistogramData out;
  const Json* value = parent.find(key);
  if (value == nullptr) return out;
  const ObjectReader in(*value, parent.place_of(key), parent.fault());
  out.count = in.count("count");
  out.min_ms = in.number("min");
  out.max_ms = in.number("max");
  out.mean_ms = in.number("mean");
  out.stdev_ms = in.number("stdev");
  for (const auto& [name, share] : kQuantiles)
    if (const auto ms = in.maybe_number(name)) out.quantiles.emplace_back(share, *ms);
  uint64_t total = 0;
  for (const char* counts : {"counts_up_to_ms", "counts"}) {
    if (!out.counts_ms.empty()) break;
    in.each(counts, kCountersMax, [&](const Json& pair, const std::string& place) {
      const auto in_counter = pair.is_array() && pair.size() == 2 && pair[0].is_number()
                                  ? whole_number(pair[1])
                                  : std::nullopt;
      if (!in_counter) return in.fail(place, "[upper end in ms, count]", pair);
      const double upper = pair[0].get<double>();
      if (!(upper >= 0 && upper < 1e12) ||
          (!out.counts_ms.empty() && upper <= out.counts_ms.back().first))
        return in.fail(place, "want upper ends that rise");
      if (*in_counter > INT64_MAX - total)
        return in.fail(place, "want counts of a reasonable size");
      total += *in_counter;
      out.counts_ms.emplace_back(upper, *in_counter);
    });
  }
  if (!out.counts_ms.empty() && total != out.count)
    in.fail(in.place_of("count"), concat("says ", out.count, ", but the counts add up to ", total));
  return out;
}

HttpTimesData read_http(const ObjectReader& parent) {
  HttpTimesData out;
  const Json* value = parent.find("http_ms");
  if (value == nullptr) return out;
  const ObjectReader in(*value, parent.place_of("http_ms"), parent.fault());
  out.connecting = read_histogram(in, "connecting");
  out.tls_handshaking = read_histogram(in, "tls_handshaking");
  out.sending = read_histogram(in, "sending");
  out.waiting = read_histogram(in, "waiting");
  out.receiving = read_histogram(in, "receiving");
  return out;
}

Counts read_counts(const ObjectReader& in, const char* key) {
  Counts out;
  in.each_named(key, kNamesMax,
                [&](const std::string& name, const Json& value, const std::string& place) {
                  if (const auto count = whole_number(value)) {
                    if (*count > 0) out.emplace_back(name, *count);
                  } else {
                    in.fail(place, "a whole number of at least 0", value);
                  }
                });
  return out;
}

std::vector<WindowData> read_windows(const ObjectReader& run) {
  std::vector<WindowData> out;
  run.each("windows", kWindowsMax, [&](const Json& value, const std::string& place) {
    const ObjectReader in(value, place, run.fault());
    WindowData window;
    window.start_s = in.number("start_s");
    window.length_s = in.maybe_number("length_s").value_or(1);
    window.users = in.maybe_number("users");
    window.requests = in.count("requests");
    window.failures = in.count("failures");
    window.requests_per_s = in.number("requests_per_s");
    window.mean_ms = in.maybe_number("mean_ms");
    window.p50_ms = in.maybe_number("p50_ms");
    window.p95_ms = in.maybe_number("p95_ms");
    window.p99_ms = in.maybe_number("p99_ms");
    window.max_ms = in.maybe_number("max_ms");
    window.ttft_p50_ms = in.maybe_number("ttft_p50_ms");
    window.ttft_p99_ms = in.maybe_number("ttft_p99_ms");
    window.output_tokens_per_s = in.maybe_number("output_tokens_per_s");
    if (!(window.length_s > 0) || !(window.start_s >= 0))
      in.fail(place, "want start_s of at least 0 and length_s above 0");
    // No answers, no latency: the zeros of an empty window are no measurements.
    if (window.requests == window.failures)
      window.mean_ms = window.p50_ms = window.p95_ms = window.p99_ms = window.max_ms =
          window.ttft_p50_ms = window.ttft_p99_ms = std::nullopt;
    out.push_back(window);
  });
  if (!out.empty()) return out;
  // Documents of before there were windows.
  run.each("timeline_per_second", kWindowsMax, [&](const Json& value, const std::string& place) {
    const ObjectReader in(value, place, run.fault());
    WindowData window;
    window.start_s = static_cast<double>(out.size());
    const uint64_t ok = in.count("ok");
    window.failures = in.count("failed");
    window.requests = ok + window.failures;
    window.requests_per_s = static_cast<double>(window.requests);
    if (window.requests > 0) {
      window.mean_ms = in.maybe_number("latency_mean_ms");
      window.max_ms = in.maybe_number("latency_max_ms");
    }
    out.push_back(window);
  });
  return out;
}

// Numbers and words of nested objects under their paths.
void flatten(const ObjectReader& in, const Json& value, const std::string& path, int depth,
             ServerData& out) {
  if (out.facts.size() + out.words.size() >= kFactsMax || depth > kFactDepthMax) return;
  const auto under = [&](const std::string& name) {
    return path.empty() ? name : concat(path, ".", name);
  };
  if (value.is_number()) {
    const auto number = value.get<double>();
    if (number > -1e18 && number < 1e18) out.facts.emplace_back(path, number);
  } else if (value.is_string()) {
    out.words.emplace_back(path, value.get<std::string>());
  } else if (value.is_boolean()) {
    out.words.emplace_back(path, value.get<bool>() ? "yes" : "no");
  } else if (value.is_object()) {
    const auto mean = value.find("mean");
    if (mean != value.end() && mean->is_number()) return flatten(in, *mean, path, depth + 1, out);
    for (const auto& [name, member] : value.items())
      if (!(depth == 0 && name == "kind")) flatten(in, member, under(name), depth + 1, out);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      const auto name = value[i].is_object() ? value[i].find("name") : value[i].end();
      const bool named = value[i].is_object() && name != value[i].end() && name->is_string();
      flatten(in, value[i], under(named ? name->get<std::string>() : std::to_string(i)), depth + 1,
              out);
    }
  }
}

void read_servers(const ObjectReader& run, RunData& out) {
  const Json* value = run.find("server");
  if (value == nullptr) return;
  const auto one = [&](const Json& server, const std::string& place) {
    const ObjectReader in(server, place, run.fault());
    ServerData data{.kind = in.text("kind"), .facts = {}, .words = {}};
    flatten(in, server, "", 0, data);
    out.servers.push_back(std::move(data));
  };
  if (value->is_array())
    run.each("server", kServersMax, one);
  else
    one(*value, run.place_of("server"));
}

void read_results(const ObjectReader& in, RunData& out) {
  out.requests = in.count("requests");
  out.successes = in.count("successes");
  out.failures = in.count("failures");
  out.unsent = in.count("unsent");
  out.abandoned = in.count("abandoned");
  out.connects = in.count("connects");
  out.connect_failures = in.count("connect_failures");
  out.resent = in.count("resent");
  out.bytes_out = in.count("bytes_out");
  out.bytes_in = in.count("bytes_in");
  out.failures_by_kind = read_counts(in, "failures_by_kind");
  out.statuses = read_counts(in, "statuses");
  out.error_counts = read_counts(in, "error_counts");
  in.each("errors", kErrorsMax, [&](const Json& value, const std::string& place) {
    const ObjectReader error(value, place, in.fault());
    out.errors.push_back({error.count("request"), error.number("at_s"), error.text("message")});
  });
  out.wall_s = in.number("wall_s");
  out.requests_per_s = in.number("requests_per_s");
  out.latency = read_histogram(in, "latency_ms");
  out.service = read_histogram(in, "service_ms");
  out.failed = read_histogram(in, "failed_latency_ms");
  out.late = read_histogram(in, "late_ms");
  out.waited = read_histogram(in, "waited_for_connection_ms");
  out.unsent_waited = read_histogram(in, "unsent_waited_ms");
  out.latency_all_due = read_histogram(in, "latency_all_due_ms");
  out.http = read_http(in);
  out.ttft = read_histogram(in, "ttft_ms");
  out.itl = read_histogram(in, "itl_ms");
  out.tpot = read_histogram(in, "tpot_ms");
  out.output_tokens = in.maybe_number("output_tokens");
  out.prompt_tokens = in.maybe_number("prompt_tokens");
  if (const Json* goodput = in.find("goodput")) {
    const ObjectReader good(*goodput, in.place_of("goodput"), in.fault());
    out.goodput_share = good.maybe_number("share");
    out.goodput_per_s = good.maybe_number("requests_per_s");
    out.slo_ttft_ms = good.maybe_number("slo_ttft_ms");
    out.slo_itl_ms = good.maybe_number("slo_itl_ms");
  }
  if (const Json* generator = in.find("generator"))
    out.generator_cpu_share = ObjectReader(*generator, in.place_of("generator"), in.fault())
                                  .maybe_number("busiest_thread_share");
}

RunData read_run(const Json& value, const std::string& place, std::optional<Error>* fault) {
  const ObjectReader in(value, place, fault);
  RunData out;
  out.what = in.text("what");
  out.model = in.text("model");
  out.url = in.text("url");
  out.peer = in.text("peer");
  out.load = in.text("load");
  out.loop = in.text("loop");
  out.arrivals = in.text("arrivals");
  out.verdict = in.text("verdict");
  out.verdict_reason = in.text("verdict_reason");
  out.scenario = in.text("scenario");
  out.warmup = in.boolean("warmup", false);
  out.began_s = in.maybe_number("began_s");
  out.ended_s = in.maybe_number("ended_s");
  out.measured = in.find("requests") != nullptr;
  out.connections = in.count("connections");
  out.threads = in.count("threads");
  out.pipeline = in.count("pipeline");
  out.seed = in.count("seed");
  out.keep_alive = in.boolean("keep_alive", true);
  out.rate = in.maybe_number("rate");
  out.timeout_s = in.number("timeout_s");
  out.duration_wanted_s = in.number("duration_wanted_s");
  out.requests_wanted = in.count("requests_wanted");
  out.warmup_requests = in.count("warmup_requests");
  out.warmup_s = in.number("warmup_s");
  if (const Json* level = in.find("level")) {
    const ObjectReader levels(*level, in.place_of("level"), fault);
    out.level_concurrency = levels.maybe_number("concurrency");
    out.level_rate = levels.maybe_number("request_rate");
  }
  if (in.find("stable") != nullptr) out.stable = in.boolean("stable", false);
  read_results(in, out);
  // "texts": 1980, "texts_per_s": 495 and their like.
  if (value.is_object())
    for (const auto& [name, number] : value.items())
      if (name.ends_with("_per_s") && name != "requests_per_s" && number.is_number() &&
          out.rates.size() < kNamesMax)
        out.rates.emplace_back(name.substr(0, name.size() - 6), number.get<double>());
  out.windows = read_windows(in);
  in.each("parts", kPartsMax, [&](const Json& part, const std::string& part_place) {
    const ObjectReader reader(part, part_place, fault);
    out.parts.push_back({.name = reader.text("name"),
                         .requests = reader.count("requests"),
                         .successes = reader.count("successes"),
                         .failures = reader.count("failures"),
                         .requests_per_s = reader.number("requests_per_s"),
                         .latency = read_histogram(reader, "latency_ms"),
                         .service = read_histogram(reader, "service_ms"),
                         .http = read_http(reader)});
  });
  in.each("thresholds", kThresholdsMax, [&](const Json& entry, const std::string& entry_place) {
    const ObjectReader reader(entry, entry_place, fault);
    out.thresholds.push_back({.metric = reader.text("metric"),
                              .threshold = reader.text("threshold"),
                              .value = reader.maybe_number("value"),
                              .ok = reader.boolean("ok", false)});
  });
  read_servers(in, out);
  if (const Json* rule = in.find("stop_rule")) {
    const ObjectReader reader(*rule, in.place_of("stop_rule"), fault);
    out.stop_rule = reader.text("rule");
    out.stop_detail = reader.text("detail");
    out.stop_met = reader.boolean("met", false);
  }
  return out;
}

}  // namespace

std::optional<double> ServerData::find(std::string_view name) const {
  for (const auto& [path, value] : facts)
    if (path == name) return value;
  return std::nullopt;
}

std::optional<double> RunData::level() const {
  return level_concurrency ? level_concurrency : level_rate;
}

std::string RunData::title() const {
  std::string out = what.empty() ? "run" : what;
  if (!model.empty()) out += concat(" ", model);
  if (level_concurrency) out += concat(", concurrency ", count_text(*level_concurrency));
  if (level_rate) out += concat(", ", count_text(*level_rate), " requests/s");
  if (warmup) out += ", warm-up";
  return out;
}

bool Report::is_sweep() const {
  const auto all = [&](auto has) {
    return runs.size() > 1 && std::all_of(runs.begin(), runs.end(), has);
  };
  // Levels of two models are two sweeps, and no common curve.
  if (!all([&](const RunData& run) {
        return run.what == runs.front().what && run.model == runs.front().model;
      }))
    return false;
  return all([](const RunData& run) { return run.level_concurrency.has_value(); }) ||
         all([](const RunData& run) { return run.level_rate.has_value(); });
}

Result<Report> parse_report(const Json& document) {
  std::optional<Error> fault;
  Report out;
  const ObjectReader in(document, "", &fault);
  if (document.is_null()) in.fail("", "an object", document);
  out.tool = in.text("tool");
  out.version = in.text("version");
  out.command = in.text("command");
  out.started = in.text("started");
  if (const Json* machine = in.find("machine")) {
    const ObjectReader reader(*machine, "machine", &fault);
    out.cpu = reader.text("cpu");
    out.kernel = reader.text("kernel");
    out.cores = reader.count("cores");
    out.memory_gb = reader.number("memory_gb");
  }
  if (in.find("runs") == nullptr) in.fail("runs", "want an array of runs, found none");
  in.each("runs", kRunsMax, [&](const Json& run, const std::string& place) {
    if (!run.is_object()) return in.fail(place, "an object", run);
    out.runs.push_back(read_run(run, place, &fault));
  });
  if (fault) return std::move(*fault);
  return out;
}

Result<Json> read_document(const std::string& path) {
  SIS_ASSIGN(const std::string text, read_file(path, kFileBytesMax));
  bool too_deep = false;
  Json document;
  try {
    document = Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
      too_deep = too_deep || depth > kDepthMax;
      return depth <= kDepthMax;
    });
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ..."
    std::string what = error.what();
    if (const size_t end = what.find("] "); end != std::string::npos) what.erase(0, end + 2);
    return Error{Code::kInvalidArgument, concat(path, ": not JSON: ", in_quotes(what, 200))};
  }
  if (too_deep)
    return Error{Code::kInvalidArgument,
                 concat(path, ": nested deeper than ", kDepthMax, " levels")};
  return document;
}

Result<Report> read_report(const std::string& path) {
  SIS_ASSIGN(const Json document, read_document(path));
  auto report = parse_report(document);
  if (!report.ok()) return prefixed(path, std::move(report).error());
  return report;
}

}  // namespace sis::perf
