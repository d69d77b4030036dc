// What a result was measured on, as far as the operating system tells.
#pragma once

#include <string>

namespace sis::perf {

struct Machine {
  std::string cpu;  // "Intel(R) Xeon(R) Processor"
  int cores = 1;    // this process may use
  double memory_gb = 0;
  std::string kernel;  // "Linux 6.1.0"
};

Machine this_machine();

}  // namespace sis::perf
