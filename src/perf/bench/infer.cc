#include "perf/load/infer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/each_model.h"
#include "perf/bench/server_flags.h"
#include "perf/bench/text_flags.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

struct InferFlags {
  LoadFlags load;
  ServerFlags server;
  TextFlags prompts{.noun = "prompt", .text = "What is the capital of France?"};
  std::string params;
  int64_t max_new_tokens = 0;
  bool stream = false;
};

void add_flags(FlagSet& flags, InferFlags& values) {
  values.server.api_key = "changeme";
  values.server.add_to(flags, "gpt-4o");
  flags.section("Prompts");
  values.prompts.add_to(flags, {"prompt-tokens", "lengths"},
                        "make every prompt unique, so that the response cache never hits");
  flags.section("Generation");
  flags.toggle({{"stream"}, {}}, &values.stream, "post to /v1/infer/stream and take events");
  flags.integer({{"max-new-tokens"}, {"MAX_NEW_TOKENS"}}, &values.max_new_tokens, 0, 1'000'000,
                "params.max_new_tokens; 0: the server's default");
  flags.custom(
      {{"params"}, {}}, "JSON", "", "an object, the request's params",
      [&values](std::string_view text) -> Status {
        const auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
        if (!json.is_object())
          return Error{Code::kInvalidArgument, concat("want a JSON object, got ", in_quotes(text))};
        values.params = text;
        return {};
      });
  values.load.requests = 100;
  values.load.concurrencies = {.values = {10}};
  values.load.add_to(flags);
}

std::string params_of(const InferFlags& values) {
  Json params = values.params.empty() ? Json::object() : Json::parse(values.params);
  if (values.max_new_tokens > 0) params["max_new_tokens"] = values.max_new_tokens;
  return params.empty() ? std::string() : params.dump();
}

// The closing lines people know from the script of this name, from the run's own figures.
std::string results_text(const Json& run) {
  const auto number = [&](const Json& from, const char* name) {
    const auto found = from.find(name);
    return found != from.end() && found->is_number() ? found->get<double>() : 0.0;
  };
  if (!run.contains("latency_ms")) return {};  // it never began
  const Json& latency = run["latency_ms"];
  const double requests = number(run, "requests");
  std::string out = fmt::format("\nduration: {:.2f} s  rate: {:.2f} requests/s  success: {:.2f} %",
                                number(run, "wall_s"), number(run, "requests_per_s"),
                                requests > 0 ? 100 * number(run, "successes") / requests : 0.0);
  const auto hits = run.find("cache_hit_rate");
  out += hits != run.end() && hits->is_number()
             ? fmt::format("  cache hits: {:.2f} %\n", 100 * hits->get<double>())
             : std::string("  cache hits: unknown\n");
  const std::pair<const char*, const char*> kShown[] = {
      {"min", "min"}, {"max", "max"}, {"mean", "mean"},  {"median", "p50"},
      {"p95", "p95"}, {"p99", "p99"}, {"stdev", "stdev"}};
  out += "latency ms:";
  for (const auto& [name, key] : kShown)
    out += fmt::format("  {} {:.2f}", name, number(latency, key));
  return out + "\n";
}

}  // namespace

int bench_infer(const BenchContext& context, const std::vector<std::string>& arguments) {
  InferFlags values;
  FlagSet flags("sis bench infer [flags]",
                "Sends prompts to POST /v1/infer, or with --stream to /v1/infer/stream, and tells "
                "latency,\nthroughput, cache hits and errors.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  if (Status status = values.prompts.choose(flags); !status.ok())
    return complain(context, status.error(), kExitUsage);
  const auto run = resolve_text_run(flags, values.server, values.load, values.prompts);
  if (!run.ok()) return complain(context, run.error(), kExitUsage);
  if (values.server.models.empty()) values.server.models = {"gpt-4o"};

  std::FILE* out = values.load.json == "-" ? context.messages : context.out;
  return run_each_model(
      context, values.load, run->options, values.server.models,
      [&](const std::string& model, RunLabel& label) -> Result<std::unique_ptr<Workload>> {
        SIS_ASSIGN(auto workload, InferWorkload::create({.url = run->server.url,
                                                         .prefix = run->server.prefix,
                                                         .model = model,
                                                         .api_key = values.server.api_key,
                                                         .prompts = run->texts,
                                                         .params = params_of(values),
                                                         .stream = values.stream,
                                                         .distinct = values.prompts.distinct,
                                                         .salt = salt_of_now(),
                                                         .seed = run->options.seed,
                                                         .keep_alive = run->options.keep_alive,
                                                         .requests = run->options.requests}));
        label.what = "infer";
        label.load = concat(values.stream ? "streamed" : "whole answers",
                            ", prompt: ", values.prompts.shown(run->texts),
                            values.prompts.distinct ? ", every prompt unique" : ", repeated");
        // Streams are never cached, nor do they count tokens.
        label.generates = values.stream;
        label.counts_cache_hits = !values.stream;
        label.counts_tokens = !values.stream;
        return std::unique_ptr<Workload>(std::move(workload));
      },
      [&](const Json& run) { fmt::print(out, "{}", results_text(run)); });
}

}  // namespace sis::perf
