#include "perf/load/rerank.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/each_model.h"
#include "perf/bench/server_flags.h"
#include "perf/bench/text_flags.h"

namespace sis::perf {
namespace {

constexpr const char* kShapes[] = {"own", "cohere", "jina", "tei"};
constexpr RerankShape kShapeValues[] = {RerankShape::kOwn, RerankShape::kCohere, RerankShape::kJina,
                                        RerankShape::kTei};

struct RerankFlags {
  LoadFlags load;
  ServerFlags server;
  TextFlags queries{.noun = "query",
                    .text = "Which bread keeps longest?",
                    .lengths_flag = "query-lengths",
                    .lengths_variable = "QUERY_LENGTHS"};
  TextFlags documents{.noun = "document",
                      .lengths = "lognormal:100",
                      .lengths_flag = "lengths",
                      .lengths_variable = "LENGTHS"};
  std::string shape = "own", path;
  int64_t documents_per_request = 10, top_n = 0;
};

void add_flags(FlagSet& flags, RerankFlags& values) {
  values.server.add_to(flags, "the first of /v1/models with 'rerank' in its name");
  flags.choice({{"shape"}, {"SHAPE"}}, &values.shape, {"own", "cohere", "jina", "tei"},
               "of requests and answers");
  flags.text({{"path"}, {}}, &values.path, "PATH", "where to post, if not where the shape says");
  flags.section("Query and documents");
  values.queries.add_to(flags, {"query-lengths"},
                        "make every query unique, so that no cache of scores helps");
  values.documents.add_to(flags, {"lengths", "document-lengths"}, "");
  flags.integer({{"documents"}, {"DOCUMENTS"}}, &values.documents_per_request, 1, 10000,
                "documents per request");
  flags.integer({{"top-n"}, {"TOP_N"}}, &values.top_n, 0, 10000, "results wanted; 0: all");
  values.load.add_to(flags);
}

// Documents that were given win over the made-up ones of the default.
Status choose_texts(const FlagSet& flags, RerankFlags& values) {
  if (flags.source("lengths") == FlagSource::kDefault &&
      (flags.source("document") != FlagSource::kDefault ||
       flags.source("document-file") != FlagSource::kDefault))
    values.documents.lengths.clear();
  SIS_TRY(values.queries.choose(flags));
  return values.documents.choose(flags);
}

}  // namespace

int bench_rerank(const BenchContext& context, const std::vector<std::string>& arguments) {
  RerankFlags values;
  FlagSet flags("sis bench rerank [flags]",
                "Sends a query with documents to a reranker and tells latency, documents/s and "
                "errors.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  if (Status status = choose_texts(flags, values); !status.ok())
    return complain(context, status.error(), kExitUsage);
  const auto run = resolve_text_run(flags, values.server, values.load, values.queries);
  if (!run.ok()) return complain(context, run.error(), kExitUsage);
  const auto documents = values.documents.source(run->options.seed);
  if (!documents.ok()) return complain(context, documents.error(), kExitUsage);

  const auto at = std::find(std::begin(kShapes), std::end(kShapes), values.shape);
  const RerankShape shape = kShapeValues[at - std::begin(kShapes)];
  // TEI serves one model, which requests do not name.
  if (values.server.models.empty() && shape == RerankShape::kTei) values.server.models = {""};
  if (values.server.models.empty()) {
    const auto listed =
        values.server.list_models(run->server, values.load.timeout, values.load.verify_ssl);
    if (!listed.ok()) return complain(context, listed.error(), kExitFailed);
    auto model = std::find_if(listed->begin(), listed->end(), [](const ListedModel& entry) {
      return to_lower(entry.id).find("rerank") != std::string::npos;
    });
    if (model == listed->end())
      return complain(context,
                      Error{Code::kNotFound,
                            "/v1/models lists no model with 'rerank' in its name; name one with "
                            "--models"},
                      kExitFailed);
    values.server.models = {model->id};
  }
  return run_each_model(
      context, values.load, run->options, values.server.models,
      [&](const std::string& model, RunLabel& label) -> Result<std::unique_ptr<Workload>> {
        SIS_ASSIGN(auto workload, RerankWorkload::create({.url = ServerFlags::root_of(run->server),
                                                          .path = values.path,
                                                          .shape = shape,
                                                          .model = model,
                                                          .api_key = values.server.api_key,
                                                          .queries = run->texts,
                                                          .documents = *documents,
                                                          .documents_per_request = static_cast<int>(
                                                              values.documents_per_request),
                                                          .top_n = static_cast<int>(values.top_n),
                                                          .distinct = values.queries.distinct,
                                                          .salt = salt_of_now(),
                                                          .seed = run->options.seed,
                                                          .keep_alive = run->options.keep_alive,
                                                          .requests = run->options.requests}));
        label.what = "rerank";
        label.load =
            concat(values.documents_per_request, " documents (", values.documents.shown(*documents),
                   ") per query (", values.queries.shown(run->texts), ")",
                   values.queries.distinct ? ", every query unique" : ", repeated", ", ",
                   values.shape, " shape");
        label.items_name = "documents";
        label.counts_tokens = true;
        return std::unique_ptr<Workload>(std::move(workload));
      });
}

}  // namespace sis::perf
