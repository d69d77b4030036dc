// Where the texts of a command come from: one given text, the lines of a file, or made-up words.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "perf/bench/flags.h"
#include "perf/load/request_pool.h"
#include "perf/load/texts.h"

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

  struct Texts {
    std::vector<std::string> lines;     // of the file
    std::optional<LengthSpec> lengths;  // made-up texts
  };
  // Neither: the one text. Errors: an unreadable file, a wrong length.
  Result<Texts> load(uint64_t seed) const;
  // The same as a source of texts.
  Result<TextSource> source(uint64_t seed) const;
  // "3 lines of a.txt, shuffled"
  std::string shown(const Texts& texts) const;
  std::string shown(const TextSource& source) const;
};

}  // namespace sis::perf
