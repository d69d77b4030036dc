#include "perf/triton/settings.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/flags.h"
#include "perf/triton/arguments.h"

namespace sis::perf {
namespace {

Error invalid(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }
Error want(std::string_view what, std::string_view got) {
  return invalid(concat("want ", what, ", got ", in_quotes(got)));
}

constexpr const char* kAbout =
    R"(Measures a model of a KServe v2 server (Triton and its like) as perf_analyzer does, with its flags,
its rules and its report: load at each level until three windows in a row agree, then what clients
and server saw. Short forms: -m --model, -x --model-version, -u --url, -i --protocol,
-b --batch-size, -p --measurement-interval, -l --latency-threshold, -r --max-trials,
-s --stability-percentage, -f --csv, -H --header, -a --async, -z --zero, -v verbose, -v -v more.

Exit codes: 0 measured; 2 the only level never became stable; 3 no request ended within a window;
99 anything else.)";

template <class T>
Status parse_range(std::string_view text, SearchRange<T>& range, double low) {
  const auto words = split(text, ':');
  T* const fields[] = {&range.start, &range.end, &range.step};
  static constexpr const char* kNames[] = {"start", "end", "step"};
  if (words.empty() || words.size() > 3) return want("START[:END[:STEP]]", text);
  range = {};
  for (size_t i = 0; i < words.size(); ++i) {
    const auto value = [&]() -> std::optional<double> {
      if constexpr (std::is_integral_v<T>) {
        const auto whole = parse_int(words[i]);
        return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
      } else {
        return parse_double(words[i]);
      }
    }();
    // The end alone may be 0.
    if (!value || *value > 1e7 || *value < (i == 1 ? 0 : low))
      return want(
          concat("a ", std::is_integral_v<T> ? "whole number" : "number",
                 i == 1 ? " from 0" : " above 0", " as the ", kNames[i], " of START[:END[:STEP]]"),
          text);
    *fields[i] = static_cast<T>(*value);
  }
  return {};
}

Status parse_shape(std::string_view text, std::map<std::string, TensorShape>& shapes) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return want("NAME:SIZE[,SIZE...]", text);
  TensorShape shape;
  for (const auto& word : split(text.substr(colon + 1), ',')) {
    const auto size = parse_int(word);
    if (!size || *size < 1) return want("sizes above 0 in NAME:SIZE[,SIZE...]", text);
    shape.push_back(*size);
  }
  shapes[std::string(text.substr(0, colon))] = std::move(shape);
  return {};
}

Status parse_header(std::string_view text,
                    std::vector<std::pair<std::string, std::string>>& headers) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return want("NAME:VALUE", text);
  headers.emplace_back(trim(text.substr(0, colon)), trim(text.substr(colon + 1)));
  return {};
}

// name:value:type
Status parse_parameter(std::string_view text, nlohmann::ordered_json& parameters) {
  const size_t first = text.find(':'), last = text.rfind(':');
  if (first == std::string_view::npos || first == 0 || last == first)
    return want("NAME:VALUE:TYPE", text);
  const std::string name(text.substr(0, first));
  const std::string_view value = text.substr(first + 1, last - first - 1),
                         type = text.substr(last + 1);
  const auto whole = parse_int(value);
  if ((type == "int" || type == "uint") && whole && (type == "int" || *whole >= 0))
    parameters[name] = *whole;
  else if (type == "double" && parse_double(value))
    parameters[name] = *parse_double(value);
  else if (type == "bool" && (value == "true" || value == "false"))
    parameters[name] = value == "true";
  else if (type == "string")
    parameters[name] = value;
  else
    return want("NAME:VALUE:TYPE with a type of int, uint, double, bool or string", text);
  return {};
}

Status parse_composing(std::string_view text,
                       std::vector<std::pair<std::string, std::string>>& models) {
  for (const auto& word : split_list(text)) {
    const size_t colon = word.find(':');
    const std::string version = colon == std::string::npos ? "" : word.substr(colon + 1);
    if (colon == 0 || (!version.empty() && !parse_int(version)))
      return want("MODEL[:VERSION],...", text);
    models.emplace_back(word.substr(0, colon), version);
  }
  return {};
}

bool exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

// What is parsed but not a setting.
struct Raw {
  std::string url = "localhost:8000", protocol = "http", kind = "triton", distribution = "constant",
              window_mode = "time_windows", shared_memory = "none", input_format = "binary",
              output_format = "binary";
  bool sync = false;
  bool has_concurrency = false, has_rate = false, has_intervals = false;
  int64_t verify_peer = 1, verify_host = 2;
  double stability_percent = 10;
  nlohmann::ordered_json parameters = nlohmann::ordered_json::object();
};

void add_load_flags(FlagSet& flags, PerfSettings& settings, Raw& raw) {
  flags.section("Load and windows");
  flags.custom({{"concurrency-range"}, {}}, "S:E:STEP", "1",
               "levels of concurrency; an end of 0 goes on until the latency limit",
               [&](std::string_view text) {
                 raw.has_concurrency = true;
                 return parse_range(text, settings.concurrency, 1);
               });
  flags.custom({{"request-rate-range"}, {}}, "S:E:STEP", "", "levels of requests/s (open loop)",
               [&](std::string_view text) {
                 raw.has_rate = true;
                 return parse_range(text, settings.rate, 1e-6);
               });
  flags.custom({{"request-intervals"}, {}}, "FILE", "",
               "gaps between requests in us, one per line, over and over",
               [&](std::string_view text) -> Status {
                 raw.has_intervals = true;
                 settings.intervals_file = text;
                 return {};
               });
  flags.choice({{"request-distribution"}, {}}, &raw.distribution, {"constant", "poisson"},
               "of requests with --request-rate-range");
  flags.toggle({{"binary-search"}, {}}, &settings.binary_search,
               "halve the range until the highest level within the latency limit is found");
  flags.integer({{"latency-threshold"}, {}}, &settings.latency_limit_ms, 0, 86'400'000,
                "limit in ms that ends the search; 0: none");
  flags.integer({{"max-threads"}, {}}, &settings.max_threads, 1, 20000,
                "event loops at most, no more than cores; with --sync and a rate, connections too");
  flags.toggle({{"async"}, {}}, &settings.async, "stability needs the throughput only");
  flags.toggle({{"sync"}, {}}, &raw.sync, "the default");
  flags.integer({{"measurement-interval"}, {}}, &settings.interval_ms, 1, 86'400'000,
                "window in ms; as in perf_analyzer 1.2 times as long are measured");
  flags.choice({{"measurement-mode"}, {}}, &raw.window_mode, {"time_windows", "count_windows"},
               "what ends a window");
  flags.integer({{"measurement-request-count"}, {}}, &settings.window_requests, 1, 1'000'000'000,
                "requests of a window with count_windows, looked at every second");
  flags.number({{"stability-percentage"}, {}}, &raw.stability_percent, 0, 1e6,
               "how far three windows may lie apart");
  flags.integer({{"max-trials"}, {}}, &settings.trials_max, 1, 1'000'000, "windows of a level");
  flags.integer({{"percentile"}, {}}, &settings.percentile, -1, 99,
                "latency that must be stable and is limited; -1: the mean");
  flags.integer({{"request-count"}, {}}, &settings.request_count, 0, 1'000'000'000'000,
                "send so many requests, in one window");
  flags.integer({{"warmup-request-count"}, {}}, &settings.warmup_requests, 0, 1'000'000'000,
                "requests before measuring begins");
}

void add_other_flags(FlagSet& flags, PerfSettings& settings, Raw& raw) {
  flags.section("Input");
  flags.integer({{"batch-size"}, {}}, &settings.batch, 1, 1'000'000, "elements per request");
  flags.custom({{"input-data"}, {}}, "WHAT", "random",
               "random, zero, a JSON file or a folder; may be given many times",
               [&](std::string_view text) -> Status {
                 const std::string path(text);
                 if (exists(path))
                   settings.input_files.push_back(path);
                 else if (text == "zero")
                   settings.zero_input = true;
                 else if (text != "random")
                   return want("random, zero, a file or a folder", text);
                 return {};
               });
  flags.toggle({{"zero"}, {}}, &settings.zero_input, "the same as --input-data zero");
  flags.custom({{"shape"}, {}}, "NAME:SIZES", "",
               "of an input whose sizes the model leaves open, as in INPUT0:3,224,224",
               [&](std::string_view text) { return parse_shape(text, settings.shapes); });
  flags.integer({{"string-length"}, {}}, &settings.string_length, 1, 100'000'000,
                "bytes of made-up strings");
  flags.text({{"string-data"}, {}}, &settings.string_data, "TEXT", "every made-up string");
  flags.choice({{"input-tensor-format"}, {}}, &raw.input_format, {"binary", "json"},
               "how tensors travel");
  flags.choice({{"output-tensor-format"}, {}}, &raw.output_format, {"binary", "json"},
               "accepted; as in perf_analyzer the input's format decides");
  flags.choice({{"shared-memory"}, {}}, &raw.shared_memory, {"none"}, "tensors travel over HTTP");
  flags.custom({{"request-parameter"}, {}}, "NAME:VALUE:TYPE", "",
               "parameter of every request; types int, uint, double, bool, string",
               [&](std::string_view text) { return parse_parameter(text, raw.parameters); });
  flags.section("Output");
  flags.text({{"csv"}, {}}, &settings.csv_file, "FILE", "the report as CSV (-f)");
  flags.toggle({{"verbose-csv"}, {}}, &settings.verbose_csv, "more columns in it");
  flags.text({{"profile-export-file"}, {}}, &settings.profile_file, "FILE",
             "every request's times as JSON, for genai-perf");
  flags.text({{"json"}, {}}, &settings.json_file, "FILE",
             "ours: every level as a run of sis bench's JSON");
  flags.toggle({{"collect-metrics"}, {}}, &settings.collect_metrics,
               "GPU figures of the server's metrics");
  flags.text({{"metrics-url"}, {}}, &settings.metrics_url, "URL",
             "of those; default: port 8002 of the server");
  flags.integer({{"metrics-interval"}, {}}, &settings.metrics_interval_ms, 1, 86'400'000, "in ms");
  flags.toggle({{"keep-going"}, {}}, &settings.keep_going,
               "ours: count failed requests instead of ending at the first");
  flags.integer({{"seed"}, {}}, &settings.seed, 0, INT64_MAX, "ours: of everything random");
}

void add_server_flags(FlagSet& flags, PerfSettings& settings, Raw& raw) {
  flags.section("Server");
  flags.text({{"model"}, {}}, &settings.model, "NAME", "the model; always needed");
  flags.text({{"model-version"}, {}}, &settings.version, "N", "default: the server's choice");
  flags.text({{"url"}, {}}, &raw.url, "HOST:PORT", "with http:// or https:// in front or without");
  flags.choice({{"protocol"}, {}}, &raw.protocol, {"http", "HTTP"}, "gRPC is not spoken");
  flags.choice({{"service-kind"}, {}}, &raw.kind, {"triton", "openai"}, "what the server is");
  flags.text({{"endpoint"}, {}}, &settings.endpoint, "PATH",
             "where openai payloads go, as v1/chat/completions");
  flags.custom({{"header"}, {}}, "NAME:VALUE", "", "of every request; may be given many times",
               [&](std::string_view text) { return parse_header(text, settings.headers); });
  flags.custom(
      {{"bls-composing-models"}, {}}, "M[:V],...", "",
      "models that a BLS model calls, for the server's part of the report",
      [&](std::string_view text) { return parse_composing(text, settings.composing_models); });
  flags.integer({{"ssl-https-verify-peer"}, {}}, &raw.verify_peer, 0, 1, "check the certificate");
  flags.integer({{"ssl-https-verify-host"}, {}}, &raw.verify_host, 0, 2, "check its name");
}

template <class T>
Status check_range(const PerfSettings& settings, const SearchRange<T>& range, const char* flag) {
  if (range.end == 0 && settings.latency_limit_ms == 0)
    return invalid(concat(flag, ": an end of 0 wants --latency-threshold as well"));
  if (settings.binary_search && range.end == 0)
    return invalid(concat(flag, ": want an end above 0 with --binary-search"));
  if (settings.binary_search && range.end < range.start)
    return invalid(concat(flag, ": want an end from its start on with --binary-search"));
  // A start without an end is one level.
  const bool several = range.end == 0 || range.end > range.start;
  if (several && settings.request_count > 0)
    return invalid(concat("--request-count: want one level of ", flag));
  if (several && settings.warmup_requests > 0)
    return invalid(concat("--warmup-request-count: want one level of ", flag));
  if (settings.request_count > 0 &&
      static_cast<double>(settings.request_count) < static_cast<double>(range.start))
    return invalid(concat("--request-count: want at least the start of ", flag));
  return {};
}

Status finish(PerfSettings& settings, const Raw& raw, const FlagSet& flags) {
  if (settings.model.empty()) return invalid("-m: want the name of a model");
  if (!settings.version.empty() && !parse_int(settings.version))
    return prefixed("-x", want("a whole number", settings.version));
  const std::string url =
      raw.url.find("://") == std::string::npos ? concat("http://", raw.url) : raw.url;
  auto parsed = net::parse_url(url);
  if (!parsed.ok()) return prefixed("-u", parsed.error());
  settings.url = *parsed;
  settings.kind = raw.kind == "openai" ? ServiceKind::kOpenAi : ServiceKind::kTriton;
  if (raw.has_concurrency + raw.has_rate + raw.has_intervals > 1)
    return invalid(
        "--concurrency-range, --request-rate-range, --request-intervals: want only one of them");
  settings.mode = raw.has_rate        ? LoadMode::kRequestRate
                  : raw.has_intervals ? LoadMode::kIntervals
                                      : LoadMode::kConcurrency;
  if (settings.async && raw.sync) return invalid("--async, --sync: want only one of them");
  if (settings.percentile == 0) return prefixed("--percentile", want("-1 or 1..99", "0"));
  if (settings.binary_search && settings.latency_limit_ms == 0)
    return invalid("--binary-search: wants --latency-threshold as well");
  if (settings.binary_search && settings.mode == LoadMode::kIntervals)
    return invalid("--binary-search: wants a range");
  if (settings.mode == LoadMode::kConcurrency) {
    SIS_TRY(check_range(settings, settings.concurrency, "--concurrency-range"));
    if (std::max(settings.concurrency.start, settings.concurrency.end) > 20000)
      return invalid("--concurrency-range: want at most 20000");
  }
  if (settings.mode == LoadMode::kRequestRate)
    SIS_TRY(check_range(settings, settings.rate, "--request-rate-range"));
  if (settings.zero_input && !settings.input_files.empty())
    return invalid("--input-data: want zeros or files, not both");
  settings.batch_given = flags.source("batch-size") != FlagSource::kDefault;
  if (settings.kind == ServiceKind::kOpenAi) {
    if (settings.input_files.empty())
      return invalid("--service-kind openai: wants --input-data FILE with payloads");
    if (settings.endpoint.empty())
      return invalid("--service-kind openai: wants --endpoint, as v1/chat/completions");
    if (raw.sync) return invalid("--service-kind openai: wants --async");
    if (settings.batch != 1) return invalid("-b: want 1 with --service-kind openai");
    if (settings.collect_metrics) return invalid("--collect-metrics: wants --service-kind triton");
    settings.async = true;
  }
  if (!settings.metrics_url.empty() && !settings.collect_metrics)
    return invalid("--metrics-url: wants --collect-metrics as well");
  if (flags.source("metrics-interval") != FlagSource::kDefault && !settings.collect_metrics)
    return invalid("--metrics-interval: wants --collect-metrics as well");
  settings.poisson = raw.distribution == "poisson";
  settings.count_windows = raw.window_mode == "count_windows";
  settings.stability = raw.stability_percent / 100;
  settings.json_tensors = raw.input_format == "json";
  settings.verify_tls = raw.verify_peer != 0 && raw.verify_host != 0;
  if (!raw.parameters.empty()) settings.parameters = raw.parameters.dump();
  return {};
}

}  // namespace

Result<ParsedPerf> parse_perf_arguments(const std::vector<std::string>& arguments) {
  ParsedPerf parsed;
  PerfSettings& settings = parsed.settings;
  Raw raw;
  FlagSet flags("sis perf -m MODEL [flags]", kAbout);
  add_server_flags(flags, settings, raw);
  add_load_flags(flags, settings, raw);
  add_other_flags(flags, settings, raw);
  SIS_ASSIGN(const LongArguments words, to_long_arguments(arguments));
  settings.verbosity = words.verbosity;
  // Settings of the environment are not for this command: perf_analyzer has none.
  SIS_ASSIGN(const std::vector<std::string> others,
             flags.parse(words.arguments, [](const std::string&) { return std::nullopt; }));
  if (flags.help_wanted()) {
    parsed.help = flags.help();
    return parsed;
  }
  if (!others.empty()) return invalid(concat("want flags only, got ", in_quotes(others.front())));
  SIS_TRY(finish(settings, raw, flags));
  return parsed;
}

}  // namespace sis::perf
