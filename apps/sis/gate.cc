// `sis gate`: compares load runs; everything but signals and the environment is in src/perf.
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "commands.h"
#include "perf/gate/gate.h"

namespace sis::apps {
namespace {

// Ctrl-C ends `gate run` after the request in flight; a second one ends the process.
std::atomic<bool> g_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  if (g_stop.exchange(true)) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
}

}  // namespace

int gate_main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  perf::BenchContext context;
  context.stop = &g_stop;
  context.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  context.command = "sis gate";
  if (!arguments.empty()) context.command += " " + perf::shown_command(arguments);
  return perf::gate(context, arguments);
}

}  // namespace sis::apps
