// Results of earlier runs in a folder, one JSON line each (DIR/history.jsonl): appended, never
// changed, the oldest dropped when there are too many. A line holds what the gate compares, not the
// whole document.
//
// Several processes may write at once: they take turns by a lock on DIR/lock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "perf/gate/samples.h"

namespace sis::perf {

struct HistoryEntry {
  int64_t id = 0;        // 1, 2, ... in the order of recording; never used again
  std::string recorded;  // "2026-01-31T12:00:00Z"
  std::string label;     // a commit, say
  bool good = true;      // a baseline for later runs; failed and interrupted runs are not
  RunSample sample;      // without windows
};

struct HistoryOptions {
  std::string directory;
  size_t keep = 1000;  // entries
};

// Oldest first; empty when there is no file yet. kInvalidArgument names a line that is none.
Result<std::vector<HistoryEntry>> read_history(const std::string& directory);

// Appends one entry for each sample; makes the folder. Returns the ids given.
Result<std::vector<int64_t>> record_history(const HistoryOptions& options,
                                            const std::vector<RunSample>& samples,
                                            const std::string& label, bool good);

// Says of a recorded entry that it is no baseline any more, by a line of its own. kNotFound when
// there is no such entry.
Status retract_history(const HistoryOptions& options, int64_t id);

// The last `count` good entries of every group.
std::vector<RunSample> last_good(const std::vector<HistoryEntry>& entries, size_t count);

}  // namespace sis::perf
