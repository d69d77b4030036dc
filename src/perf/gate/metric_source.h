// Where metrics take their figures from: one face for a run of the document and for a live tally.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "perf/gate/metric.h"

namespace sis::perf {

enum class Trend : uint8_t {
  kLatency,
  kService,
  kFailed,
  kConnecting,
  kTlsHandshaking,
  kSending,
  kWaiting,
  kReceiving,
  kTtft,
  kItl,
  kTpot,
};

enum class Figure : uint8_t {
  kRequests,
  kFailures,
  kSeconds,
  kBytesOut,
  kBytesIn,
  kUnsent,
  kUsers,
  kUsersMax,
  kOutputTokens,
  kPromptTokens,
  kSloMet,
};

class MetricSource {
 public:
  virtual ~MetricSource() = default;
  virtual std::optional<TrendData> trend(Trend which) const = 0;  // nothing: no values
  virtual std::optional<double> figure(Figure which) const = 0;   // nothing: not measured
};

// `run` may be a run or one of its parts; what only the run knows (its length) comes from `whole`.
// Both must outlive the source.
class JsonSource final : public MetricSource {
 public:
  JsonSource(const nlohmann::ordered_json& run, const nlohmann::ordered_json& whole)
      : run_(run), whole_(whole) {}
  std::optional<TrendData> trend(Trend which) const override;
  std::optional<double> figure(Figure which) const override;

 private:
  const nlohmann::ordered_json& run_;
  const nlohmann::ordered_json& whole_;
};

class LiveSource final : public MetricSource {
 public:
  explicit LiveSource(const LiveFigures& live) : live_(live) {}
  std::optional<TrendData> trend(Trend which) const override;
  std::optional<double> figure(Figure which) const override;

 private:
  LiveFigures live_;
};

// Where a run has the latencies that limits are set on: with the requests that were due and never
// sent, when there are any.
const char* latency_key(const nlohmann::ordered_json& run);
// A number at `object[key]`, if there is one.
std::optional<double> number_at(const nlohmann::ordered_json& object, const char* key);
// The part called `name` of a run, or the run itself when that is its scenario; null when there is
// none.
const nlohmann::ordered_json* part_of_run(const nlohmann::ordered_json& run,
                                          const std::string& name);

}  // namespace sis::perf
