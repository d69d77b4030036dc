#include "perf/load/kserve.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/load/kserve_judge.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kPoolBytesMax = size_t{1} << 30;
constexpr size_t kMadeUpMax = 64;  // different requests of made-up values
constexpr size_t kMadeUpBytesMax = size_t{64} << 20;
constexpr size_t kInputBytesMax = size_t{256} << 20;  // of one made-up input

struct Values {
  TensorShape shape;  // without the batch's size
  std::string raw;
};

// Sizes of one element of the batch, -1 where they are open.
TensorShape element_shape(const KServeModel& model, const KServeTensor& input) {
  if (model.max_batch == 0 || input.shape.empty()) return input.shape;
  return {input.shape.begin() + 1, input.shape.end()};
}

bool fits(const TensorShape& shape, const TensorShape& open) {
  if (shape.size() != open.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i)
    if (open[i] != -1 && open[i] != shape[i]) return false;
  return true;
}

// The given shape, the one of the options, or the model's with its one open size from the number of
// elements.
Result<TensorShape> find_shape(const KServeOptions& options, const KServeTensor& input,
                               const std::string& place, const std::optional<TensorShape>& given,
                               std::optional<int64_t> elements) {
  const TensorShape open = element_shape(options.metadata, input);
  TensorShape shape = open;
  const auto option = options.shapes.find(input.name);
  if (given) {
    shape = *given;
  } else if (option != options.shapes.end()) {
    shape = option->second;
  } else if (const auto holes = std::count(open.begin(), open.end(), -1); holes > 0) {
    TensorShape rest = open;
    std::replace(rest.begin(), rest.end(), int64_t{-1}, int64_t{1});
    const int64_t others = element_count(rest).value_or(0);
    if (holes > 1 || !elements || others <= 0 || *elements % others != 0)
      return Error{Code::kInvalidArgument,
                   concat(place, ": the model leaves sizes of ", shape_text(open),
                          " open; want a shape for ", in_quotes(input.name))};
    *std::find(shape.begin(), shape.end(), -1) = *elements / others;
  }
  if (!fits(shape, open))
    return Error{Code::kInvalidArgument,
                 concat(place, ": want a shape like ", shape_text(open),
                        options.metadata.max_batch > 0 ? " (without the batch)" : "", ", found ",
                        shape_text(shape))};
  const auto count = element_count(shape);
  if (!count)
    return Error{Code::kInvalidArgument,
                 concat(place, ": ", shape_text(shape), " has too many elements")};
  if (elements && *count != *elements)
    return Error{Code::kInvalidArgument, concat(place, ": want ", *count, " elements for shape ",
                                                shape_text(shape), ", found ", *elements)};
  return shape;
}

Result<Values> values_of(const KServeOptions& options, const KServeTensor& input,
                         const DataTensor& tensor) {
  Values values;
  SIS_ASSIGN(values.raw, tensor.bytes(input.type));
  SIS_ASSIGN(const int64_t elements, raw_elements(input.type, values.raw));
  SIS_ASSIGN(values.shape, find_shape(options, input, tensor.place, tensor.shape, elements));
  return values;
}

Result<Values> made_up(const KServeOptions& options, const KServeTensor& input, Rng& rng) {
  Values values;
  SIS_ASSIGN(values.shape, find_shape(options, input, concat("input ", in_quotes(input.name)),
                                      std::nullopt, std::nullopt));
  const int64_t elements = *element_count(values.shape);
  // The shape may be the server's word: what it would cost is known before anything is built.
  const size_t each = input.type != TensorType::kBytes ? tensor_type_bytes(input.type)
                      : !options.string_text.empty()   ? 4 + options.string_text.size()
                      : options.zeros                  ? 4
                                                       : 4 + options.string_bytes;
  if (static_cast<uint64_t>(elements) > kInputBytesMax / each)
    return Error{Code::kTooLarge,
                 concat("input ", in_quotes(input.name), ": want at most ", kInputBytesMax >> 20,
                        " MiB, found ", elements, " elements of ", each, " bytes for shape ",
                        shape_text(values.shape))};
  if (input.type == TensorType::kBytes && !options.string_text.empty()) {
    for (int64_t i = 0; i < elements; ++i) append_string_element(values.raw, options.string_text);
  } else if (options.zeros) {
    values.raw = zero_tensor(input.type, elements);
  } else {
    values.raw = random_tensor(input.type, elements, rng, options.string_bytes);
  }
  return values;
}

Status check_names(const KServeOptions& options) {
  const KServeModel& model = options.metadata;
  const auto known = [&](const std::string& name) {
    return std::any_of(model.inputs.begin(), model.inputs.end(),
                       [&](const KServeTensor& input) { return input.name == name; });
  };
  for (const auto& [name, shape] : options.shapes)
    if (!known(name))
      return Error{Code::kInvalidArgument,
                   concat("shape of ", in_quotes(name), ": the model has no such input")};
  if (options.data == nullptr) return {};
  for (const auto& stream : options.data->streams)
    for (const auto& step : stream) {
      for (const auto& [name, tensor] : step)
        if (!known(name))
          return Error{Code::kInvalidArgument, concat(tensor.place, ": the model ",
                                                      in_quotes(model.name), " has no such input")};
      for (const KServeTensor& input : model.inputs)
        if (!input.optional && !step.contains(input.name))
          return Error{Code::kInvalidArgument,
                       concat(step.empty() ? "data" : step.begin()->second.place,
                              ": its step lacks the input ", in_quotes(input.name))};
    }
  return {};
}

// One request's inputs, in the model's order; optional ones may be missing.
using Inputs = std::vector<std::pair<const KServeTensor*, Values>>;

Result<std::string> request_of(const KServeOptions& options,
                               const std::vector<KServeTensor>& outputs, const Inputs& inputs) {
  std::string json = R"({"inputs":[)", binary;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto& [input, values] = inputs[i];
    TensorShape shape = values.shape;
    if (options.metadata.max_batch > 0) shape.insert(shape.begin(), options.batch);
    json += concat(i > 0 ? "," : "", R"({"name":)", Json(input->name).dump(), R"(,"shape":)",
                   shape_text(shape), R"(,"datatype":")", tensor_type_name(input->type), R"(",)");
    if (options.binary) {
      json += concat(R"("parameters":{"binary_data_size":)", values.raw.size(), "}}");
      binary += values.raw;
    } else {
      auto list = tensor_json(input->type, values.raw);
      if (!list.ok()) return prefixed(concat("input ", in_quotes(input->name)), list.error());
      json += concat(R"("data":)", *list, "}");
    }
  }
  json += R"(],"outputs":[)";
  for (size_t i = 0; i < outputs.size(); ++i)
    json += concat(i > 0 ? "," : "", R"({"name":)", Json(outputs[i].name).dump(),
                   options.binary_outputs ? R"(,"parameters":{"binary_data":true}})" : "}");
  json += "]";
  if (!options.parameters.empty()) json += concat(R"(,"parameters":)", options.parameters.dump());
  json += "}";

  net::FetchRequest request{.method = "POST"};
  request.target =
      net::join_target(options.url, kserve_model_path(options.model, options.version) + "/infer");
  request.headers = options.headers;
  request.headers.emplace_back("Content-Type",
                               options.binary ? "application/octet-stream" : "application/json");
  request.headers.emplace_back("User-Agent", "sis-bench");
  if (options.binary)
    request.headers.emplace_back("Inference-Header-Content-Length", std::to_string(json.size()));
  if (!options.keep_alive) request.headers.emplace_back("Connection", "close");
  request.body = std::move(json) + binary;
  return net::request_bytes(options.url, request);
}

Result<std::vector<KServeTensor>> asked_outputs(const KServeOptions& options) {
  if (options.outputs.empty()) return options.metadata.outputs;
  std::vector<KServeTensor> outputs;
  for (const auto& name : options.outputs) {
    const auto& all = options.metadata.outputs;
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const auto& output) { return output.name == name; });
    if (found == all.end())
      return Error{Code::kInvalidArgument,
                   concat("output ", in_quotes(name), ": the model has no such output")};
    outputs.push_back(*found);
  }
  return outputs;
}

// Steps of all streams, one behind the other.
std::vector<const DataStep*> flat(const std::vector<DataStream>& streams) {
  std::vector<const DataStep*> steps;
  for (const auto& stream : streams)
    for (const auto& step : stream) steps.push_back(&step);
  return steps;
}

}  // namespace

Result<std::unique_ptr<KServeWorkload>> KServeWorkload::create(const KServeOptions& options) {
  const KServeModel& model = options.metadata;
  if (model.sequences)
    return Error{Code::kInvalidArgument,
                 concat("model ", in_quotes(options.model),
                        ": want a model without sequence_batching: its requests have an order "
                        "that independent connections cannot keep")};
  if (model.decoupled)
    return Error{Code::kInvalidArgument,
                 concat("model ", in_quotes(options.model),
                        ": want a model that is not decoupled: HTTP carries one answer")};
  const int64_t batch_max = std::max<int64_t>(1, model.max_batch);
  if (options.batch < 1 || options.batch > batch_max)
    return Error{Code::kInvalidArgument, concat("batch: want 1..", batch_max, " for model ",
                                                in_quotes(options.model), ", got ", options.batch)};
  SIS_TRY(check_names(options));

  auto workload = std::make_unique<KServeWorkload>();
  workload->batch_ = options.batch;
  SIS_ASSIGN(workload->outputs_, asked_outputs(options));
  Rng rng(options.seed);
  std::vector<const DataStep*> steps, expected;
  if (options.data != nullptr) {
    steps = flat(options.data->streams);
    expected = flat(options.data->expected);
  }
  size_t wanted = options.data != nullptr ? steps.size() : kMadeUpMax;
  if (options.data == nullptr && options.zeros) wanted = 1;
  if (options.requests > 0) wanted = std::min<size_t>(wanted, options.requests);

  size_t pool_bytes = 0;
  for (size_t i = 0; i < wanted; ++i) {
    if (options.data == nullptr && i > 0 && pool_bytes > kMadeUpBytesMax) break;
    Inputs inputs;
    for (const KServeTensor& input : model.inputs) {
      Values whole;
      bool has_values = true;
      for (int64_t b = 0; b < options.batch; ++b) {
        Values one;
        if (options.data == nullptr) {
          SIS_ASSIGN(one, made_up(options, input, rng));
        } else {
          const DataStep& step = *steps[(i + static_cast<size_t>(b)) % steps.size()];
          const auto found = step.find(input.name);
          if (found == step.end()) {
            has_values = false;
            break;
          }
          SIS_ASSIGN(one, values_of(options, input, found->second));
          if (b > 0 && one.shape != whole.shape)
            return Error{Code::kInvalidArgument,
                         concat(found->second.place, ": want shape ", shape_text(whole.shape),
                                " as the rest of its batch, found ", shape_text(one.shape))};
        }
        whole.shape = std::move(one.shape);
        whole.raw += one.raw;
        if (pool_bytes + whole.raw.size() > kPoolBytesMax)
          return Error{Code::kTooLarge,
                       concat("requests: want at most ", kPoolBytesMax >> 20, " MiB of them")};
      }
      if (has_values) inputs.emplace_back(&input, std::move(whole));
    }
    SIS_ASSIGN(std::string bytes, request_of(options, workload->outputs_, inputs));
    pool_bytes += bytes.size();
    workload->pool_.push_back(std::move(bytes));

    if (expected.empty()) continue;
    std::map<std::string, std::string> outputs;
    for (const KServeTensor& output : workload->outputs_)
      for (int64_t b = 0; b < options.batch; ++b) {
        const DataStep& step = *expected[(i + static_cast<size_t>(b)) % expected.size()];
        const auto found = step.find(output.name);
        if (found == step.end()) break;
        SIS_ASSIGN(const std::string raw, found->second.bytes(output.type));
        outputs[output.name] += raw;
      }
    workload->expected_.push_back(std::move(outputs));
  }
  return workload;
}

std::unique_ptr<Judge> KServeWorkload::make_judge() const {
  return make_kserve_judge({.outputs = &outputs_, .expected = &expected_, .batch = batch_});
}

}  // namespace sis::perf
