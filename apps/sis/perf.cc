// `sis perf`: measures a server from outside; everything but signals and the environment is
// in src/perf.
#include "perf/triton/perf.h"
#include "commands.h"
#include "toolkit_command.h"

namespace sis::apps {

int perf_main(int argc, char** argv) {
  return run_toolkit_command("sis perf", perf::perf, argc, argv);
}

}  // namespace sis::apps
