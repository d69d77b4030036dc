#include "perf/join/host_cpu.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "base/strings.h"

namespace sis::perf {
namespace {

// /proc files have no size to ask for; the first line is all that is wanted.
std::string read_proc_stat() {
  std::string text(4096, '\0');
  std::FILE* file = std::fopen("/proc/stat", "r");
  if (file == nullptr) return {};
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

double own_cpu_s() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::optional<CpuTimes> cpu_times_now() {
  return parse_cpu_times(read_proc_stat(), static_cast<double>(sysconf(_SC_CLK_TCK)));
}

}  // namespace

std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat, double ticks_per_second) {
  if (!proc_stat.starts_with("cpu ") || ticks_per_second <= 0) return std::nullopt;
  const std::string_view line = proc_stat.substr(4, proc_stat.find('\n') - 4);
  // user nice system idle iowait irq softirq steal; guest times are within user.
  std::array<double, 8> ticks{};
  size_t count = 0;
  for (const auto& word : split(line, ' ')) {
    if (word.empty()) continue;
    const auto value = parse_int(word);
    if (!value || *value < 0) return std::nullopt;
    ticks[count++] = static_cast<double>(*value);
    if (count == ticks.size()) break;
  }
  if (count < 4) return std::nullopt;
  CpuTimes times;
  for (const double value : ticks) times.total_s += value / ticks_per_second;
  times.steal_s = ticks[7] / ticks_per_second;
  times.busy_s = times.total_s - (ticks[3] + ticks[4] + ticks[7]) / ticks_per_second;
  return times;
}

HostCpu::HostCpu() : before_(cpu_times_now()), own_before_s_(own_cpu_s()) {}

nlohmann::ordered_json HostCpu::json() const {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  const auto now = cpu_times_now();
  if (!before_ || !now) return out;
  const double total = now->total_s - before_->total_s;
  if (total <= 0) return out;
  const auto share = [&](double seconds) { return std::clamp(seconds / total, 0.0, 1.0); };
  const double busy = now->busy_s - before_->busy_s, own = own_cpu_s() - own_before_s_;
  out["cores"] = sysconf(_SC_NPROCESSORS_ONLN);
  out["busy_share"] = share(busy);
  out["own_share"] = share(own);
  out["others_share"] = share(busy - own);
  out["steal_share"] = share(now->steal_s - before_->steal_s);
  return out;
}

}  // namespace sis::perf
