#include "perf/load/trace.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr size_t kTraceBytesMax = size_t{1} << 30;

// The next item up to a separator; takes both off `rest`.
std::string_view next_item(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view item = trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return item;
}

}  // namespace

Result<std::shared_ptr<const TraceTimes>> parse_trace(std::string_view text,
                                                      std::string_view name) {
  auto times = std::make_shared<TraceTimes>();
  std::string_view rest = trim(text);
  const bool array = rest.starts_with('[');
  if (array) {
    if (!rest.ends_with(']'))
      return Error{Code::kInvalidArgument, concat(name, ": the array has no ']' at its end")};
    rest = trim(rest.substr(1, rest.size() - 2));
    if (rest.ends_with(','))
      return Error{Code::kInvalidArgument, concat(name, ": want a number after the last ','")};
  }
  for (size_t number = 1; !rest.empty(); ++number) {
    const std::string_view item = next_item(rest, array ? ',' : '\n');
    if (!array && (item.empty() || item.starts_with('#'))) continue;
    const auto place = [&] { return concat(name, array ? ": entry " : ": line ", number); };
    const auto seconds = parse_double(item);
    if (!seconds || *seconds < 0 || *seconds > kTraceSecondsMax)
      return Error{Code::kInvalidArgument, concat(place(), ": want a time in seconds, 0..",
                                                  kTraceSecondsMax, ", got ", in_quotes(item))};
    const Duration due(static_cast<int64_t>(std::llround(*seconds * 1e9)));
    if (!times->empty() && due < times->back())
      return Error{Code::kInvalidArgument,
                   concat(place(), ": ", *seconds, " s is before the time ahead of it, ",
                          to_seconds(times->back()), " s")};
    if (times->size() == kTraceTimesMax)
      return Error{Code::kInvalidArgument, concat(name, ": over ", kTraceTimesMax, " times")};
    times->push_back(due);
  }
  if (times->empty()) return Error{Code::kInvalidArgument, concat(name, ": no times in it")};
  return std::shared_ptr<const TraceTimes>(std::move(times));
}

Result<std::shared_ptr<const TraceTimes>> read_trace(const std::string& path) {
  SIS_ASSIGN(const std::string text, read_file(path, kTraceBytesMax));
  return parse_trace(text, path);
}

}  // namespace sis::perf
