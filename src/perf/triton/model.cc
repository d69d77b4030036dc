#include "perf/triton/model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/load/json_file.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

Result<bool> read_enabled(const Json& config, const std::string& place, const char* object,
                          const char* field) {
  const Json* outer = json_member(config, object);
  if (outer == nullptr) return false;
  const Json* value = json_member(*outer, field);
  if (value == nullptr || !value->is_boolean())
    return Error{Code::kUnavailable,
                 concat(place, ".", object, ".", field, ": want true or false, found ",
                        value == nullptr ? "nothing" : json_shown(*value))};
  return value->get<bool>();
}

class ConfigReader {
 public:
  ConfigReader(const KServeServer& server, PerfModel& model) : server_(server), model_(model) {}

  // Steps of an ensemble's configuration; nothing for other models.
  Status read_steps(const Json& config, const std::string& place,
                    std::vector<ComposingModel>& out) {
    const Json* scheduling = json_member(config, "ensemble_scheduling");
    if (scheduling == nullptr) return {};
    const Json* steps = json_member(*scheduling, "step");
    if (steps == nullptr || !steps->is_array())
      return Error{Code::kUnavailable, concat(place, ".ensemble_scheduling.step: want a list")};
    for (const Json& step : *steps) {
      const Json *name = json_member(step, "model_name"),
                 *version = json_member(step, "model_version");
      if (name == nullptr || !name->is_string())
        return Error{Code::kUnavailable,
                     concat(place, ".ensemble_scheduling.step: want a model_name in each")};
      ComposingModel child{.key = {name->get<std::string>(), version_text(version)},
                           .children = {}};
      // A model may take several steps; it is one line of the report.
      if (std::any_of(out.begin(), out.end(),
                      [&](const auto& one) { return one.key == child.key; }))
        continue;
      SIS_TRY(add(std::move(child), out));
    }
    return {};
  }

  Status add(ComposingModel child, std::vector<ComposingModel>& out) {
    if (++count_ > kComposingMax)
      return Error{Code::kUnavailable,
                   concat("ensemble: want at most ", kComposingMax, " composing models")};
    if (++depth_ > kComposingDepthMax)
      return Error{Code::kUnavailable, concat("ensemble: want at most ", kComposingDepthMax,
                                              " levels; does it call itself?")};
    const std::string path = kserve_model_path(child.key.first, child.key.second) + "/config";
    SIS_ASSIGN(const Json config, get_json(server_, path));
    SIS_ASSIGN(const bool cache, read_enabled(config, path, "response_cache", "enable"));
    model_.cache |= cache;
    SIS_TRY(read_steps(config, path, child.children));
    out.push_back(std::move(child));
    --depth_;
    return {};
  }

 private:
  // -1 and nothing are the server's choice; numbers may come as strings.
  static std::string version_text(const Json* version) {
    if (version == nullptr) return {};
    const std::string text = version->is_string() ? version->get<std::string>() : version->dump();
    const auto number = parse_int(text);
    return number && *number >= 0 ? text : std::string();
  }

  const KServeServer& server_;
  PerfModel& model_;
  size_t count_ = 0;
  int depth_ = 0;
};

}  // namespace

KServeServer server_of(const PerfSettings& settings) {
  return {.url = settings.url, .headers = settings.headers, .verify_tls = settings.verify_tls};
}

Result<PerfModel> fetch_perf_model(const PerfSettings& settings) {
  PerfModel model;
  model.version = settings.version;
  const KServeServer server = server_of(settings);
  const std::string path = kserve_model_path(settings.model, settings.version);
  SIS_ASSIGN(const Json metadata, get_json(server, path));
  SIS_ASSIGN(const Json config, get_json(server, path + "/config"));
  auto tensors = parse_kserve_model(metadata, config);
  if (!tensors.ok()) return prefixed(concat("GET ", path), tensors.error());
  model.tensors = std::move(*tensors);
  SIS_ASSIGN(model.own_cache, read_enabled(config, path + "/config", "response_cache", "enable"));
  model.cache = model.own_cache;
  ConfigReader reader(server, model);
  SIS_TRY(reader.read_steps(config, path + "/config", model.children));
  for (const auto& key : settings.composing_models)
    SIS_TRY(reader.add({.key = key, .children = {}}, model.children));
  model.composed = !model.children.empty();

  SIS_ASSIGN(const Json about, get_json(server, "/v2"));
  const Json* extensions = json_member(about, "extensions");
  if (extensions == nullptr || !extensions->is_array())
    return Error{Code::kUnavailable, "GET /v2: want a list 'extensions'"};
  for (const Json& extension : *extensions) model.statistics |= extension == "statistics";
  return model;
}

Result<StatsPage> fetch_statistics(const PerfSettings& settings, const PerfModel& model) {
  net::FetchRequest request{
      .headers = settings.headers, .timeout = from_seconds(10), .verify_tls = settings.verify_tls};
  request.target = net::join_target(
      settings.url, model.composed
                        ? "/v2/models/stats"
                        : kserve_model_path(settings.model, settings.version) + "/stats");
  SIS_ASSIGN(const net::FetchResponse response, net::fetch(settings.url, request));
  if (response.status != 200)
    return Error{Code::kUnavailable, concat("GET ", request.target, ": status ", response.status,
                                            ": ", error_message(response.body))};
  return parse_kserve_stats(response.body);
}

}  // namespace sis::perf
