// What the kernel benchmarks share: the options all have, the clocks, the machine's line.
#pragma once

#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/kernels/isa.h"

namespace sis::bench {

struct Options {
  bool smoke = false;
  Isa isa = detect_isa();
  uint64_t seed = 1;
  int rounds = 1;
};

// An option of one benchmark's own: its name, the value as usage shows it ("N", "decode|rows"), and
// what takes the value; false: not a value.
struct OwnOption {
  std::string name, value;
  std::function<bool(const std::string&)> take;
};

// All of `text` as a number, or false.
template <class Int>
bool read_number(const std::string& text, Int& number) {
  char* end = nullptr;
  number = static_cast<Int>(std::strtoll(text.c_str(), &end, 10));
  return !text.empty() && *end == '\0';
}

// Fills `options`; false after a line of usage on stderr.
inline bool parse(int argc, char** argv, const char* program, Options& options,
                  const std::vector<OwnOption>& own = {}) {
  const auto usage = [&](const std::string& found) {
    std::fprintf(stderr,
                 "%s: %s: want [--smoke] [--isa ref|avx2|avx512|avx512_bf16|amx] [--seed N] "
                 "[--rounds N]",
                 program, found.c_str());
    for (const auto& option : own)
      std::fprintf(stderr, " [%s %s]", option.name.c_str(), option.value.c_str());
    std::fprintf(stderr, "\n");
    return false;
  };
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--smoke") {
      options.smoke = true;
      continue;
    }
    if (i + 1 == argc) return usage(name);
    const std::string value = argv[++i];
    const auto mine = std::find_if(own.begin(), own.end(),
                                   [&](const auto& option) { return option.name == name; });
    if (mine != own.end()) {
      if (!mine->take(value)) return usage(value);
    } else if (name == "--isa") {
      const auto isa = parse_isa(value);
      if (!isa || *isa > detect_isa()) return usage(value);
      options.isa = *isa;
    } else if (name == "--seed") {
      if (!read_number(value, options.seed)) return usage(value);
    } else if (name == "--rounds") {
      if (!read_number(value, options.rounds) || options.rounds < 1 || options.rounds > 10000)
        return usage(value);
    } else {
      return usage(name);
    }
  }
  return true;
}

// Of the calling thread.
inline double cpu_s() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
inline double wall_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline double percentile(std::vector<double> values, int percent) {
  const auto at = std::min<int64_t>(static_cast<int64_t>(values.size()) * percent / 100,
                                    static_cast<int64_t>(values.size()) - 1);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<size_t>(at)];
}

inline std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown CPU";
}
// "# Intel ..., 2 cores, Linux 6.1; commit ...; isa amx; seed 1; rounds 9"
inline void print_machine(const Options& options, int cores) {
  utsname system;
  uname(&system);
  std::printf("# %s, %d cores, %s %s; commit %s; isa %s; seed %llu; rounds %d%s\n",
              cpu_model().c_str(), cores, system.sysname, system.release, SIS_COMMIT,
              isa_name(options.isa), static_cast<unsigned long long>(options.seed), options.rounds,
              options.smoke ? "; smoke" : "");
}

}  // namespace sis::bench
