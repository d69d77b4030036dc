// Drawing on a terminal: what it can do, and the small pictures that fit into a line.
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sis::perf {

struct Terminal {
  bool redraws = false;  // a terminal that understands control sequences
  bool color = false;
  bool unicode = false;
  int width = 80;  // columns
};

// From the file and the environment: NO_COLOR, TERM (dumb: nothing is redrawn), COLUMNS, and
// LC_ALL, LC_CTYPE or LANG for the character set.
Terminal terminal_of(
    std::FILE* file,
    const std::function<std::optional<std::string>(const std::string&)>& environment);
Terminal terminal_of(std::FILE* file);  // with the process's own environment

// One character per value, its height relative to the highest value; a blank where it is NaN.
std::string sparkline(std::span<const double> values, bool unicode);
// "[#####-----]" of `width` columns in all; `share` is 0..1.
std::string progress_bar(double share, int width, bool unicode);
// `text` as far as it fits into `columns`; what is cut off ends in a mark.
std::string cut_to(std::string_view text, int columns, bool unicode);
// Columns of well-formed UTF-8 text without wide characters.
int columns_of(std::string_view text);

// Without the control characters a server could hide in a name to steer the terminal.
std::string printable(std::string_view text);

}  // namespace sis::perf
