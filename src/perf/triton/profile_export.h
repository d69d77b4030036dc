// perf_analyzer's profile export: every request's times and data as JSON, which genai-perf reads.
//
//   {"experiments": [{"experiment": {"mode": "concurrency", "value": 1},
//                     "requests": [{"timestamp": ns, "request_inputs": {}, "response_timestamps":
//                                   [ns...], "response_outputs": [{}...]}...],
//                     "window_boundaries": [ns...]}...],
//    "version": "", "service_kind": "triton", "endpoint": ""}
//
// Times are nanoseconds since 1970. Tensors of numbers are lists or single values, of strings the
// text; those of 16-bit floats are left out, which JSON of perf_analyzer's cannot say either.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "perf/load/workload.h"
#include "perf/triton/recorder.h"
#include "perf/triton/settings.h"

namespace sis::perf {

class ProfileExport {
 public:
  // Opens the file and begins to write; what one level recorded does not stay in memory.
  static Result<std::unique_ptr<ProfileExport>> open(const PerfSettings& settings);
  ~ProfileExport();
  ProfileExport(const ProfileExport&) = delete;

  void note_boundary(TimePoint time) { boundaries_.push_back(time); }
  // One level; `workload` gives the requests' bytes again.
  void add_level(double value, const std::vector<RequestRecord>& records, const Workload& workload);
  Status close(std::string_view version);

 private:
  ProfileExport(const PerfSettings& settings, std::FILE* file);
  void write(std::string_view text);
  int64_t unix_ns(TimePoint time) const;

  const PerfSettings& settings_;
  std::FILE* file_;
  bool wrong_ = false, first_ = true;
  std::chrono::nanoseconds offset_{};  // of the wall clock from the steady one
  std::vector<TimePoint> boundaries_;
};

// The tensors of an infer request or answer as {"NAME": value}: JSON, then raw bytes; `json_list`
// is "inputs" or "outputs". "{}" when it cannot be read.
std::string tensors_as_json(std::string_view body, const char* json_list);

}  // namespace sis::perf
