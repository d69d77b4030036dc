#include "perf/load/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/utc.h"
#include "perf/bench/commands.h"
#include "perf/bench/server_flags.h"
#include "perf/bench/text_flags.h"

namespace sis::perf {
namespace {

constexpr int64_t kBatchMax = 10000;

struct PredictFlags {
  LoadFlags load;
  ServerFlags server;
  TextFlags texts{.noun = "text", .text = "The bread was warm and the staff were kind."};
  std::vector<int> batches{1, 5, 25, 50, 100};
};

void add_flags(FlagSet& flags, PredictFlags& values) {
  values.server.add_to(flags, "the one the server has chosen for /predict");
  flags.section("Texts");
  values.texts.add_to(flags, {"lengths"},
                      "make every text unique, so that no cache of texts helps");
  flags.custom(
      {{"batch", "batches"}, {"BATCH"}}, "A,B", "1,5,25,50,100",
      "texts per request, one run each; 1 goes to /predict, more to /predict_batch",
      [&values](std::string_view text) -> Status {
        values.batches.clear();
        for (const auto& word : split_list(text)) {
          const auto batch = parse_int(word);
          if (!batch || *batch < 1 || *batch > kBatchMax)
            return Error{Code::kInvalidArgument,
                         concat("want whole numbers 1..", kBatchMax, ", got ", in_quotes(text))};
          values.batches.push_back(static_cast<int>(*batch));
        }
        if (values.batches.empty())
          return Error{Code::kInvalidArgument, concat("want whole numbers, got ", in_quotes(text))};
        return {};
      });
  values.load.add_to(flags);
}

std::string load_text(const PredictFlags& flags, const TextSource& texts, int batch) {
  std::string out =
      concat(batch, batch == 1 ? " text (" : " texts (", flags.texts.shown(texts), ") per request");
  out += flags.texts.distinct ? ", every text unique" : ", repeated";
  return out;
}

}  // namespace

int bench_predict(const BenchContext& context, const std::vector<std::string>& arguments) {
  PredictFlags values;
  FlagSet flags("sis bench predict [flags]",
                "Sends texts to POST /predict and /predict_batch and tells latency, throughput and "
                "errors\nfor each batch size.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  if (Status status = values.texts.choose(flags); !status.ok())
    return complain(context, status.error(), kExitUsage);
  const auto run = resolve_text_run(flags, values.server, values.load, values.texts);
  if (!run.ok()) return complain(context, run.error(), kExitUsage);

  PredictOptions predict{.url = ServerFlags::root_of(run->server),
                         .api_key = values.server.api_key,
                         .texts = run->texts,
                         .distinct = values.texts.distinct,
                         .salt = salt_of_now(),
                         .seed = run->options.seed,
                         .keep_alive = run->options.keep_alive,
                         .requests = run->options.requests};
  const std::string started = utc_now();
  if (values.server.models.empty()) values.server.models.push_back("");
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  int exit_code = kExitOk;
  const auto stopped = [&] { return context.stop != nullptr && context.stop->load(); };
  for (const auto& model : values.server.models)
    for (const int batch : values.batches) {
      if (stopped()) break;
      predict.model = model;
      predict.batch = batch;
      const auto workload = PredictWorkload::create(predict);
      if (!workload.ok()) return complain(context, workload.error(), kExitUsage);
      const RunLabel label{.what = "predict",
                           .model = model,
                           .load = load_text(values, run->texts, batch),
                           .items_name = "texts"};
      if (!runs.empty()) fmt::print(values.load.json == "-" ? context.messages : context.out, "\n");
      exit_code = std::max(
          exit_code, run_and_report(context, values.load, run->options, label, **workload, runs));
      // The next run's texts must not be this one's.
      predict.salt += uint64_t{1} << 32;
    }
  return std::max(exit_code, write_json(context, values.load, started, runs));
}

}  // namespace sis::perf
