// Load levels: lists and ranges of them as flags take them, the search for the highest level that
// keeps a limit, and the table of a sweep. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "perf/load/profile.h"

namespace sis::perf {

inline constexpr size_t kLevelsMax = 1000;

struct Levels {
  std::vector<double> values;  // at least one, as written
  // Of a single range: for a search.
  std::optional<double> range_start, range_end;
  double range_step = 1;
};

// "4", "1,2,4,8", "1:16:5" (1, 6, 11, 16), "1:4,8,16"; a range's step is 1 where it is not given.
// Every level must lie in low..high; `whole`: be a whole number.
Result<Levels> parse_levels(std::string_view text, double low, double high, bool whole);

// "30s:20,1m:20,10s:0": to 20 within 30 s, there for 1 min, to 0 within 10 s. Begins at 0, or at a
// level of its own in front: "5,30s:20".
Result<Profile> parse_stages(std::string_view text, double highest);

// "0.5s-2s", "1s"; not over a day.
struct TimeRange {
  Duration low{}, high{};
};
Result<TimeRange> parse_time_range(std::string_view text);

// A limit on latency: "p99<500ms", "mean<20ms", "max<2s"; a bare number is milliseconds.
struct LatencyLimit {
  std::string name;                // "p99"
  std::optional<double> quantile;  // none: the mean
  double limit_ms = 0;
  std::string text() const;
};
Result<LatencyLimit> parse_latency_limit(std::string_view text);

// Finds the highest level that keeps a limit, as perf_analyzer does: the start, the end, then the
// middle of what is left until no more than a step is left. Takes for granted that a higher level
// never keeps what a lower one breaks.
class LevelSearch {
 public:
  LevelSearch(double start, double end, double step, bool whole)
      : start_(start), end_(end), step_(step), whole_(whole) {}

  std::optional<double> next() const;  // the level to try; none: the search is over
  void note(double level, bool kept);
  std::optional<double> best() const { return best_; }  // none: not even the start kept it

 private:
  double start_, end_, step_;
  bool whole_;
  std::optional<double> best_, broken_;  // the highest that kept it, the lowest that did not
};

}  // namespace sis::perf
