#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>

#include "base/strings.h"
#include "telemetry/metrics.h"

namespace sis::telemetry {
namespace {

std::string read_small_file(const char* path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "re"), std::fclose);
  if (!file) return "";
  std::string text(8192, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return text;
}

double cpu_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Memory {
  double virtual_bytes = 0, resident_bytes = 0;
};
Memory memory() {
  long size_pages = 0, resident_pages = 0;
  if (std::sscanf(read_small_file("/proc/self/statm").c_str(), "%ld %ld", &size_pages,
                  &resident_pages) != 2)
    return {};
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  return {static_cast<double>(size_pages) * page, static_cast<double>(resident_pages) * page};
}

double open_fds() {
  // Since Linux 6.2 the folder's size is the count; counting 10,000 entries would take
  // milliseconds.
  struct stat info = {};
  if (stat("/proc/self/fd", &info) == 0 && info.st_size > 0)
    return static_cast<double>(info.st_size);
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (!folder) return 0;
  int count = -1;  // this folder's own descriptor
  while (const dirent* entry = readdir(folder.get())) count += entry->d_name[0] != '.';
  return count;
}

double max_fds() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

// Field 22 of /proc/self/stat (clock ticks after boot) on the clock of the world; proc_pid_stat(5).
double start_time_seconds() {
  const std::string stat = read_small_file("/proc/self/stat");
  const std::string boot = read_small_file("/proc/stat");
  const size_t name_end = stat.rfind(')');
  const size_t btime = boot.find("\nbtime ");
  if (name_end != std::string::npos && btime != std::string::npos) {
    const auto fields = split(std::string_view(stat).substr(name_end + 2), ' ');
    long long boot_seconds = 0;
    if (fields.size() > 19 && std::sscanf(boot.c_str() + btime, "\nbtime %lld", &boot_seconds) == 1)
      return static_cast<double>(boot_seconds) +
             static_cast<double>(parse_int(fields[19]).value_or(0)) /
                 static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// CPU time over wall time between two scrapes.
class CpuPercent {
 public:
  double read() {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
    const double wall = std::chrono::duration<double>(now - last_).count();
    // Scrapes that come together share a figure.
    if (wall >= 0.1) {
      percent_ = (cpu - last_cpu_) / wall * 100;
      last_ = now;
      last_cpu_ = cpu;
    }
    return percent_;
  }

 private:
  std::mutex mutex_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  double last_cpu_ = cpu_seconds();
  double percent_ = 0;
};

}  // namespace

std::shared_ptr<void> expose_process(Registry& registry) {
  auto handles = std::make_shared<std::vector<std::shared_ptr<void>>>();
  const auto gauge = [&](const char* name, const char* help, std::function<double()> read) {
    handles->push_back(registry.gauge_callback(name, help, {}, [read = std::move(read)] {
      return std::vector<Sample>{{{}, read()}};
    }));
  };
  handles->push_back(registry.counter_callback("process_cpu_seconds_total",
                                               "User and system CPU time of the process.", {}, [] {
                                                 return std::vector<Sample>{{{}, cpu_seconds()}};
                                               }));
  gauge("process_resident_memory_bytes", "Memory in RAM.", [] { return memory().resident_bytes; });
  gauge("process_virtual_memory_bytes", "Address space in use.",
        [] { return memory().virtual_bytes; });
  gauge("process_open_fds", "Open file descriptors.", open_fds);
  gauge("process_max_fds", "Most file descriptors the process may open.", max_fds);
  const double started = start_time_seconds();
  gauge("process_start_time_seconds", "When the process started, Unix time.",
        [started] { return started; });
  gauge("process_uptime_seconds", "Seconds since the process started.",
        [born = std::chrono::steady_clock::now(),
         before = std::max(
             0.0, std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
                          .count() -
                      started)] {
          return before +
                 std::chrono::duration<double>(std::chrono::steady_clock::now() - born).count();
        });
  gauge("process_cpu_percent", "CPU use since the scrape before; 100 is one core.",
        [percent = std::make_shared<CpuPercent>()] { return percent->read(); });
  gauge("process_memory_bytes", "Memory in RAM.", [] { return memory().resident_bytes; });
  return handles;
}

}  // namespace sis::telemetry
