// sis: serves models, runs them offline and measures servers. One file per subcommand.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include "base/strings.h"
#include "commands.h"
#include "version.h"

namespace {

struct Command {
  const char* name;
  int (*run)(int argc, char** argv);
  const char* help;
};

constexpr Command kCommands[] = {
    {"demo", sis::apps::demo_main, "a short tour of what the server does, in the terminal"},
    {"serve", sis::apps::serve_main, "serve models over HTTP (OpenAI-compatible)"},
    {"chat", sis::apps::chat_main, "talk with a model in the terminal, without a server"},
    {"generate", sis::apps::generate_main, "text from a prompt, without a server; its speed"},
    {"embed", sis::apps::embed_main, "turn lines of text into vectors, without a server"},
    {"tokenize", sis::apps::tokenize_main,
     "turn texts into token ids, and conversations into prompts"},
    {"bench", sis::apps::bench_main, "measure a server: latency, throughput, errors"},
    {"perf", sis::apps::perf_main, "measure a KServe model as perf_analyzer does"},
    {"gate", sis::apps::gate_main, "compare load runs: has it become slower, and is that noise"},
    {"report", sis::apps::report_main, "make pages and tables of what bench measured"},
    {"keys", sis::apps::keys_main, "make, list and revoke API keys"},
    {"settings", sis::apps::settings_main, "list every setting, its value and where it came from"},
};

void print_help(std::FILE* to) {
  std::fprintf(to,
               "sis %s: a small inference server\n\nusage: sis <command> [options]\n\ncommands:\n",
               SIS_VERSION);
  for (const auto& command : kCommands)
    std::fprintf(to, "  %-10s %s\n", command.name, command.help);
  std::fprintf(to,
               "\n'sis <command> --help' tells its options; 'sis --version' prints the version.\n");
}

// A result that did not get out is a failure, also of a command that has not noticed. Who closed
// the pipe (`| head -1`) has seen enough.
int with_stdout_flushed(int exit_code) {
  std::cout.flush();
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0) return exit_code;
  // The reason of an earlier failure is lost; the same device mostly gives it again.
  int reason = errno;
  if (reason == 0 && ::write(STDOUT_FILENO, "", 0) < 0) reason = errno;
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  if (reason == EPIPE || (::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0))
    return exit_code;
  std::fprintf(stderr, "sis: standard output: %s\n",
               reason != 0 ? std::strerror(reason) : "not all of it could be written");
  return exit_code == 0 ? 1 : exit_code;
}

int run(int argc, char** argv) {
  if (argc < 2) {
    print_help(stderr);
    return 2;
  }
  const std::string name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(stdout);
    return 0;
  }
  if (name == "--version" || name == "-V") {
    std::printf("sis %s\n", SIS_VERSION);
    return 0;
  }
  for (const auto& command : kCommands) {
    if (name != command.name) continue;
    std::string program = "sis " + name;  // as the subcommand's own messages say it
    argv[1] = program.data();
    return command.run(argc - 1, argv + 1);
  }
  std::fprintf(stderr, "sis: unknown command %s; 'sis --help' lists them\n",
               sis::in_quotes(name).c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) { return with_stdout_flushed(run(argc, argv)); }
