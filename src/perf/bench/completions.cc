#include "perf/load/completions.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/each_model.h"
#include "perf/bench/generation_flags.h"
#include "perf/bench/server_flags.h"
#include "perf/bench/text_flags.h"

namespace sis::perf {
namespace {

struct CompletionsFlags {
  LoadFlags load;
  ServerFlags server;
  TextFlags prompts{.noun = "prompt", .text = "Once upon a time"};
  int64_t batch = 1;
  GenerationFlags generation;
};

void add_flags(FlagSet& flags, CompletionsFlags& values) {
  values.server.add_to(flags, "the first of /v1/models without vectors");
  flags.section("Prompts");
  values.prompts.add_to(flags, {"prompt-tokens", "lengths"},
                        "make every prompt unique at its start, so that no prefix cache helps");
  flags.integer({{"batch"}, {"BATCH"}}, &values.batch, 1, 128, "prompts per request");
  values.generation.add_to(flags, check_completions_extra);
  values.load.add_to(flags);
}

std::string load_text(const CompletionsFlags& flags, const TextSource& prompts) {
  std::string out = flags.generation.stream ? "streamed" : "whole answers";
  out += concat(", ", flags.batch,
                flags.batch == 1 ? " prompt: " : " prompts: ", flags.prompts.shown(prompts));
  out += flags.prompts.distinct ? ", every prompt unique" : ", repeated";
  return out + flags.generation.shown();
}

}  // namespace

int bench_completions(const BenchContext& context, const std::vector<std::string>& arguments) {
  CompletionsFlags values;
  FlagSet flags("sis bench completions [flags]",
                "Sends prompts to POST /v1/completions and tells time to first token, gaps between "
                "tokens,\nlatency, token rates and errors.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  for (const Status& status : {values.prompts.choose(flags), values.generation.check()})
    if (!status.ok()) return complain(context, status.error(), kExitUsage);
  auto run = resolve_text_run(flags, values.server, values.load, values.prompts);
  if (!run.ok()) return complain(context, run.error(), kExitUsage);
  run->options.slo = values.generation.slo;

  if (values.server.models.empty()) {
    const auto listed =
        values.server.list_models(run->server, values.load.timeout, values.load.verify_ssl);
    if (!listed.ok()) return complain(context, listed.error(), kExitFailed);
    for (const auto& model : *listed)
      if (!model.embeds && values.server.models.empty()) values.server.models = {model.id};
    if (values.server.models.empty()) values.server.models = {listed->front().id};
  }
  const GenerationFlags& generation = values.generation;
  return run_each_model(
      context, values.load, run->options, values.server.models,
      [&](const std::string& model, RunLabel& label) -> Result<std::unique_ptr<Workload>> {
        SIS_ASSIGN(auto workload,
                   CompletionsWorkload::create({.url = run->server.url,
                                                .path = run->server.prefix + "/completions",
                                                .model = model,
                                                .api_key = values.server.api_key,
                                                .prompts = run->texts,
                                                .batch = static_cast<int>(values.batch),
                                                .distinct = values.prompts.distinct,
                                                .salt = salt_of_now(),
                                                .seed = run->options.seed,
                                                .max_tokens = generation.max_tokens,
                                                .output_lengths = generation.lengths,
                                                .temperature = generation.temperature,
                                                .top_p = generation.top_p,
                                                .stream = generation.stream,
                                                .ignore_eos = generation.ignore_eos,
                                                .extra = generation.extra,
                                                .keep_alive = run->options.keep_alive,
                                                .requests = run->options.requests}));
        label.what = "completions";
        label.load = load_text(values, run->texts);
        label.counts_tokens = label.generates = true;
        return std::unique_ptr<Workload>(std::move(workload));
      });
}

}  // namespace sis::perf
