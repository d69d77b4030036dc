// How busy the generator's own machine was: all of it, this process, and what a hypervisor took.
//
// From /proc/stat (proc(5): jiffies in user, nice, system, idle, iowait, irq, softirq, steal) and
// getrusage. A generator on a busy machine measures that machine; a report says so beside the
// latencies.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace sis::perf {

struct CpuTimes {
  double busy_s = 0, steal_s = 0, total_s = 0;  // of all cores together
};

// The line "cpu ..." of /proc/stat; nothing when it is not there.
std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat, double ticks_per_second);

class HostCpu {
 public:
  HostCpu();  // from now on

  // {cores, busy_share, own_share, others_share, steal_share}: shares of all cores since the
  // construction; {} where the system does not tell.
  nlohmann::ordered_json json() const;

 private:
  std::optional<CpuTimes> before_;
  double own_before_s_ = 0;
};

}  // namespace sis::perf
