// `sis report`: makes pages and tables of results that were kept as JSON; everything is in
// src/perf.
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "perf/bench/commands.h"

namespace sis::apps {

int report_main(int argc, char** argv) {
  perf::BenchContext context;
  // Where to write is said in flags only.
  context.environment = [](const std::string&) -> std::optional<std::string> {
    return std::nullopt;
  };
  return perf::report_command(context, {argv + (argc > 0 ? 1 : 0), argv + argc});
}

}  // namespace sis::apps
