#include "perf/load/embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/server_flags.h"
#include "perf/bench/text_flags.h"

namespace sis::perf {
namespace {

struct EmbeddingsFlags {
  LoadFlags load;
  ServerFlags server;
  TextFlags texts{.noun = "text", .text = "hello world"};
  std::string encoding;
  int64_t batch = 1, check_every = 64;
};

void add_flags(FlagSet& flags, EmbeddingsFlags& values) {
  values.server.add_to(flags, "the first that /v1/models lists");
  flags.section("Texts");
  values.texts.add_to(flags, {"lengths"},
                      "make every text unique, so that no cache of texts helps");
  flags.integer({{"batch"}, {"BATCH"}}, &values.batch, 1, 10000, "texts per request");
  flags.choice({{"encoding-format"}, {"ENCODING_FORMAT"}}, &values.encoding, {"float", "base64"},
               "of the vectors; default: the server's");
  flags.integer({{"check-every"}, {}}, &values.check_every, 1, 1'000'000'000,
                "parse every N-th answer whole, and always the first 100");
  values.load.add_to(flags);
}

std::string load_text(const EmbeddingsFlags& flags, const TextSource& texts) {
  std::string out = concat(flags.batch, flags.batch == 1 ? " text" : " texts",
                           " per request: ", flags.texts.shown(texts));
  out += flags.texts.distinct ? ", every text unique" : ", repeated";
  if (!flags.encoding.empty()) out += concat(", vectors as ", flags.encoding);
  return out;
}

}  // namespace

int bench_embeddings(const BenchContext& context, const std::vector<std::string>& arguments) {
  EmbeddingsFlags values;
  FlagSet flags(
      "sis bench embeddings [flags]",
      "Sends texts to POST /v1/embeddings and tells latency, throughput, token rate and errors.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  if (Status status = values.texts.choose(flags); !status.ok())
    return complain(context, status.error(), kExitUsage);
  const auto server = values.server.resolve(flags);
  if (!server.ok()) return complain(context, server.error(), kExitUsage);
  const auto options = values.load.resolve(flags, server->url);
  if (!options.ok()) return complain(context, options.error(), kExitUsage);
  const auto texts = values.texts.source(options->seed);
  if (!texts.ok()) return complain(context, texts.error(), kExitUsage);

  EmbeddingsOptions embeddings{.url = server->url,
                               .path = server->prefix + "/embeddings",
                               .api_key = values.server.api_key,
                               .texts = *texts,
                               .batch = static_cast<int>(values.batch),
                               .distinct = values.texts.distinct,
                               .salt = salt_of_now(),
                               .seed = options->seed,
                               .keep_alive = options->keep_alive,
                               .requests = options->requests,
                               .check_every = static_cast<uint64_t>(values.check_every)};
  if (!values.encoding.empty())
    embeddings.encoding =
        values.encoding == "float" ? VectorEncoding::kFloat : VectorEncoding::kBase64;

  const std::string started = utc_now();
  if (values.server.models.empty()) {
    const auto listed =
        values.server.list_models(*server, values.load.timeout, values.load.verify_ssl);
    if (!listed.ok()) return complain(context, listed.error(), kExitFailed);
    // One with a vector size, if the list tells sizes.
    auto model = std::find_if(listed->begin(), listed->end(),
                              [](const ListedModel& entry) { return entry.embeds; });
    if (model == listed->end()) model = listed->begin();
    values.server.models = {model->id};
  }
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  int exit_code = kExitOk;
  for (const auto& model : values.server.models) {
    embeddings.model = model;
    const auto workload = EmbeddingsWorkload::create(embeddings);
    if (!workload.ok()) return complain(context, workload.error(), kExitUsage);
    RunLabel label{.what = "embeddings",
                   .model = model,
                   .load = load_text(values, *texts),
                   .items_name = "texts",
                   .counts_tokens = true};
    if (!runs.empty()) fmt::print(values.load.json == "-" ? context.messages : context.out, "\n");
    exit_code = std::max(exit_code,
                         run_and_report(context, values.load, *options, label, **workload, runs));
    if (context.stop != nullptr && context.stop->load()) break;
  }
  return std::max(exit_code, write_json(context, values.load, started, runs));
}

}  // namespace sis::perf
