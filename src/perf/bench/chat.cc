#include "perf/load/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/server_flags.h"
#include "perf/bench/text_flags.h"

namespace sis::perf {
namespace {

constexpr const char* kDefaultModel = "Qwen/Qwen3-VL-2B-Instruct";

struct ChatFlags {
  LoadFlags load;
  ServerFlags server;
  TextFlags prompts{.noun = "prompt", .text = "Hello, how are you?"};
  std::string system, extra;
  int64_t shared_prefix = 0, max_tokens = 128;
  double temperature = 0.7, top_p = 0.9;
  bool stream = true, ignore_eos = false;
  Slo slo;
};

void add_flags(FlagSet& flags, ChatFlags& values) {
  values.server.add_to(
      flags, concat(kDefaultModel, " if /v1/models lists it, else its first without vectors"));
  flags.section("Prompts");
  values.prompts.add_to(flags, {"prompt-tokens", "lengths"},
                        "make every prompt unique at its start, so that no prefix cache helps");
  flags.integer({{"shared-prefix"}, {"SHARED_PREFIX"}}, &values.shared_prefix, 0,
                LengthSpec::kWordsMax,
                "so many made-up words in front of every prompt, the same for all");
  flags.text({{"system"}, {}}, &values.system, "TEXT", "a system message");
  flags.section("Generation");
  flags.integer({{"max-tokens"}, {"MAX_TOKENS"}}, &values.max_tokens, 1, 1'000'000,
                "most output tokens of an answer");
  flags.number({{"temperature"}, {"TEMPERATURE"}}, &values.temperature, 0, 100, "of sampling");
  flags.number({{"top-p"}, {"TOP_P"}}, &values.top_p, 0, 1, "of sampling");
  flags.toggle({{"stream"}, {}}, &values.stream,
               "take answers as server-sent events; --no-stream: whole");
  flags.toggle({{"ignore-eos"}, {}}, &values.ignore_eos,
               "ask for exactly --max-tokens tokens (ignore_eos, not every server knows it)");
  flags.custom({{"extra"}, {}}, "JSON", "", "object merged into the body; null takes a field out",
               [&values](std::string_view text) -> Status {
                 values.extra = text;
                 return check_extra(text);
               });
  flags.section("Limits to keep (goodput)");
  const auto limit = [&](const char* flag, const char* variable, Duration* value,
                         const char* help) {
    flags.custom({{flag}, {variable}}, "MS", "", help, [value](std::string_view text) -> Status {
      const auto ms = parse_double(text);
      const auto time = ms ? from_ms(std::clamp(*ms, -1.0, 1e9)) : parse_duration(text);
      if (!time || *time <= Duration{} || *time > from_seconds(86400))
        return Error{
            Code::kInvalidArgument,
            concat("want milliseconds above 0, or a time like 1.5s, got ", in_quotes(text))};
      *value = *time;
      return {};
    });
  };
  limit("slo-ttft", "SLO_TTFT", &values.slo.ttft, "time to the first token");
  limit("slo-itl", "SLO_ITL", &values.slo.itl, "99 % of an answer's gaps between its tokens");
  values.load.verify_ssl = true;
  values.load.add_to(flags);
}

Status check_flags(const ChatFlags& values) {
  if (!is_utf8(values.system)) return Error{Code::kInvalidArgument, "--system: want UTF-8"};
  if (values.slo.wanted() && !values.stream)
    return Error{Code::kInvalidArgument,
                 "--slo-ttft, --slo-itl: want streamed answers, not --no-stream"};
  return {};
}

std::string load_text(const ChatFlags& flags, const TextFlags::Texts& texts) {
  std::string out = flags.stream ? "streamed" : "whole answers";
  out += concat(", prompt: ", flags.prompts.shown(texts));
  if (flags.shared_prefix > 0) out += concat(", behind ", flags.shared_prefix, " shared words");
  if (!flags.system.empty()) out += concat(", system message of ", flags.system.size(), " bytes");
  out += flags.prompts.distinct ? ", every prompt unique" : ", repeated";
  out += concat(flags.ignore_eos ? "; exactly " : "; up to ", flags.max_tokens, " tokens",
                ", temperature ", flags.temperature, ", top_p ", flags.top_p);
  if (!flags.extra.empty()) out += concat(", extra ", flags.extra);
  return out;
}

std::string model_of(const std::vector<ListedModel>& listed) {
  for (const auto& model : listed)
    if (model.id == kDefaultModel) return model.id;
  for (const auto& model : listed)
    if (!model.embeds) return model.id;
  return listed.front().id;
}

}  // namespace

int bench_chat(const BenchContext& context, const std::vector<std::string>& arguments) {
  ChatFlags values;
  FlagSet flags("sis bench chat [flags]",
                "Sends prompts to POST /v1/chat/completions and tells time to first token, gaps "
                "between tokens,\nlatency, token rates and errors.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  for (const Status& status : {values.prompts.choose(flags), check_flags(values)})
    if (!status.ok()) return complain(context, status.error(), kExitUsage);
  const auto server = values.server.resolve(flags);
  if (!server.ok()) return complain(context, server.error(), kExitUsage);
  auto options = values.load.resolve(flags, server->url);
  if (!options.ok()) return complain(context, options.error(), kExitUsage);
  options->slo = values.slo;
  const auto texts = values.prompts.load(options->seed);
  if (!texts.ok()) return complain(context, texts.error(), kExitUsage);

  ChatOptions chat{.url = server->url,
                   .path = server->prefix + "/chat/completions",
                   .api_key = values.server.api_key,
                   .system = values.system,
                   .prompt = values.prompts.text,
                   .prompts = texts->lines,
                   .lengths = texts->lengths,
                   .shared_prefix_words = values.shared_prefix,
                   .distinct = values.prompts.distinct,
                   .salt = salt_of_now(),
                   .seed = options->seed,
                   .max_tokens = values.max_tokens,
                   .temperature = values.temperature,
                   .top_p = values.top_p,
                   .stream = values.stream,
                   .ignore_eos = values.ignore_eos,
                   .extra = values.extra,
                   .keep_alive = options->keep_alive,
                   .requests = options->requests};

  const std::string started = utc_now();
  if (values.server.models.empty()) {
    const auto listed =
        values.server.list_models(*server, values.load.timeout, values.load.verify_ssl);
    if (!listed.ok()) return complain(context, listed.error(), kExitFailed);
    values.server.models = {model_of(*listed)};
  }
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  int exit_code = kExitOk;
  for (const auto& model : values.server.models) {
    chat.model = model;
    const auto workload = ChatWorkload::create(chat);
    if (!workload.ok()) return complain(context, workload.error(), kExitUsage);
    const RunLabel label{.what = "chat",
                         .model = model,
                         .load = load_text(values, *texts),
                         .counts_tokens = true,
                         .generates = true};
    if (!runs.empty()) fmt::print(values.load.json == "-" ? context.messages : context.out, "\n");
    exit_code = std::max(exit_code,
                         run_and_report(context, values.load, *options, label, **workload, runs));
    if (context.stop != nullptr && context.stop->load()) break;
  }
  return std::max(exit_code, write_json(context, values.load, started, runs));
}

}  // namespace sis::perf
