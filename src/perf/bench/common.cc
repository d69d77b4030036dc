#include "perf/bench/common.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/report_flags.h"
#include "perf/join/server_join.h"
#include "perf/load/trace.h"
#include "perf/report/shown_url.h"
#include "perf/report/write_file.h"

namespace sis::perf {
namespace {

constexpr size_t kErrorsVerbose = 1000;
constexpr double kUsersMax = 20000, kRateMin = 0.001, kRateMax = 10'000'000;
constexpr Duration kRuleDuration = std::chrono::minutes(10);

// Headers carry keys under any name.
std::string shown_header(const std::string& header) {
  const size_t colon = header.find(':');
  return colon == std::string::npos ? "***" : header.substr(0, colon) + ": ***";
}

// Whose value is never shown as it is.
bool is_secret_flag(std::string_view flag) {
  static constexpr std::string_view kFlags[] = {"--api-key", "--token", "--header", "-H", "--set"};
  return std::find(std::begin(kFlags), std::end(kFlags), flag) != std::end(kFlags);
}

// The value of `flag`, or an argument without one, without its secrets.
std::string shown_value(std::string_view flag, const std::string& value) {
  if (flag == "--api-key" || flag == "--token") return "***";
  if (flag == "--header" || flag == "-H") return shown_header(value);
  const std::string lower = to_lower(value);
  if (flag == "--set") {
    const size_t equals = lower.find('=');
    const std::string_view name = std::string_view(lower).substr(0, equals);
    for (const char* word : {"key", "token", "secret", "password", "headers"})
      if (equals != std::string::npos && name.find(word) != std::string_view::npos)
        return value.substr(0, equals) + "=***";
  }
  if (lower.find("authorization:") != std::string::npos ||
      lower.find("cookie:") != std::string::npos)
    return shown_header(value);
  return lower.find("http://") != std::string::npos || lower.find("https://") != std::string::npos
             ? shown_url(value)
             : value;
}

Error clash(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }

}  // namespace

void LoadFlags::add_to(FlagSet& flags) {
  flags.section("Load");
  flags.integer({{"n-requests", "requests"}, {"N_REQUESTS"}}, &requests, 1, 1'000'000'000'000,
                "requests to send; without it, --duration alone ends the run");
  flags.custom(
      {{"concurrency", "connections"}, {"CONCURRENCY"}}, "N|LEVELS", "5",
      "connections, each with one request in flight (open loop: at most so many); 1,2,4 or "
      "1:16:5 make a run for each level",
      [this](std::string_view text) -> Status {
        SIS_ASSIGN(concurrencies, parse_levels(text, 1, kUsersMax, true));
        return {};
      });
  flags.custom({{"users-stages"}, {"USERS_STAGES"}}, "STAGES", "",
               "closed loop with a changing number of users: 30s:20,1m:20,10s:0 rises to 20 within "
               "30 s, stays 1 min and falls to 0 within 10 s; 5,30s:20 begins with 5",
               [this](std::string_view text) -> Status {
                 SIS_ASSIGN(users, parse_stages(text, kUsersMax));
                 return {};
               });
  flags.custom({{"think"}, {"THINK"}}, "TIME[-TIME]", "",
               "closed loop: how long a user waits between an answer and its next request (1s), or "
               "the bounds of a time drawn evenly (0.5s-2s)",
               [this](std::string_view text) -> Status {
                 SIS_ASSIGN(think, parse_time_range(text));
                 return {};
               });
  flags.duration({{"duration"}, {"DURATION"}}, &duration, from_ms(10), from_seconds(86400),
                 "how long to send");
  flags.custom({{"rate"}, {"RATE"}}, "X|LEVELS", "",
               "open loop: requests/s that are due whatever the server does; latency counts from "
               "then; 10,20,40 or 10:50:10 make a run for each level",
               [this](std::string_view text) -> Status {
                 SIS_ASSIGN(rates, parse_levels(text, kRateMin, kRateMax, false));
                 return {};
               });
  flags.custom({{"rate-stages"}, {"RATE_STAGES"}}, "STAGES", "",
               "open loop with a changing rate, written as --users-stages: 30s:100,1m:100",
               [this](std::string_view text) -> Status {
                 SIS_ASSIGN(rate_stages, parse_stages(text, kRateMax));
                 return {};
               });
  flags.choice({{"arrivals"}, {"ARRIVALS"}}, &arrivals, {"constant", "poisson"},
               "gaps between due requests with --rate or --rate-stages");
  flags.integer({{"burst"}, {"BURST"}}, &burst, 1, 1'000'000,
                "requests that are due together with --rate or --rate-stages; the rate stays");
  flags.text({{"trace"}, {}}, &trace, "FILE",
             "open loop: due times in seconds from the start, one per line or a JSON array");
  flags.custom({{"search", "concurrency-search"}, {}}, "LIMIT", "",
               "find the highest level of a range (--concurrency 1:256 or --rate 10:5000:10) that "
               "keeps a limit like p99<500ms, mean<20ms or max<2s with at most 1 % of the requests "
               "failed; a range's step is how exact",
               [this](std::string_view text) -> Status {
                 SIS_ASSIGN(search, parse_latency_limit(text));
                 return {};
               });
  flags.custom({{"stop-when"}, {}}, "RULE", "",
               "end the run (--duration: at most so long, by default 10m) when its windows show "
               "enough: stable(10%,3), ci(p99,5%) or bound(p99<500ms); see docs/bench.md",
               [this](std::string_view text) -> Status {
                 SIS_ASSIGN(stop_when, parse_stop_rule(text));
                 return {};
               });
  flags.duration({{"window"}, {"WINDOW"}}, &window, from_ms(10), from_seconds(3600),
                 "length of the windows that --stop-when and the time series look at");
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
  flags.toggle({{"spin"}, {"SPIN"}}, &spin,
               "never sleep: sends and readings exact to microseconds, at the price of the whole "
               "core of each thread");
  flags.integer({{"pipeline"}, {}}, &pipeline, 1, 1024, "requests in flight on each connection");
  flags.toggle({{"keep-alive"}, {}}, &keep_alive,
               "reuse connections; --no-keep-alive makes one per request");
  flags.integer({{"seed"}, {"SEED"}}, &seed, 0, INT64_MAX, "of everything random");
  flags.toggle({{"verify-ssl"}, {"VERIFY_SSL"}}, &verify_ssl,
               "check the server's certificate (https)");
  thresholds.add_to(flags);
  flags.section("Output");
  flags.custom({{"server-metrics"}, {"SERVER_METRICS"}}, "URL|off", "",
               "the server's own figures beside ours; default: its /metrics if it has them",
               [this](std::string_view text) -> Status {
                 SIS_TRY(check_join_target(text));
                 server_metrics = text;
                 return {};
               });
  flags.duration({{"server-metrics-every"}, {}}, &server_metrics_every, Duration{},
                 from_seconds(3600), "between scrapes of those; 0: before and after only");
  flags.text({{"json"}, {}}, &json, "FILE|-",
             "all figures as JSON; - prints them instead of the text");
  add_report_flags(flags, &reports);
  flags.toggle({{"verbose"}, {"VERBOSE"}}, &verbose, "list every error");
  flags.toggle({{"progress"}, {}}, &progress, "how the run is going, on stderr");
}

Result<RunOptions> LoadFlags::resolve(const FlagSet& flags, const net::Url& url) const {
  RunOptions options{.url = url, .verify_tls = verify_ssl};
  options.connections = static_cast<int>(concurrencies.values.front());
  options.threads = static_cast<int>(threads);
  options.pipeline = static_cast<int>(pipeline);
  options.keep_alive = keep_alive;
  options.spin = spin;
  options.timeout = timeout;
  options.rate = rates.values.empty() ? 0 : rates.values.front();
  options.rates = rate_stages;
  options.burst = static_cast<int>(burst);
  options.users = users;
  options.think_min = think.low;
  options.think_max = think.high;
  options.window = window;
  if (!trace.empty()) {
    auto times = read_trace(trace);
    if (!times.ok()) return prefixed("--trace", times.error());
    options.trace = std::move(*times);
  }
  options.arrivals = arrivals == "poisson" ? Arrivals::kPoisson : Arrivals::kConstant;
  options.seed = static_cast<uint64_t>(seed);
  options.duration = duration;
  if (const Profile& profile = users.empty() ? rate_stages : users;
      !profile.empty() && duration == Duration{})
    options.duration = profile.length();
  // A duration replaces the default count, yet not a count that was asked for.
  const bool counted = flags.source("n-requests") != FlagSource::kDefault;
  if (stop_when && options.duration == Duration{} && !counted) options.duration = kRuleDuration;
  if (options.trace && !counted)
    options.requests = options.trace->size();
  else if (options.trace)
    options.requests = std::min<uint64_t>(static_cast<uint64_t>(requests), options.trace->size());
  else
    options.requests =
        options.duration > Duration{} && !counted ? 0 : static_cast<uint64_t>(requests);
  options.warmup_requests = warmup_requests;
  options.warmup_duration = warmup_duration;
  options.errors_max = verbose ? kErrorsVerbose : 1;
  SIS_TRY(check_shape(options));
  if (!options.is_open() || options.trace)
    for (const char* flag : {"arrivals", "burst"})
      if (flags.source(flag) == FlagSource::kFlag)
        return clash(concat("--", flag, ": wants --rate or --rate-stages as well"));
  SIS_TRY(check_reports());
  return options;
}

Status LoadFlags::check_reports() const {
  if (!json.empty() && json != "-")
    if (Status status = check_writable(json); !status.ok())
      return prefixed("--json", std::move(status).error());
  return check_report_files(reports);
}

Status LoadFlags::check_shape(const RunOptions& options) const {
  const bool open = options.is_open();
  if (!rates.values.empty() + !rate_stages.empty() + !trace.empty() > 1)
    return clash("--rate, --rate-stages, --trace: want only one of them");
  if (open && !users.empty())
    return clash("--users-stages: wants a closed loop, without --rate, --rate-stages and --trace");
  if (open && think.high > Duration{})
    return clash("--think: wants a closed loop, without --rate, --rate-stages and --trace");
  if (open && pipeline > 1)
    return clash(
        "--pipeline: want 1 with --rate, --rate-stages or --trace (an open loop sends one request "
        "per free connection)");
  if (!keep_alive && pipeline > 1) return clash("--pipeline: want 1 with --no-keep-alive");
  if (think.high > Duration{} && pipeline > 1) return clash("--pipeline: want 1 with --think");
  if (concurrencies.values.size() > 1 && rates.values.size() > 1)
    return clash("--concurrency, --rate: want several levels of only one of them");
  if (concurrencies.values.size() > 1 && !users.empty())
    return clash("--concurrency: want one level with --users-stages");
  if (search) {
    const Levels& levels = rates.values.empty() ? concurrencies : rates;
    if (!levels.range_start || !users.empty() || !rate_stages.empty() || !trace.empty())
      return clash(
          "--search: wants one range of levels, as --concurrency 1:256 or --rate 10:5000:10");
  } else if (std::max(concurrencies.values.size(), rates.values.size()) > kLevelsMax) {
    return clash(concat("--concurrency, --rate: want up to ", kLevelsMax, " levels"));
  }
  return {};
}

Sweep LoadFlags::sweep() const {
  const bool of_rates = !rates.values.empty() && (rates.values.size() > 1 || rates.range_start);
  const Levels& levels = of_rates ? rates : concurrencies;
  Sweep sweep;
  if (of_rates || concurrencies.values.size() > 1 || concurrencies.range_start)
    sweep.name = of_rates ? "request_rate" : "concurrency";
  sweep.values = levels.values;
  if (search)
    sweep.search.emplace(*levels.range_start, *levels.range_end, levels.range_step, !of_rates);
  return sweep;
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

int write_json(const BenchContext& context, const LoadFlags& flags, const std::string& started,
               const nlohmann::ordered_json& runs) {
  const Document head{.version = SIS_VERSION,
                      .command = context.command,
                      .started = started,
                      .machine = this_machine()};
  const nlohmann::ordered_json document = document_json(head, runs);
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
  std::string out, flag;  // `flag`: the next argument is its value
  for (std::string argument : arguments) {
    const size_t equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
    if (!flag.empty()) {
      argument = shown_value(flag, argument);
      flag.clear();
    } else if (equals != std::string::npos) {
      const std::string name = argument.substr(0, equals);
      argument = concat(name, "=", shown_value(name, argument.substr(equals + 1)));
    } else if (argument.starts_with("-H") && argument.size() > 2) {
      argument = concat("-H", shown_header(argument.substr(2)));
    } else if (is_secret_flag(argument)) {
      flag = argument;
    } else {
      argument = shown_value("", argument);
    }
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
