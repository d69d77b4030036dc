// What the kinds of tasks have in common: where texts come from and where requests go.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/request_pool.h"
#include "perf/load/workload.h"
#include "perf/plan/plan.h"
#include "perf/plan/reader.h"

namespace sis::perf {

// Given texts, the lines of a file or made-up ones; one source only.
struct TaskTexts {
  TextSource source;  // at least one of its `texts` unless they are made up
  bool distinct = false;
};
// The keys `noun`, its plural (queries of query), file, lengths and distinct; without any the one
// text `fallback`.
TaskTexts read_texts(PlanReader& reader, const std::string& noun, const std::string& fallback);

// A file a plan names, relative to the plan's folder.
std::string file_beside(std::string_view origin, const std::string& file);

// A YAML value as JSON: plain scalars by YAML's core schema, quoted ones as text.
std::string json_of_yaml(const YamlTree& tree);
// A JSON object of a plan, as YAML or as text; empty when it is not there.
std::string object_text(PlanReader& reader, std::string_view key);

// The keys about generation that chats and completions share.
template <class Options>
void read_generation(PlanReader& reader, Options& options) {
  options.max_tokens = reader.integer("max_tokens", 128, 1, 1'000'000);
  options.temperature = reader.number("temperature", 0.7, 0, 100);
  options.top_p = reader.number("top_p", 0.9, 0, 1);
  options.stream = reader.flag("stream", true);
  options.ignore_eos = reader.flag("ignore_eos", false);
}

// The environment's model where the task names none; an error when neither does.
Status take_model(std::string& model, const TaskTarget& target, const std::string& task);

// Of OpenAI's API paths: "/v1", or "" when the URL ends in it. Clients are given either.
std::string api_prefix(const net::Url& url);
// For routes that are not below /v1.
net::Url without_v1(net::Url url);

// What PlanTask::make is: `options` with the server, key and run of the target, and then with what
// `place(made, target)` says, a Status.
template <class Load, class Options, class Place>
auto maker(Options options, Place place) {
  return [options = std::move(options),
          place = std::move(place)](const TaskTarget& target) -> Result<std::unique_ptr<Workload>> {
    Options made = options;
    made.url = target.environment.url;
    made.api_key = target.environment.api_key;
    made.seed = target.seed, made.salt = target.salt;
    made.keep_alive = target.keep_alive, made.requests = target.requests;
    SIS_TRY(place(made, target));
    SIS_ASSIGN(auto workload, Load::create(made));
    return std::unique_ptr<Workload>(std::move(workload));
  };
}

}  // namespace sis::perf
