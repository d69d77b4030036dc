// What arguments of several offline commands have in common: checks that CLI11 lacks, and inputs.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace sis::apps {

// CLI::Range lets NaN pass, and takes what does not fit 64 bits for the largest number that does.
CLI::Validator number_from(double least, double most);
CLI::Validator whole_number_from(int64_t least, int64_t most);

// The words of --isa; whether the machine has the level is isa_of_argument()'s to say.
CLI::Validator isa_word();

// All of a file, or of stdin for "-". The error names --input and the system's reason.
Result<std::string> read_input(const std::string& path);

}  // namespace sis::apps
