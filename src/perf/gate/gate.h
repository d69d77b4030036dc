// `sis gate`: compares runs, keeps their history, checks thresholds of runs that are over, and runs
// two servers against each other, and tells how often it would be wrong on a machine.
//
// Exit codes: 0 nothing is worse, 1 a file could not be written or a run not made, 99 regressed or
// a threshold crossed, 104 wrong arguments or files, 105 interrupted.
#pragma once

#include <string>
#include <vector>

#include "perf/bench/common.h"
#include "perf/gate/compare.h"

namespace sis::perf {

inline constexpr int kExitRegressed = 99, kExitBadInput = 104;

int gate(const BenchContext& context, const std::vector<std::string>& arguments);

// The subcommands; `arguments` without the word itself.
int gate_compare(const BenchContext& context, const std::vector<std::string>& arguments);
int gate_check(const BenchContext& context, const std::vector<std::string>& arguments);
int gate_record(const BenchContext& context, const std::vector<std::string>& arguments);
int gate_history(const BenchContext& context, const std::vector<std::string>& arguments);
int gate_run(const BenchContext& context, const std::vector<std::string>& arguments);
int gate_noise(const BenchContext& context, const std::vector<std::string>& arguments);

// What the subcommands that compare have in common.
struct GateFlags {
  GateOptions options;
  double min_effect = 5, min_error_share = 0.5, alpha = 2;  // in %
  int64_t seed = 1;
  std::string scenario, markdown, json;
  bool fail_if_noisy = false;

  void add_to(FlagSet& flags);
  GateOptions resolved() const;
};

// Compares, prints, writes what was asked for; the exit code.
int compare_and_report(const BenchContext& context, const GateFlags& flags,
                       const std::vector<RunSample>& baseline,
                       const std::vector<RunSample>& candidate);

// The samples of all files.
Result<std::vector<RunSample>> read_files(const std::vector<std::string>& files,
                                          const std::string& scenario);

int gate_complain(const BenchContext& context, const Error& error, int exit_code = kExitBadInput);
// Writes to a file, or to `context.out` for "-".
Status write_text(const BenchContext& context, const std::string& file, const std::string& text);

// Flags whose values go on until the next flag, as `--baseline A B`, each value with its flag.
std::vector<std::string> with_repeated_flags(const std::vector<std::string>& arguments,
                                             const std::vector<std::string>& lists);

}  // namespace sis::perf
