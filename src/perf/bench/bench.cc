#include <fmt/format.h>

#include "base/strings.h"
#include "perf/bench/commands.h"

namespace sis::perf {
namespace {

struct Command {
  const char* name;
  const char* about;
  int (*run)(const BenchContext&, const std::vector<std::string>&);
};
constexpr Command kCommands[] = {
    {"chat", "POST /v1/chat/completions of any OpenAI-style server", bench_chat},
    {"embeddings", "POST /v1/embeddings of any OpenAI-style server", bench_embeddings},
    {"completions", "POST /v1/completions of any OpenAI-style server", bench_completions},
    {"audio", "POST /v1/audio/transcriptions: uploads of recordings", bench_audio},
    {"rerank", "POST /v1/rerank, /v2/rerank, /rerank: one query, many documents", bench_rerank},
    {"infer", "POST /v1/infer and /v1/infer/stream", bench_infer},
    {"kserve", "POST /v2/models/M/infer: tensors for KServe v2 and Triton", bench_kserve},
    {"predict", "POST /predict and /predict_batch: text classification", bench_predict},
    {"http", "one request over and over against any HTTP server", bench_http},
    {"smoke", "one call each to embeddings, chat and audio: does it work at all?", bench_smoke},
    {"run", "a whole test plan: scenarios, stages, thresholds", bench_run},
    {"serve-worker", "load as a worker of a Locust master", bench_serve_worker},
};

void print_usage(std::FILE* out) {
  fmt::print(out, "usage: sis bench <what> [flags]\n\n");
  for (const Command& command : kCommands)
    fmt::print(out, "  {:<14}{}\n", command.name, command.about);
  fmt::print(out, "\n'sis bench <what> --help' lists the flags.\n");
}

}  // namespace

int bench(const BenchContext& context, const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    print_usage(context.messages);
    return kExitUsage;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h") {
    print_usage(context.out);
    return kExitOk;
  }
  for (const Command& command : kCommands)
    if (arguments[0] == command.name)
      return command.run(context, {arguments.begin() + 1, arguments.end()});
  fmt::print(context.messages, "sis bench: nothing called {} to measure\n",
             in_quotes(arguments[0]));
  print_usage(context.messages);
  return kExitUsage;
}

}  // namespace sis::perf
