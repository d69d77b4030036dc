#include "perf/report/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr int kWidthMin = 20, kWidthMax = 400;

bool is_utf8_locale(
    const std::function<std::optional<std::string>(const std::string&)>& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto value = environment(name);
    if (!value || value->empty()) continue;  // the first that is set decides
    const std::string lower = to_lower(*value);
    return lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  }
  return false;
}

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

Terminal terminal_of(
    std::FILE* file,
    const std::function<std::optional<std::string>(const std::string&)>& environment) {
  Terminal out;
  const int number = file == nullptr ? -1 : fileno(file);
  out.unicode = is_utf8_locale(environment);
  if (number < 0 || isatty(number) == 0) return out;
  const std::string kind = environment("TERM").value_or("");
  out.redraws = !kind.empty() && kind != "dumb";
  out.color = out.redraws && environment("NO_COLOR").value_or("").empty();
  winsize size{};
  if (ioctl(number, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    out.width = size.ws_col;
  else if (const auto columns = parse_int(environment("COLUMNS").value_or("")))
    out.width = static_cast<int>(std::clamp<int64_t>(*columns, kWidthMin, kWidthMax));
  out.width = std::clamp(out.width, kWidthMin, kWidthMax);
  return out;
}

Terminal terminal_of(std::FILE* file) {
  return terminal_of(file, [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

std::string sparkline(std::span<const double> values, bool unicode) {
  static constexpr std::string_view kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::string_view kMarks[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
  double high = 0;
  for (const double value : values)
    if (std::isfinite(value)) high = std::max(high, value);
  std::string out;
  for (const double value : values) {
    if (!std::isfinite(value) || value < 0) {
      out += ' ';
      continue;
    }
    const double share = high > 0 ? value / high : 0;
    const auto step = static_cast<size_t>(std::clamp(std::ceil(share * 8) - 1, 0.0, 7.0));
    out += unicode ? kBlocks[step] : kMarks[step];
  }
  return out;
}

std::string progress_bar(double share, int width, bool unicode) {
  const int inside = std::max(width - 2, 1);
  const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * inside + 0.5);
  std::string out = "[";
  for (int i = 0; i < inside; ++i) out += i < full ? (unicode ? "█" : "#") : (unicode ? "░" : "-");
  return out + "]";
}

int columns_of(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); }));
}

std::string cut_to(std::string_view text, int columns, bool unicode) {
  if (columns_of(text) <= columns) return std::string(text);
  const std::string_view mark = unicode ? "…" : ">";
  size_t end = 0;
  for (int seen = 0; end < text.size(); ++end) {
    if (continues_character(text[end])) continue;
    if (seen == std::max(columns - 1, 0)) break;
    ++seen;
  }
  return std::string(text.substr(0, end)) + std::string(columns > 0 ? mark : "");
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls as UTF-8 are C2 80 .. C2 9F.
    const bool c1 = byte == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0 &&
                    continues_character(text[i + 1]);
    if (c1) ++i;
    out += c1 || byte < 0x20 || byte == 0x7f ? '?' : text[i];
  }
  return out;
}

}  // namespace sis::perf
