// `sis bench serve-worker`: load for a Locust master.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "base/strings.h"
#include "base/utc.h"
#include "perf/bench/commands.h"
#include "perf/gate/thresholds.h"
#include "perf/locust/dealer.h"
#include "perf/locust/session.h"
#include "perf/locust/task_sets.h"
#include "perf/locust/users.h"

namespace sis::perf {
namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(20);
constexpr const char* kAbout =
    "Sends load as a worker of a Locust master (2.x): its web UI, its ramps and its CSV, our\n"
    "generator. The user classes are the scenarios of a plan; --print-locustfile writes the\n"
    "locustfile the master needs. docs/locust.md tells more. Exit code: 0 the master ended it,\n"
    "1 no master, 2 wrong arguments, 104 the plan is wrong.";

TimePoint now() { return std::chrono::steady_clock::now(); }
double epoch_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string node_id() {
  char host[256] = "worker";
  ::gethostname(host, sizeof host - 1);
  std::random_device random;
  std::string id = concat(host, "_");
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

// CPU time of this process over the time since the last call, in percent of a core.
class CpuMeter {
 public:
  double percent() {
    const TimePoint at = now();
    if (at - at_ < std::chrono::seconds(1)) return percent_;
    const double used = seconds();
    percent_ = 100 * (used - used_) / to_seconds(at - at_);
    at_ = at;
    used_ = used;
    return percent_;
  }

 private:
  static double seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
  }
  TimePoint at_ = now();
  double used_ = seconds(), percent_ = 0;
};

uint64_t memory_bytes() {
  unsigned long all = 0, resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu %lu", &all, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

struct Master {
  std::string host = "127.0.0.1";
  uint16_t port = 5557;
};

// "host", "host:5557", "[::1]:5557"
Result<Master> parse_master(std::string_view text) {
  Master out;
  const Error wrong{Code::kInvalidArgument, concat("want HOST[:PORT], got ", in_quotes(text))};
  std::string_view rest = text;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong;
    out.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
  } else {
    out.host = rest.substr(0, rest.find(':'));
    rest.remove_prefix(out.host.size());
  }
  for (const char c : out.host)
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == 0x7f) return wrong;
  if (out.host.empty() || out.host.size() > 253) return wrong;
  if (rest.empty()) return out;
  const auto port = rest.starts_with(':') ? parse_int(rest.substr(1)) : std::nullopt;
  if (!port || *port < 1 || *port > 65535) return wrong;
  out.port = static_cast<uint16_t>(*port);
  return out;
}

struct WorkerFlags {
  LoadFlags load;
  PlanChoices choices;
  Master master;
  std::string plan, task_set = "predict-mix";
  int64_t users_max = 1000;
  double resolution_ms = 1;
  bool print_locustfile = false;
};

void add_flags(FlagSet& flags, WorkerFlags& values) {
  flags.section("Master");
  flags.custom({{"locust-master"}, {"LOCUST_MASTER"}}, "HOST[:PORT]", "127.0.0.1:5557",
               "where `locust --master` listens for workers",
               [&values](std::string_view text) -> Status {
                 SIS_ASSIGN(values.master, parse_master(text));
                 return {};
               });
  flags.section("Users");
  flags.text({{"plan"}, {"PLAN"}}, &values.plan, "FILE",
             "the plan whose scenarios are the user classes");
  std::string sets;
  for (const TaskSet& set : task_sets()) sets += concat(sets.empty() ? "" : ", ", set.name);
  flags.text({{"task-set"}, {"TASK_SET"}}, &values.task_set, "NAME",
             concat("a plan that comes with the program, without --plan: ", sets));
  flags.text({{"env"}, {"PLAN_ENV"}}, &values.choices.environment, "NAME",
             "the plan's environment; the master's host goes before its base_url");
  flags.text({{"base-url"}, {"BASE_URL"}}, &values.choices.base_url, "URL",
             "the server, when the master names no host");
  flags.custom({{"set"}, {}}, "NAME=VALUE", "", "a variable or a value of the plan",
               [&values](std::string_view text) -> Status {
                 values.choices.settings.emplace_back(text);
                 return {};
               });
  flags.integer({{"users-max"}, {}}, &values.users_max, 1, 100000,
                "users of one class that this worker takes");
  flags.section("Output");
  flags.number({{"resolution-ms"}, {}}, &values.resolution_ms, 0.001, 1000,
               "steps of the times that the master gets; Locust's own are 1 to 1000 ms wide");
  flags.toggle({{"print-locustfile"}, {}}, &values.print_locustfile,
               "print the locustfile for the master and end");
  flags.text({{"json"}, {}}, &values.load.json, "FILE|-",
             "all figures of this worker as JSON, at its end");
}

Result<Plan> plan_of(const WorkerFlags& values) {
  if (!values.plan.empty()) return load_plan(values.plan, values.choices);
  const TaskSet* set = find_task_set(values.task_set);
  if (set == nullptr) {
    std::vector<std::string_view> names;
    for (const TaskSet& one : task_sets()) names.push_back(one.name);
    return Error{Code::kInvalidArgument, concat("--task-set: want ", join_list(names), ", got ",
                                                in_quotes(values.task_set))};
  }
  return parse_plan(std::string(set->plan), concat(set->name, ".yaml"), values.choices);
}

// Until the session is done: why it failed, or empty.
Result<std::string> serve(const BenchContext& context, const Master& master, const std::string& id,
                          LocustSession& session) {
  SIS_ASSIGN(auto dealer, Dealer::connect(master.host, master.port, id));
  CpuMeter cpu;
  session.start(now(), epoch_seconds());
  bool told = false;
  while (!session.done()) {
    dealer->wait(kLookEvery);
    while (const auto bytes = dealer->receive()) {
      const auto message = parse_master_message(*bytes);
      if (message.ok())
        session.on_message(*message, now(), epoch_seconds());
      else
        fmt::print(context.messages, "sis bench: {}\n", message.error().message);
    }
    if (session.reconnect_wanted()) {
      dealer.reset();
      SIS_ASSIGN(dealer, Dealer::connect(master.host, master.port, id));
    }
    if (context.stop != nullptr && context.stop->load()) session.leave(now());
    session.tick(now(), epoch_seconds(), cpu.percent(), memory_bytes());
    if (session.connected() && !told) {
      fmt::print(context.messages, "sis bench: worker of {}:{}\n", master.host, master.port);
      std::fflush(context.messages);
      told = true;
    }
    while (!session.outbox().empty() && dealer->send(session.outbox().front()))
      session.outbox().pop_front();
  }
  return session.failure();
}

}  // namespace

int bench_serve_worker(const BenchContext& context, const std::vector<std::string>& arguments) {
  WorkerFlags values;
  values.choices.variables = context.environment;
  FlagSet flags("sis bench serve-worker --locust-master HOST[:PORT] [--plan FILE] [flags]", kAbout);
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  if (const Status status = values.load.check_reports(); !status.ok())
    return complain(context, status.error(), kExitUsage);
  const auto plan = plan_of(values);
  if (!plan.ok()) return complain(context, plan.error(), kExitBadThreshold);
  const auto locustfile = dummy_locustfile(*plan);
  if (!locustfile.ok()) return complain(context, locustfile.error(), kExitBadThreshold);
  if (values.print_locustfile) {
    fmt::print(context.out, "{}", *locustfile);
    return kExitOk;
  }
  // A scenario that cannot be made is told now, not when the master orders its users.
  for (const auto& scenario : plan->scenarios) {
    const auto workload = make_workload(*plan, scenario, plan->environment, 0);
    if (!workload.ok()) return complain(context, workload.error(), kExitBadThreshold);
  }

  const std::string started = utc_now(), id = node_id();
  std::random_device random;
  LocustStats stats(values.resolution_ms);
  LocustUsers users({.plan = &*plan,
                     .users_max = static_cast<int>(values.users_max),
                     .seed = plan->seed ^ random(),
                     .salt = salt_of_now() + (uint64_t{random()} << 20)},
                    stats);
  LocustSession session(id, users, stats);
  fmt::print(context.messages, "sis bench: asking the Locust master at {}:{} for work\n",
             values.master.host, values.master.port);
  std::fflush(context.messages);
  const auto failure = serve(context, values.master, id, session);
  users.stop({});
  const int written = write_json(context, values.load, started, users.runs());
  if (!failure.ok()) return complain(context, failure.error(), kExitFailed);
  if (!failure->empty()) return complain(context, Error{Code::kUnavailable, *failure}, kExitFailed);
  return written;
}

}  // namespace sis::perf
