#include "perf/gate/metric_source.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "perf/load/json_file.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

// Histograms stand in the run itself or in its "http_ms".
struct TrendPlace {
  Trend trend;
  const char* group;  // null: the run
  const char* key;
};
constexpr TrendPlace kTrendPlaces[] = {
    {Trend::kLatency, nullptr, "latency_ms"},
    {Trend::kService, nullptr, "service_ms"},
    {Trend::kFailed, nullptr, "failed_latency_ms"},
    {Trend::kConnecting, "http_ms", "connecting"},
    {Trend::kTlsHandshaking, "http_ms", "tls_handshaking"},
    {Trend::kSending, "http_ms", "sending"},
    {Trend::kWaiting, "http_ms", "waiting"},
    {Trend::kReceiving, "http_ms", "receiving"},
    {Trend::kTtft, nullptr, "ttft_ms"},
    {Trend::kItl, nullptr, "itl_ms"},
    {Trend::kTpot, nullptr, "tpot_ms"},
};

// What the windows of a run say of its users; nothing when it has none.
std::optional<double> users_of(const Json& run, bool highest) {
  const Json* windows = json_member(run, "windows");
  std::optional<double> users;
  if (windows != nullptr && windows->is_array())
    for (const Json& window : *windows)
      if (const auto now = number_at(window, "users"))
        users = highest && users ? std::max(*users, *now) : *now;
  return users ? users : number_at(run, "connections");
}

const Histogram* live_trend(const Tally& tally, Trend which) {
  switch (which) {
    case Trend::kLatency:
      return &tally.latency;
    case Trend::kService:
      return &tally.service;
    case Trend::kFailed:
      return &tally.failed_latency;
    case Trend::kConnecting:
      return &tally.http.connecting;
    case Trend::kTlsHandshaking:
      return &tally.http.tls_handshaking;
    case Trend::kSending:
      return &tally.http.sending;
    case Trend::kWaiting:
      return &tally.http.waiting;
    case Trend::kReceiving:
      return &tally.http.receiving;
    case Trend::kTtft:
      return &tally.generation.ttft;
    case Trend::kItl:
      return &tally.generation.itl;
    case Trend::kTpot:
      return &tally.generation.tpot;
  }
  return nullptr;
}

}  // namespace

const char* latency_key(const Json& run) {
  return json_member(run, "latency_all_due_ms") != nullptr ? "latency_all_due_ms" : "latency_ms";
}

std::optional<double> number_at(const Json& object, const char* key) {
  const Json* value = json_member(object, key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

const Json* part_of_run(const Json& run, const std::string& name) {
  const auto is_called = [&](const Json& object, const char* key) {
    const Json* value = json_member(object, key);
    return value != nullptr && value->is_string() && value->get<std::string>() == name;
  };
  if (is_called(run, "scenario")) return &run;
  const Json* parts = json_member(run, "parts");
  if (parts == nullptr || !parts->is_array()) return nullptr;
  for (const Json& part : *parts)
    if (is_called(part, "name")) return &part;
  return nullptr;
}

std::optional<TrendData> JsonSource::trend(Trend which) const {
  for (const TrendPlace& place : kTrendPlaces) {
    if (place.trend != which) continue;
    const Json* group = place.group == nullptr ? &run_ : json_member(run_, place.group);
    const char* key = which == Trend::kLatency ? latency_key(run_) : place.key;
    const Json* histogram = group == nullptr ? nullptr : json_member(*group, key);
    return histogram == nullptr ? std::nullopt : trend_of(*histogram);
  }
  return std::nullopt;
}

std::optional<double> JsonSource::figure(Figure which) const {
  switch (which) {
    case Figure::kRequests:
      return number_at(run_, "requests");
    case Figure::kFailures:
      return number_at(run_, "failures");
    case Figure::kSeconds:
      return number_at(whole_, "wall_s");
    case Figure::kBytesOut:
      return number_at(run_, "bytes_out");
    case Figure::kBytesIn:
      return number_at(run_, "bytes_in");
    case Figure::kUnsent:
      return number_at(run_, "unsent");
    case Figure::kUsers:
      return users_of(run_, false);
    case Figure::kUsersMax:
      return users_of(run_, true);
    case Figure::kOutputTokens:
      return number_at(run_, "output_tokens");
    case Figure::kPromptTokens:
      return number_at(run_, "prompt_tokens");
    case Figure::kSloMet: {
      const Json* goodput = json_member(run_, "goodput");
      return goodput == nullptr ? std::nullopt : number_at(*goodput, "answers");
    }
  }
  return std::nullopt;
}

std::optional<TrendData> LiveSource::trend(Trend which) const {
  if (which == Trend::kLatency && !live_.total->latency.empty() &&
      !live_.total->unsent_waited.empty())
    return trend_of(live_.total->latency_all_due());
  const Histogram* histogram = live_trend(*live_.total, which);
  if (histogram == nullptr || histogram->empty()) return std::nullopt;
  return trend_of(*histogram);
}

std::optional<double> LiveSource::figure(Figure which) const {
  const Tally& tally = *live_.total;
  const auto number = [](uint64_t value) { return static_cast<double>(value); };
  switch (which) {
    case Figure::kRequests:
      return number(tally.ok + tally.failed);
    case Figure::kFailures:
      return number(tally.failed);
    case Figure::kSeconds:
      return live_.seconds;
    case Figure::kBytesOut:
      return number(tally.bytes_out);
    case Figure::kBytesIn:
      return number(tally.bytes_in);
    case Figure::kUnsent:
      return number(tally.unsent);
    case Figure::kUsers:
    case Figure::kUsersMax:
      return live_.users;
    case Figure::kOutputTokens:
      if (tally.generation.answers == 0) return std::nullopt;
      return number(tally.generation.output_tokens);
    case Figure::kPromptTokens:
      if (tally.answers_with_prompt_tokens == 0) return std::nullopt;
      return number(tally.prompt_tokens);
    case Figure::kSloMet:
      return number(tally.generation.slo_met);
  }
  return std::nullopt;
}

}  // namespace sis::perf
