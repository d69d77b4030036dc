#include "perf/load/kserve.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/each_model.h"
#include "perf/bench/server_flags.h"

namespace sis::perf {
namespace {

struct KServeFlags {
  LoadFlags load;
  ServerFlags server;
  std::string version, input_data, string_text;
  std::map<std::string, TensorShape> shapes;
  std::vector<std::string> outputs;
  nlohmann::ordered_json parameters = nlohmann::ordered_json::object();
  int64_t batch = 1, string_bytes = 128;
  bool binary = true, binary_outputs = true, zeros = false;
};

// "NAME:1,3,224"
Status add_shape(std::string_view text, std::map<std::string, TensorShape>& shapes) {
  const size_t colon = text.rfind(':');
  TensorShape shape;
  bool ok = colon != std::string_view::npos && colon > 0;
  if (ok)
    for (const auto& word : split_list(text.substr(colon + 1))) {
      const auto size = parse_int(word);
      ok = ok && size && *size >= 0;
      shape.push_back(size.value_or(0));
    }
  if (!ok || shape.empty())
    return Error{Code::kInvalidArgument,
                 concat("want NAME:SIZE,SIZE as in INPUT:3,224, got ", in_quotes(text))};
  shapes[std::string(text.substr(0, colon))] = std::move(shape);
  return {};
}

void add_flags(FlagSet& flags, KServeFlags& values) {
  values.server.add_to(flags, "none; one must be named");
  flags.text({{"model-version"}, {"MODEL_VERSION"}}, &values.version, "VERSION",
             "default: the server's choice");
  flags.section("Tensors");
  flags.text({{"input-data"}, {"INPUT_DATA"}}, &values.input_data, "FILE|DIR|zero|random",
             "perf_analyzer's JSON, or a folder with a file per tensor (random)");
  flags.custom({{"shape"}, {}}, "NAME:SIZES", "",
               "of an input whose sizes the model leaves open, without the batch; many times",
               [&values](std::string_view text) { return add_shape(text, values.shapes); });
  flags.integer({{"batch", "batch-size"}, {"BATCH"}}, &values.batch, 1, 100'000,
                "elements per request");
  flags.toggle({{"binary"}, {}}, &values.binary,
               "tensors as raw bytes behind the JSON; --no-binary: JSON lists");
  flags.toggle({{"binary-outputs"}, {}}, &values.binary_outputs, "ask for raw bytes back");
  flags.custom({{"outputs"}, {}}, "A,B", "", "outputs to ask for; default: all",
               [&values](std::string_view text) -> Status {
                 values.outputs = split_list(text);
                 return {};
               });
  flags.integer({{"string-length"}, {}}, &values.string_bytes, 0, 1 << 20,
                "of made-up BYTES elements");
  flags.text({{"string-data"}, {}}, &values.string_text, "TEXT", "every made-up BYTES element");
  flags.custom(
      {{"parameters"}, {}}, "JSON", "", "an object, every request's parameters",
      [&values](std::string_view text) -> Status {
        auto json = nlohmann::ordered_json::parse(text, nullptr, false);
        if (!json.is_object())
          return Error{Code::kInvalidArgument, concat("want a JSON object, got ", in_quotes(text))};
        values.parameters = std::move(json);
        return {};
      });
  values.load.add_to(flags);
}

std::string load_text(const KServeFlags& values, const TensorData* data) {
  std::string out = concat(values.batch, values.batch == 1 ? " element" : " elements",
                           " per request as ", values.binary ? "raw bytes" : "JSON", ", ");
  if (data == nullptr) return out + (values.zeros ? "zeros" : "random values");
  return out + concat(data->steps(), " steps in ", data->streams.size(), " streams of ",
                      values.input_data);
}

}  // namespace

int bench_kserve(const BenchContext& context, const std::vector<std::string>& arguments) {
  KServeFlags values;
  FlagSet flags("sis bench kserve [flags]",
                "Sends tensors to POST /v2/models/M/infer (KServe v2, Triton) and tells latency, "
                "throughput\nand errors. Shapes and types come from the server's metadata.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  const auto server = values.server.resolve(flags);
  if (!server.ok()) return complain(context, server.error(), kExitUsage);
  const auto options = values.load.resolve(flags, server->url);
  if (!options.ok()) return complain(context, options.error(), kExitUsage);
  if (values.server.models.empty())
    return complain(context, Error{Code::kInvalidArgument, "--models: want the model's name"},
                    kExitUsage);
  std::shared_ptr<const TensorData> data;
  values.zeros = values.input_data == "zero";
  if (!values.input_data.empty() && values.input_data != "zero" && values.input_data != "random") {
    auto read = read_tensor_data(values.input_data);
    if (!read.ok()) return complain(context, prefixed("--input-data", read.error()), kExitUsage);
    data = std::make_shared<const TensorData>(std::move(*read));
  }

  KServeServer from{.url = ServerFlags::root_of(*server),
                    .timeout = values.load.timeout,
                    .verify_tls = values.load.verify_ssl};
  if (!values.server.api_key.empty())
    from.headers.emplace_back("Authorization", concat("Bearer ", values.server.api_key));
  std::map<std::string, KServeModel> models;  // asked before the first run
  for (const auto& model : values.server.models) {
    auto metadata = fetch_kserve_model(from, model, values.version);
    if (!metadata.ok()) return complain(context, metadata.error(), kExitFailed);
    models[model] = std::move(*metadata);
  }
  return run_each_model(
      context, values.load, *options, values.server.models,
      [&](const std::string& model, RunLabel& label) -> Result<std::unique_ptr<Workload>> {
        SIS_ASSIGN(auto workload,
                   KServeWorkload::create({.url = from.url,
                                           .model = model,
                                           .version = values.version,
                                           .headers = from.headers,
                                           .metadata = models[model],
                                           .data = data,
                                           .zeros = values.zeros,
                                           .string_bytes = static_cast<size_t>(values.string_bytes),
                                           .string_text = values.string_text,
                                           .shapes = values.shapes,
                                           .batch = values.batch,
                                           .binary = values.binary,
                                           .binary_outputs = values.binary_outputs,
                                           .outputs = values.outputs,
                                           .parameters = values.parameters,
                                           .seed = options->seed,
                                           .keep_alive = options->keep_alive,
                                           .requests = options->requests}));
        label.what = "kserve";
        label.load = load_text(values, data.get());
        label.items_name = "inferences";
        return std::unique_ptr<Workload>(std::move(workload));
      });
}

}  // namespace sis::perf
