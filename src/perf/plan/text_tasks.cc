#include "perf/plan/text_tasks.h"

#include "base/strings.h"
#include "perf/load/completions.h"
#include "perf/load/infer.h"
#include "perf/load/rerank.h"
#include "perf/plan/task_parts.h"

namespace sis::perf {
void read_completions(PlanReader& reader, PlanTask& task) {
  CompletionsOptions options;
  options.model = reader.text("model");
  options.batch = static_cast<int>(reader.integer("batch", 1, 1, 1000));
  read_generation(reader, options);
  options.extra = object_text(reader, "extra");
  if (!options.extra.empty())
    if (Status status = check_completions_extra(options.extra); !status.ok())
      reader.fail("extra", status.error().message);
  const TaskTexts texts = read_texts(reader, "prompt", "Hello, how are you?");
  options.prompts = texts.source;
  options.distinct = texts.distinct;
  task.counts_tokens = task.generates = true;
  task.streams = options.stream;
  if (task.name.empty()) task.name = "completions";
  task.make = maker<CompletionsWorkload>(
      options, [name = task.name](CompletionsOptions& made, const TaskTarget& target) {
        made.path = api_prefix(made.url) + "/completions";
        return take_model(made.model, target, name);
      });
}

void read_rerank(PlanReader& reader, PlanTask& task) {
  RerankOptions options;
  options.model = reader.text("model");
  const std::string shape = reader.choice("shape", "own", {"own", "cohere", "jina", "tei"});
  options.shape = shape == "cohere" ? RerankShape::kCohere
                  : shape == "jina" ? RerankShape::kJina
                  : shape == "tei"  ? RerankShape::kTei
                                    : RerankShape::kOwn;
  options.top_n = static_cast<int>(reader.integer("top_n", 0, 0, 10000));
  if (options.top_n > 0 && shape == "tei") reader.fail("top_n", "the shape tei has none");
  options.documents.texts = reader.texts("documents", 100000);
  const int documents = static_cast<int>(options.documents.texts.size());
  options.documents_per_request = static_cast<int>(
      reader.integer("documents_per_request", documents > 0 ? documents : 10, 1, 10000));
  if (options.documents.texts.empty()) {
    const std::string lengths = reader.text("document_lengths", "uniform:20:100");
    const auto spec = LengthSpec::parse(lengths);
    if (spec.ok())
      options.documents.lengths = *spec;
    else
      reader.fail("document_lengths", spec.error().message);
  }
  const TaskTexts queries = read_texts(reader, "query", "which of these is about the sea?");
  options.queries = queries.source;
  options.distinct = queries.distinct;
  task.items_name = "documents";
  if (task.name.empty()) task.name = "rerank";
  task.make =
      maker<RerankWorkload>(options, [](RerankOptions& made, const TaskTarget& target) -> Status {
        // Shapes below /v1 or /v2 bring their own version.
        if (api_prefix(made.url).empty()) made.url = without_v1(made.url);
        if (made.model.empty()) made.model = target.environment.model;
        return {};
      });
}

void read_infer(PlanReader& reader, PlanTask& task) {
  InferOptions options;
  options.model = reader.text("model");
  options.params = object_text(reader, "params");
  options.stream = reader.flag("stream", false);
  const TaskTexts texts = read_texts(reader, "prompt", "Hello, how are you?");
  options.prompts = texts.source;
  options.distinct = texts.distinct;
  task.generates = true;
  task.streams = options.stream;
  if (task.name.empty()) task.name = options.stream ? "infer stream" : "infer";
  task.make = maker<InferWorkload>(
      options, [name = task.name](InferOptions& made, const TaskTarget& target) {
        made.prefix = api_prefix(made.url);
        return take_model(made.model, target, name);
      });
}

}  // namespace sis::perf
