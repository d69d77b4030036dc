#include "perf/load/chat.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/each_model.h"
#include "perf/bench/generation_flags.h"
#include "perf/bench/server_flags.h"
#include "perf/bench/text_flags.h"

namespace sis::perf {
namespace {

constexpr const char* kDefaultModel = "Qwen/Qwen3-VL-2B-Instruct";

constexpr const char* kTurns[] = {"all", "first", "last"};
constexpr ChatTurns kTurnValues[] = {ChatTurns::kAll, ChatTurns::kFirst, ChatTurns::kLast};

struct ChatFlags {
  LoadFlags load;
  ServerFlags server;
  TextFlags prompts{.noun = "prompt", .text = "Hello, how are you?"};
  std::string system, input_data, images, turns = "all";
  int64_t shared_prefix = 0, prefix_groups = 1;
  GenerationFlags generation;
};

void add_flags(FlagSet& flags, ChatFlags& values) {
  values.server.add_to(
      flags, concat(kDefaultModel, " if /v1/models lists it, else its first without vectors"));
  flags.section("Prompts");
  values.prompts.add_to(flags, {"prompt-tokens", "lengths"},
                        "make every prompt unique at its start, so that no prefix cache helps");
  flags.integer({{"shared-prefix", "shared-prefix-tokens"}, {"SHARED_PREFIX"}},
                &values.shared_prefix, 0, LengthSpec::kWordsMax,
                "so many made-up words in front of every prompt, the same for all of a group");
  flags.integer({{"prefix-groups"}, {"PREFIX_GROUPS"}}, &values.prefix_groups, 1, 4096,
                "groups with a shared prefix each; they take turns");
  flags.text({{"system"}, {}}, &values.system, "TEXT", "a system message");
  flags.section("Chats from files, in place of prompts");
  flags.text({{"input-data"}, {"INPUT_DATA"}}, &values.input_data, "FILE",
             "ShareGPT conversations, lists of messages or perf_analyzer payloads (.json, .jsonl)");
  flags.choice({{"turns"}, {}}, &values.turns, {"all", "first", "last"},
               "which questions of a conversation are asked, each with all that came before it");
  flags.text({{"images"}, {"IMAGES"}}, &values.images, "DIR",
             "a folder of images (or one), each sent beside --prompt as a data URL");
  values.generation.add_to(flags, check_extra);
  values.load.verify_ssl = true;
  values.load.add_to(flags);
}

Status check_flags(const ChatFlags& values, const FlagSet& flags) {
  if (!is_utf8(values.system)) return Error{Code::kInvalidArgument, "--system: want UTF-8"};
  const bool from_files = !values.input_data.empty() || !values.images.empty();
  if (!values.input_data.empty() && !values.images.empty())
    return Error{Code::kInvalidArgument, "--input-data, --images: want only one of them"};
  if (from_files && values.shared_prefix > 0)
    return Error{Code::kInvalidArgument,
                 "--shared-prefix: wants prompts, not --input-data or --images"};
  if (values.prefix_groups > 1 && values.shared_prefix == 0)
    return Error{Code::kInvalidArgument, "--prefix-groups: wants --shared-prefix as well"};
  if (flags.source("turns") == FlagSource::kFlag && values.input_data.empty())
    return Error{Code::kInvalidArgument, "--turns: wants --input-data as well"};
  return values.generation.check();
}

Result<std::vector<ChatInput>> read_inputs(const ChatFlags& values) {
  if (!values.images.empty()) {
    auto chats = read_image_chats(values.images, values.prompts.text);
    return chats.ok() ? std::move(chats) : prefixed("--images", chats.error());
  }
  if (values.input_data.empty()) return std::vector<ChatInput>{};
  const auto turns = std::find(std::begin(kTurns), std::end(kTurns), values.turns);
  auto chats = read_chat_input(values.input_data, kTurnValues[turns - std::begin(kTurns)]);
  return chats.ok() ? std::move(chats) : prefixed("--input-data", chats.error());
}

std::string load_text(const ChatFlags& flags, const TextSource& prompts,
                      const std::vector<ChatInput>& inputs, bool stream) {
  std::string out = stream ? "streamed" : "whole answers";
  if (!inputs.empty()) {
    const bool bodies = !inputs.front().payload.is_null();
    out += concat(", ", inputs.size(), bodies ? " request bodies of " : " chats of ",
                  flags.images.empty() ? flags.input_data : flags.images);
    if (bodies) return out + ", as they are";
  } else {
    out += concat(", prompt: ", flags.prompts.shown(prompts));
  }
  if (flags.shared_prefix > 0) out += concat(", behind ", flags.shared_prefix, " shared words");
  if (flags.prefix_groups > 1) out += concat(" (", flags.prefix_groups, " groups)");
  if (!flags.system.empty()) out += concat(", system message of ", flags.system.size(), " bytes");
  out += flags.prompts.distinct ? ", every prompt unique" : ", repeated";
  return out + flags.generation.shown();
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
  for (const Status& status : {values.prompts.choose(flags), check_flags(values, flags)})
    if (!status.ok()) return complain(context, status.error(), kExitUsage);
  auto run = resolve_text_run(flags, values.server, values.load, values.prompts);
  if (!run.ok()) return complain(context, run.error(), kExitUsage);
  run->options.slo = values.generation.slo;
  const auto inputs = read_inputs(values);
  if (!inputs.ok()) return complain(context, inputs.error(), kExitUsage);
  const GenerationFlags& generation = values.generation;

  ChatOptions chat{.url = run->server.url,
                   .path = run->server.prefix + "/chat/completions",
                   .api_key = values.server.api_key,
                   .system = values.system,
                   .prompts = run->texts,
                   .shared_prefix_words = values.shared_prefix,
                   .prefix_groups = static_cast<int>(values.prefix_groups),
                   .inputs = inputs->empty() ? nullptr : &*inputs,
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
                   .requests = run->options.requests};

  if (values.server.models.empty()) {
    const auto listed =
        values.server.list_models(run->server, values.load.timeout, values.load.verify_ssl);
    if (!listed.ok()) return complain(context, listed.error(), kExitFailed);
    values.server.models = {model_of(*listed)};
  }
  return run_each_model(
      context, values.load, run->options, values.server.models,
      [&](const std::string& model, RunLabel& label) -> Result<std::unique_ptr<Workload>> {
        chat.model = model;
        SIS_ASSIGN(auto workload, ChatWorkload::create(chat));
        if (generation.slo.wanted() && !workload->streams())
          return Error{Code::kInvalidArgument,
                       "--slo-ttft, --slo-itl: want request bodies with \"stream\": true"};
        label.what = "chat";
        label.load = load_text(values, run->texts, *inputs, workload->streams());
        label.counts_tokens = label.generates = true;
        return std::unique_ptr<Workload>(std::move(workload));
      });
}

}  // namespace sis::perf
