// `sis bench <what>`: measures a server from outside; everything but signals and the environment is
// in src/perf.
#include "commands.h"
#include "perf/bench/commands.h"
#include "toolkit_command.h"

namespace sis::apps {

int bench_main(int argc, char** argv) {
  return run_toolkit_command("sis bench", perf::bench, argc, argv);
}

}  // namespace sis::apps
