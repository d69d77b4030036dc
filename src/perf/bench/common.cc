#include "perf/bench/common.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/report_flags.h"
#include "perf/report/progress.h"
#include "perf/report/report_text.h"
#include "perf/report/write_file.h"

namespace sis::perf {
namespace {

constexpr size_t kErrorsVerbose = 1000;

}  // namespace

void LoadFlags::add_to(FlagSet& flags) {
  flags.section("Load");
  flags.integer({{"n-requests", "requests"}, {"N_REQUESTS"}}, &requests, 1, 1'000'000'000'000,
                "requests to send; without it, --duration alone ends the run");
  flags.integer({{"concurrency", "connections"}, {"CONCURRENCY"}}, &concurrency, 1, 20000,
                "connections, each with one request in flight (--rate: at most so many)");
  flags.duration({{"duration"}, {"DURATION"}}, &duration, from_ms(10), from_seconds(86400),
                 "how long to send");
  flags.number(
      {{"rate"}, {"RATE"}}, &rate, 0.001, 10'000'000,
      "open loop: requests/s that are due whatever the server does; latency counts from then");
  flags.choice({{"arrivals"}, {"ARRIVALS"}}, &arrivals, {"constant", "poisson"},
               "gaps between due requests with --rate");
  flags.custom(
      {{"warmup"}, {"WARMUP"}}, "N|TIME", "0", "requests (20) or time (2s) before measuring begins",
      [this](std::string_view text) -> Status {
        warmup_requests = 0;
        warmup_duration = Duration{};
        const auto count = parse_int(text);
        if (count && *count >= 0 && *count <= 1'000'000'000) {
          warmup_requests = static_cast<uint64_t>(*count);
          return {};
        }
        const auto time = count ? std::nullopt : parse_duration(text);
        if (!time || *time > from_seconds(3600))
          return Error{
              Code::kInvalidArgument,
              concat("want a number of requests or a time like 2s, got ", in_quotes(text))};
        warmup_duration = *time;
        return {};
      });
  flags.duration({{"timeout"}, {"TIMEOUT"}}, &timeout, from_ms(1), from_seconds(86400),
                 "of one request");
  flags.integer({{"threads"}, {"THREADS"}}, &threads, 1, 256,
                "event loops of the generator, one core each");
  flags.integer({{"pipeline"}, {}}, &pipeline, 1, 1024, "requests in flight on each connection");
  flags.toggle({{"keep-alive"}, {}}, &keep_alive,
               "reuse connections; --no-keep-alive makes one per request");
  flags.integer({{"seed"}, {"SEED"}}, &seed, 0, INT64_MAX, "of everything random");
  flags.toggle({{"verify-ssl"}, {"VERIFY_SSL"}}, &verify_ssl,
               "check the server's certificate (https)");
  flags.section("Output");
  flags.text({{"json"}, {}}, &json, "FILE|-",
             "all figures as JSON; - prints them instead of the text");
  add_report_flags(flags, &reports);
  flags.toggle({{"verbose"}, {"VERBOSE"}}, &verbose, "list every error");
  flags.toggle({{"progress"}, {}}, &progress, "how the run is going, on stderr");
}

Result<RunOptions> LoadFlags::resolve(const FlagSet& flags, const net::Url& url) const {
  RunOptions options{.url = url, .verify_tls = verify_ssl};
  options.connections = static_cast<int>(concurrency);
  options.threads = static_cast<int>(threads);
  options.pipeline = static_cast<int>(pipeline);
  options.keep_alive = keep_alive;
  options.timeout = timeout;
  options.rate = rate;
  options.arrivals = arrivals == "poisson" ? Arrivals::kPoisson : Arrivals::kConstant;
  options.seed = static_cast<uint64_t>(seed);
  options.duration = duration;
  // A duration replaces the default count, yet not a count that was asked for.
  const bool counted = flags.source("n-requests") != FlagSource::kDefault;
  options.requests = duration > Duration{} && !counted ? 0 : static_cast<uint64_t>(requests);
  options.warmup_requests = warmup_requests;
  options.warmup_duration = warmup_duration;
  options.errors_max = verbose ? kErrorsVerbose : 1;
  if (rate > 0 && pipeline > 1)
    return Error{
        Code::kInvalidArgument,
        "--pipeline: want 1 with --rate (an open loop sends one request per free connection)"};
  if (!keep_alive && pipeline > 1)
    return Error{Code::kInvalidArgument, "--pipeline: want 1 with --no-keep-alive"};
  if (rate == 0 && flags.source("arrivals") == FlagSource::kFlag)
    return Error{Code::kInvalidArgument, "--arrivals: wants --rate as well"};
  return options;
}

std::optional<int> parse_flags(const BenchContext& context, FlagSet& flags,
                               const std::vector<std::string>& arguments) {
  const auto others = flags.parse(arguments, context.environment);
  if (!others.ok()) return complain(context, others.error(), kExitUsage);
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return kExitOk;
  }
  if (!others->empty())
    return complain(
        context,
        Error{Code::kInvalidArgument, concat("want flags only, got ", in_quotes(others->front()))},
        kExitUsage);
  return std::nullopt;
}

int run_and_report(const BenchContext& context, const LoadFlags& flags, const RunOptions& options,
                   const RunLabel& label, const Workload& workload, nlohmann::ordered_json& runs) {
  const bool json_only = flags.json == "-";
  const std::string name = label.model.empty() ? label.what : concat(label.what, " ", label.model);
  Result<RunResult> result = [&] {
    ProgressPrinter printer(flags.progress ? context.messages : nullptr, name, options);
    RunOptions watched = options;
    watched.on_window = [&](const Window& window) {
      printer.note(window);
      return !options.on_window || options.on_window(window);
    };
    return run_load(watched, workload, context.stop,
                    [&](const Progress& progress) { printer.show(progress); });
  }();
  if (!result.ok()) {
    nlohmann::ordered_json failed;
    failed["what"] = label.what;
    if (!label.model.empty()) failed["model"] = label.model;
    failed["url"] = options.url.text();
    failed["verdict"] = verdict_name(VerdictKind::kFailed);
    failed["verdict_reason"] = result.error().message;
    runs.push_back(std::move(failed));
    return complain(context, result.error(), kExitFailed);
  }
  fmt::print(json_only ? context.messages : context.out, "{}",
             summary_text(label, options, *result, flags.verbose));
  runs.push_back(summary_json(label, options, *result));
  switch (judge_run(options, *result).kind) {
    case VerdictKind::kValid:
    case VerdictKind::kGeneratorSaturated:
    case VerdictKind::kServerSaturated:
      return kExitOk;
    case VerdictKind::kIncomplete:
    case VerdictKind::kFailed:
      return kExitFailed;
  }
  return kExitFailed;
}

int write_json(const BenchContext& context, const LoadFlags& flags, const std::string& started,
               const nlohmann::ordered_json& runs) {
  const Document head{.version = SIS_VERSION,
                      .command = context.command,
                      .started = started,
                      .machine = this_machine()};
  const nlohmann::ordered_json document = document_json(head, runs);
  if (runs.size() > 1)
    if (const auto report = parse_report(document); report.ok())
      fmt::print(flags.json == "-" ? context.messages : context.out, "{}", sweep_text(*report));
  int exit_code = kExitOk;
  if (const Status written = write_report_files(flags.reports, document); !written.ok())
    exit_code = complain(context, written.error(), kExitFailed);
  if (flags.json.empty()) return exit_code;
  // Server texts may be in any encoding; what is not UTF-8 is replaced.
  const std::string text =
      document.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (flags.json == "-") {
    std::fwrite(text.data(), 1, text.size(), context.out);
    std::fflush(context.out);
    return exit_code;
  }
  if (const Status written = write_file(flags.json, text); !written.ok())
    return complain(context, prefixed("--json", written.error()), kExitFailed);
  return exit_code;
}

int complain(const BenchContext& context, const Error& error, int exit_code) {
  fmt::print(context.messages, "sis bench: {}\n", error.message);
  return exit_code;
}

uint64_t salt_of_now() {
  return static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                               std::chrono::milliseconds(1))
         << 16;
}

std::string shown_command(const std::vector<std::string>& arguments) {
  static constexpr std::string_view kSafe = "-_./:=,@%+";
  std::string out;
  bool secret = false;  // the argument is the value of a secret flag
  for (std::string argument : arguments) {
    if (secret) argument = "***";
    secret = argument == "--api-key";
    if (argument.starts_with("--api-key=")) argument = "--api-key=***";
    // -H 'Authorization: ...' of the plain client.
    if (const std::string lower = to_lower(argument);
        lower.find("authorization:") != std::string::npos ||
        lower.find("cookie:") != std::string::npos)
      argument = argument.substr(0, argument.find(':')) + ": ***";
    bool plain = !argument.empty();
    for (const char c : argument)
      plain &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               kSafe.find(c) != std::string_view::npos || c == '*';
    if (!plain) {
      std::string quoted_text = "'";
      for (const char c : argument)
        quoted_text += c == '\'' ? std::string("'\\''") : std::string(1, c);
      argument = quoted_text + "'";
    }
    out += concat(out.empty() ? "" : " ", argument);
  }
  return out;
}

}  // namespace sis::perf
