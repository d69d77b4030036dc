// `sis gate`: compares load runs; everything but signals and the environment is in src/perf.
#include "perf/gate/gate.h"
#include "commands.h"
#include "toolkit_command.h"

namespace sis::apps {

int gate_main(int argc, char** argv) {
  return run_toolkit_command("sis gate", perf::gate, argc, argv);
}

}  // namespace sis::apps
