#include "perf/report/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "base/strings.h"
#include "base/thread_team.h"

namespace sis::perf {

Machine this_machine() {
  Machine machine;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(':');
    if (colon != std::string::npos) machine.cpu = trim(std::string_view(line).substr(colon + 1));
    break;
  }
  machine.cores = available_cores();
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0)
    machine.memory_gb = static_cast<double>(pages) * static_cast<double>(page) / 1e9;
  utsname names{};
  if (uname(&names) == 0) machine.kernel = concat(names.sysname, " ", names.release);
  return machine;
}

}  // namespace sis::perf
