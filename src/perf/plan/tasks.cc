#include "perf/plan/tasks.h"

#include <algorithm>

#include "base/file.h"
#include "base/strings.h"
#include "perf/load/chat.h"
#include "perf/load/embeddings.h"
#include "perf/load/plain_http.h"
#include "perf/load/predict.h"
#include "perf/plan/reader.h"
#include "perf/plan/task_parts.h"
#include "perf/plan/text_tasks.h"

namespace sis::perf {
namespace {

using Kind = YamlTree::Kind;

constexpr uintmax_t kBodyBytesMax = 64 << 20;
constexpr int64_t kBatchMax = 10000;

void read_http(PlanReader& reader, PlanTask& task) {
  PlainHttpOptions options;
  const std::string path = reader.text("path", "/");
  if (!path.starts_with('/'))
    reader.fail("path", concat("want a path that begins with '/', got ", in_quotes(path)));
  options.request.headers = reader.pairs("headers", 100);
  bool typed = false;
  for (const auto& header : options.request.headers) typed |= iequals(header.first, "Content-Type");
  const YamlTree* body = reader.find("body");
  const std::string body_file = reader.text("body_file");
  if (body != nullptr && !body_file.empty())
    reader.fail("body_file", "want only one of body and body_file");
  if (body != nullptr) {
    if (body->kind == Kind::kScalar) {
      options.request.body = body->scalar;
    } else {
      options.request.body = json_of_yaml(*body);
      if (!typed) options.request.headers.emplace_back("Content-Type", "application/json");
    }
  } else if (!body_file.empty()) {
    auto text = read_file(file_beside(reader.origin(), body_file), kBodyBytesMax);
    if (text.ok())
      options.request.body = std::move(*text);
    else
      reader.fail("body_file", text.error().message);
  }
  const bool has_body = body != nullptr || !body_file.empty();
  options.request.method = reader.text("method", has_body ? "POST" : "GET");
  options.expected_status = static_cast<int>(reader.integer("expect", 0, 0, 599));
  for (const auto& text : reader.texts("expect_body", 100))
    if (Status status = options.checks.add_text(text); !status.ok())
      reader.fail("expect_body", status.error().message);
  for (const auto& check : reader.texts("expect_json", 100))
    if (Status status = options.checks.add_json(check); !status.ok())
      reader.fail("expect_json", status.error().message);
  options.templates = reader.flag("template", false);
  // Plans have ${env:NAME} for that.
  options.context.environment = [](const std::string&) { return std::nullopt; };
  task.method = options.request.method;
  if (task.name.empty()) task.name = path;
  task.make = [options, path](const TaskTarget& target) -> Result<std::unique_ptr<Workload>> {
    PlainHttpOptions made = options;
    made.url = target.environment.url;
    made.request.target = net::join_target(made.url, path);
    made.keep_alive = target.keep_alive;
    made.context.seed = target.seed;
    bool authorized = target.environment.api_key.empty();
    for (const auto& header : made.request.headers)
      authorized |= iequals(header.first, "Authorization");
    if (!authorized)
      made.request.headers.emplace_back("Authorization",
                                        concat("Bearer ", target.environment.api_key));
    SIS_ASSIGN(auto workload, PlainHttpWorkload::create(made));
    return std::unique_ptr<Workload>(std::move(workload));
  };
}

void read_predict(PlanReader& reader, PlanTask& task) {
  PredictOptions options;
  options.model = reader.text("model");
  options.batch = static_cast<int>(reader.integer("batch", 1, 1, kBatchMax));
  const TaskTexts texts = read_texts(reader, "text", "The bread was warm and the staff were kind.");
  options.texts = texts.source;
  options.distinct = texts.distinct;
  task.items_name = "texts";
  if (task.name.empty())
    task.name = options.batch == 1 ? "/predict" : concat("/predict_batch (", options.batch, ")");
  task.make =
      maker<PredictWorkload>(options, [](PredictOptions& made, const TaskTarget&) -> Status {
        made.url = without_v1(made.url);
        return {};
      });
}

void read_embeddings(PlanReader& reader, PlanTask& task) {
  EmbeddingsOptions options;
  options.model = reader.text("model");
  options.batch = static_cast<int>(reader.integer("batch", 1, 1, kBatchMax));
  const std::string encoding = reader.choice("encoding_format", "", {"float", "base64"});
  if (encoding == "float") options.encoding = VectorEncoding::kFloat;
  if (encoding == "base64") options.encoding = VectorEncoding::kBase64;
  options.check_every =
      static_cast<uint64_t>(reader.integer("check_every", 64, 1, 1'000'000'000'000));
  const TaskTexts texts = read_texts(reader, "text", "hello world");
  options.texts = texts.source;
  options.distinct = texts.distinct;
  task.items_name = "texts";
  task.counts_tokens = true;
  if (task.name.empty()) task.name = "embeddings";
  task.make = maker<EmbeddingsWorkload>(
      options, [name = task.name](EmbeddingsOptions& made, const TaskTarget& target) {
        made.path = api_prefix(made.url) + "/embeddings";
        return take_model(made.model, target, name);
      });
}

void read_chat(PlanReader& reader, PlanTask& task) {
  ChatOptions options;
  options.model = reader.text("model");
  options.system = reader.text("system");
  options.shared_prefix_words = reader.integer("shared_prefix", 0, 0, LengthSpec::kWordsMax);
  read_generation(reader, options);
  if (reader.find("extra") != nullptr) {
    options.extra = object_text(reader, "extra");
    if (Status status = check_extra(options.extra); !status.ok())
      reader.fail("extra", status.error().message);
  }
  const TaskTexts texts = read_texts(reader, "prompt", "Hello, how are you?");
  options.prompts = texts.source;
  options.distinct = texts.distinct;
  task.counts_tokens = task.generates = true;
  task.streams = options.stream;
  if (task.name.empty()) task.name = "chat";
  task.make =
      maker<ChatWorkload>(options, [name = task.name](ChatOptions& made, const TaskTarget& target) {
        made.path = api_prefix(made.url) + "/chat/completions";
        return take_model(made.model, target, name);
      });
}

struct TaskKind {
  const char* name;
  void (*read)(PlanReader&, PlanTask&);
};
constexpr TaskKind kKinds[] = {
    {"http", read_http},   {"predict", read_predict},         {"embeddings", read_embeddings},
    {"chat", read_chat},   {"completions", read_completions}, {"rerank", read_rerank},
    {"infer", read_infer},
};

}  // namespace

Result<PlanTask> read_task(std::string_view origin, const YamlTree& tree, const std::string& path) {
  static const YamlTree kEmpty{.kind = Kind::kMap};
  PlanTask task;
  PlanReader reader(origin, tree, path);
  task.name = reader.text("name");
  if (task.name.size() > 200) reader.fail("name", "want at most 200 bytes");
  task.weight = reader.integer("weight", 1, 0, 1'000'000);
  const TaskKind* kind = nullptr;
  std::vector<std::string> names;
  for (const TaskKind& one : kKinds) {
    names.emplace_back(one.name);
    // `find` takes a kind without options for absent, so the keys are looked at themselves.
    reader.find(one.name);
    if (tree.find(one.name) == nullptr) continue;
    if (kind != nullptr)
      reader.fail(plan_error(origin, tree, path,
                             concat("want one kind, got ", kind->name, " and ", one.name)));
    kind = &one;
  }
  SIS_TRY(reader.finish());
  if (kind == nullptr)
    return plan_error(origin, tree, path, concat("want one of the kinds ", join_list(names)));
  task.kind = kind->name;
  const YamlTree& options = *tree.find(kind->name);
  PlanReader inner(origin, options.kind == Kind::kNull ? kEmpty : options,
                   concat(path, ".", kind->name));
  kind->read(inner, task);
  SIS_TRY(inner.finish());
  return task;
}

}  // namespace sis::perf
