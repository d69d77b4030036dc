// Where the texts of a command come from: one given text, the lines of a file, or made-up words.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "perf/bench/common.h"
#include "perf/bench/flags.h"
#include "perf/bench/server_flags.h"
#include "perf/load/request_pool.h"

namespace sis::perf {

struct TextFlags {
  std::string noun = "text";  // "prompt": --prompt, PROMPT, --prompt-file, PROMPT_FILE
  std::string text;           // the default
  std::string file, lengths;
  std::string lengths_flag = "lengths", lengths_variable = "LENGTHS";
  bool shuffle = false, distinct = false;

  // `lengths_flags`: all names of --lengths, `lengths_flag` among them. No help for --distinct:
  // there is none.
  void add_to(FlagSet& flags, std::vector<std::string> lengths_flags,
              const std::string& distinct_help);
  // Where several of the three are given, by flag or environment, a flag decides; two of a kind are
  // an error.
  Status choose(const FlagSet& flags);

  // Errors: an unreadable file, a wrong length.
  Result<TextSource> source(uint64_t seed) const;
  // "3 lines of a.txt, shuffled"
  std::string shown(const TextSource& source) const;
};

// What a command that sends texts has after its flags are parsed and chosen.
struct TextRun {
  Server server;
  RunOptions options;
  TextSource texts;
};
// Errors: a wrong flag, a file that cannot be read.
Result<TextRun> resolve_text_run(const FlagSet& flags, const ServerFlags& server,
                                 const LoadFlags& load, const TextFlags& texts);

}  // namespace sis::perf
