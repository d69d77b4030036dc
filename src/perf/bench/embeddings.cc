#include "perf/load/embeddings.h"

#include <algorithm>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/each_model.h"
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
  const auto run = resolve_text_run(flags, values.server, values.load, values.texts);
  if (!run.ok()) return complain(context, run.error(), kExitUsage);

  EmbeddingsOptions embeddings{.url = run->server.url,
                               .path = run->server.prefix + "/embeddings",
                               .api_key = values.server.api_key,
                               .texts = run->texts,
                               .batch = static_cast<int>(values.batch),
                               .distinct = values.texts.distinct,
                               .salt = salt_of_now(),
                               .seed = run->options.seed,
                               .keep_alive = run->options.keep_alive,
                               .requests = run->options.requests,
                               .check_every = static_cast<uint64_t>(values.check_every)};
  if (!values.encoding.empty())
    embeddings.encoding =
        values.encoding == "float" ? VectorEncoding::kFloat : VectorEncoding::kBase64;

  if (values.server.models.empty()) {
    const auto listed =
        values.server.list_models(run->server, values.load.timeout, values.load.verify_ssl);
    if (!listed.ok()) return complain(context, listed.error(), kExitFailed);
    // One with a vector size, if the list tells sizes.
    auto model = std::find_if(listed->begin(), listed->end(),
                              [](const ListedModel& entry) { return entry.embeds; });
    if (model == listed->end()) model = listed->begin();
    values.server.models = {model->id};
  }
  return run_each_model(
      context, values.load, run->options, values.server.models,
      [&](const std::string& model, RunLabel& label) -> Result<std::unique_ptr<Workload>> {
        embeddings.model = model;
        SIS_ASSIGN(auto workload, EmbeddingsWorkload::create(embeddings));
        label.what = "embeddings";
        label.load = load_text(values, run->texts);
        label.items_name = "texts";
        label.counts_tokens = true;
        return std::unique_ptr<Workload>(std::move(workload));
      });
}

}  // namespace sis::perf
