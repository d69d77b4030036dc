// What `sis perf` was asked for: perf_analyzer's command line.
//
// Names, defaults and rules are those of perf_analyzer with -i http; what only gRPC, shared memory
// or its other services need is refused with a reason. A few flags are ours and said to be so.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/tensor.h"

namespace sis::perf {

enum class ServiceKind : uint8_t { kTriton, kOpenAi };
enum class LoadMode : uint8_t { kConcurrency, kRequestRate, kIntervals };

// start:end:step; an end of 0 goes on until the latency limit is passed.
template <class T>
struct SearchRange {
  T start = 1, end = 1, step = 1;
};

struct PerfSettings {
  std::string model, version;
  std::vector<std::pair<std::string, std::string>> composing_models;  // of a BLS model
  net::Url url;
  ServiceKind kind = ServiceKind::kTriton;
  std::string endpoint;  // OpenAI kind
  std::vector<std::pair<std::string, std::string>> headers;
  bool verify_tls = true;

  LoadMode mode = LoadMode::kConcurrency;
  SearchRange<int64_t> concurrency;
  SearchRange<double> rate;
  bool poisson = false;
  std::string intervals_file;
  bool binary_search = false;
  int64_t latency_limit_ms = 0;  // 0: none
  int64_t max_threads = 0;       // 0: not given
  bool async = false;

  int64_t interval_ms = 5000;
  bool count_windows = false;
  int64_t window_requests = 50;
  double stability = 0.10;
  int64_t trials_max = 10;
  int64_t percentile = -1;  // -1: the mean decides about stability
  int64_t request_count = 0, warmup_requests = 0;

  int64_t batch = 1;
  bool batch_given = false;
  std::vector<std::string> input_files;
  bool zero_input = false;
  int64_t string_length = 128;
  std::string string_data;
  std::map<std::string, TensorShape> shapes;
  bool json_tensors = false;
  std::string parameters;  // JSON object of every request

  bool collect_metrics = false;
  std::string metrics_url;
  int64_t metrics_interval_ms = 1000;

  std::string csv_file, profile_file, json_file;
  bool verbose_csv = false;
  int verbosity = 0;
  bool keep_going = false;  // failed requests are counted instead of ending the run
  int64_t seed = 1;
};

struct ParsedPerf {
  PerfSettings settings;
  std::string help;  // not empty: only that was wanted
};

// Errors: an unknown, refused or malformed flag; values that contradict each other.
Result<ParsedPerf> parse_perf_arguments(const std::vector<std::string>& arguments);

}  // namespace sis::perf
