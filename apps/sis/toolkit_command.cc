#include "toolkit_command.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <optional>

namespace sis::apps {
namespace {

std::atomic<bool> g_stop{false};  // a signal handler has nothing else to reach
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  if (g_stop.exchange(true)) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
}

}  // namespace

int run_toolkit_command(const char* name, ToolkitCommand command, int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  perf::BenchContext context;
  context.stop = &g_stop;
  context.environment = [](const std::string& variable) -> std::optional<std::string> {
    const char* value = std::getenv(variable.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  context.command = name;
  if (!arguments.empty()) context.command += " " + perf::shown_command(arguments);
  return command(context, arguments);
}

}  // namespace sis::apps
