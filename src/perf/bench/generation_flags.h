// How texts are to be generated: the flags that chats and completions share.
#pragma once

#include <optional>
#include <string>

#include "perf/bench/flags.h"
#include "perf/load/tally.h"
#include "perf/load/texts.h"

namespace sis::perf {

struct GenerationFlags {
  int64_t max_tokens = 128;
  std::optional<LengthSpec> lengths;  // of max_tokens, when --max-tokens is no number
  std::string lengths_text;
  double temperature = 0.7, top_p = 0.9;
  bool stream = true, ignore_eos = false;
  std::string extra;
  Slo slo;

  // `check_extra` tells what is wrong with --extra.
  void add_to(FlagSet& flags, Status (*check_extra)(std::string_view));
  Status check() const;
  // "; up to 128 tokens, temperature 0.7, top_p 0.9"
  std::string shown() const;
};

}  // namespace sis::perf
