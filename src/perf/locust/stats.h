// What the users of a worker measured, in the form a Locust master adds up: rows by name and
// method, each a delta since the last report.
//
// A failed request counts as a request and as a failure, and its time is in the row's times, as in
// Locust. Times are whole milliseconds (or the wanted step), finer than Locust's own two digits;
// the master takes percentiles from whatever comes. Thread-safe: windows come from the threads of
// the runs, reports leave on the socket's.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "perf/load/tally.h"
#include "perf/locust/msgpack.h"

namespace sis::perf {

struct LocustRow {
  uint64_t requests = 0, failures = 0;
  double total_ms = 0, min_ms = 0, max_ms = 0;  // min and max only when `times` holds any
  uint64_t content_bytes = 0;
  std::map<int64_t, uint64_t> times;                         // step -> how often
  std::map<int64_t, uint64_t> per_second, fails_per_second;  // epoch second -> how often
  double last = 0;                                           // epoch seconds; 0: no request

  void add(const Histogram& histogram, double step_ms);
  void merge(const LocustRow& other);
};

struct LocustError {
  uint64_t occurrences = 0;
  double first_seen = 0, last_seen = 0;
};

struct RowName {
  std::string method, name;
  auto operator<=>(const RowName&) const = default;
};

class LocustStats {
 public:
  static constexpr size_t kErrorsMax = 500;  // different ones in one report

  // `step_ms`: width of the times' steps, 0.001..1000; below 1 they are sent as fractions.
  explicit LocustStats(double step_ms = 1) : step_ms_(step_ms) {}

  // What ended between two moments (seconds since the epoch) of row `name`.
  void add(const RowName& name, const Tally& tally, double from_s, double until_s);
  // Requests that never were, like those of users that reach no server.
  void add_failure(const RowName& name, const std::string& message, double at_s);
  void clear(double now_s);

  // The body of a "stats" message, and a new beginning.
  void take(MsgpackWriter& out, const std::map<std::string, int>& users, double now_s);

 private:
  void write_row(MsgpackWriter& out, const RowName& name, const LocustRow& row, double now_s) const;
  void note_error(const RowName& name, const std::string& message, uint64_t count, double at_s);

  const double step_ms_;
  std::mutex mutex_;
  std::map<RowName, LocustRow> rows_;
  LocustRow total_;
  std::map<std::pair<RowName, std::string>, LocustError> errors_;
  double started_s_ = 0;  // of the report that is being collected
};

}  // namespace sis::perf
