#include "perf/join/kserve_stats.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;
using Stage = StageStats ModelStats::*;
constexpr std::pair<const char*, Stage> kStages[] = {
    {"success", &ModelStats::success},
    {"fail", &ModelStats::fail},
    {"queue", &ModelStats::queue},
    {"compute_input", &ModelStats::compute_input},
    {"compute_infer", &ModelStats::compute_infer},
    {"compute_output", &ModelStats::compute_output},
    {"cache_hit", &ModelStats::cache_hit},
    {"cache_miss", &ModelStats::cache_miss}};

Error wrong(const std::string& place, std::string_view wanted) {
  return Error{Code::kInvalidArgument, concat("statistics: ", place, ": want ", wanted)};
}

Status read_count(const nlohmann::json& object, const char* key, const std::string& place,
                  uint64_t& out) {
  const auto found = object.find(key);
  if (found == object.end()) return {};
  if (!found->is_number_integer() || (!found->is_number_unsigned() && found->get<int64_t>() < 0) ||
      found->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return wrong(concat(place, ".", key), "a whole number from 0");
  out = found->get<uint64_t>();
  return {};
}

Status read_model(const nlohmann::json& entry, const std::string& place, ModelStats& out) {
  SIS_TRY(read_count(entry, "inference_count", place, out.inference_count));
  SIS_TRY(read_count(entry, "execution_count", place, out.execution_count));
  const auto stages = entry.find("inference_stats");
  if (stages == entry.end() || !stages->is_object())
    return wrong(place + ".inference_stats", "an object");
  for (const auto& [name, stage] : kStages) {
    const auto found = stages->find(name);
    if (found == stages->end()) continue;
    const std::string at = concat(place, ".inference_stats.", name);
    if (!found->is_object()) return wrong(at, "an object");
    SIS_TRY(read_count(*found, "count", at, (out.*stage).count));
    SIS_TRY(read_count(*found, "ns", at, (out.*stage).ns));
  }
  return {};
}

}  // namespace

ModelStats ModelStats::since(const ModelStats& before, bool& reset) const {
  ModelStats out = *this;
  const auto take_off = [&](uint64_t& now, uint64_t then) {
    if (now < then)
      reset = true;
    else
      now -= then;
  };
  take_off(out.inference_count, before.inference_count);
  take_off(out.execution_count, before.execution_count);
  for (const auto& [name, stage] : kStages) {
    take_off((out.*stage).count, (before.*stage).count);
    take_off((out.*stage).ns, (before.*stage).ns);
  }
  return out;
}

void ModelStats::add(const ModelStats& other) {
  inference_count += other.inference_count;
  execution_count += other.execution_count;
  for (const auto& [name, stage] : kStages) {
    (this->*stage).count += (other.*stage).count;
    (this->*stage).ns += (other.*stage).ns;
  }
}

Json ModelStats::json() const {
  Json out;
  const auto mean = [&](const char* key, const StageStats& stage) {
    if (stage.count > 0)
      out[key] = static_cast<double>(stage.ns) / static_cast<double>(stage.count) * 1e-6;
  };
  out["requests"] = success.count;
  out["errors"] = fail.count;
  out["items"] = inference_count;
  out["batches"] = execution_count;
  if (execution_count > 0)
    out["batch_size"] = static_cast<double>(inference_count) / static_cast<double>(execution_count);
  mean("request_ms", success);
  mean("queue_ms", queue);
  mean("compute_input_ms", compute_input);
  mean("compute_ms", compute_infer);
  mean("compute_output_ms", compute_output);
  if (const uint64_t looked_up = cache_hit.count + cache_miss.count; looked_up > 0)
    out["cache_hit_rate"] = static_cast<double>(cache_hit.count) / static_cast<double>(looked_up);
  return out;
}

Result<StatsPage> parse_kserve_stats(std::string_view body) {
  const auto document = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object())
    return Error{Code::kInvalidArgument,
                 concat("statistics: want a JSON object, got ", in_quotes(body))};
  const auto models = document.find("model_stats");
  if (models == document.end() || !models->is_array()) return wrong("model_stats", "an array");
  if (models->size() > kStatsModelsMax)
    return wrong("model_stats", concat("at most ", kStatsModelsMax, " models"));
  StatsPage page;
  size_t index = 0;
  for (const auto& entry : *models) {
    const std::string place = concat("model_stats[", index++, "]");
    if (!entry.is_object()) return wrong(place, "an object");
    const auto name = entry.find("name"), version = entry.find("version");
    if (name == entry.end() || !name->is_string()) return wrong(place + ".name", "a string");
    // Triton writes the version as a string; a number is as good.
    std::string version_text;
    if (version != entry.end() && version->is_string())
      version_text = version->get<std::string>();
    else if (version != entry.end() && version->is_number_integer())
      version_text = version->dump();
    ModelStats stats;
    SIS_TRY(read_model(entry, place, stats));
    page[{name->get<std::string>(), version_text}] = stats;
  }
  return page;
}

}  // namespace sis::perf
