// A command of src/perf as this process runs it: the process's signals, environment and command
// line around it.
//
// Ctrl-C or SIGTERM asks the command to end early, which still tells what it measured; a second one
// ends the process. Once per process.
#pragma once

#include <string>
#include <vector>

#include "perf/bench/common.h"

namespace sis::apps {

using ToolkitCommand = int (*)(const perf::BenchContext& context,
                               const std::vector<std::string>& arguments);

// `name` is "sis <name>" as people type it; argv[0] is not passed on. The command's exit code.
int run_toolkit_command(const char* name, ToolkitCommand command, int argc, char** argv);

}  // namespace sis::apps
