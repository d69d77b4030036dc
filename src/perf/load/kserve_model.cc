#include "perf/load/kserve_model.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/load/json_file.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTensorsMax = 1000;

Error bad(std::string_view place, std::string_view want, const Json* found) {
  return Error{Code::kUnavailable, concat(place, ": want ", want, ", found ",
                                          found != nullptr ? json_shown(*found) : "nothing")};
}

// Sizes are numbers, or numbers in strings: 64 bits do not fit JSON's numbers everywhere.
std::optional<int64_t> read_size(const Json& from) {
  if (from.is_number_integer()) return from.get<int64_t>();
  if (from.is_string()) return parse_int(from.get_ref<const std::string&>());
  return std::nullopt;
}

Result<std::vector<KServeTensor>> read_tensors(const Json& metadata, const char* list) {
  const Json* from = json_member(metadata, list);
  if (from == nullptr || !from->is_array() || from->size() > kTensorsMax)
    return bad(concat("metadata.", list), "a list of tensors", from);
  std::vector<KServeTensor> tensors;
  for (size_t i = 0; i < from->size(); ++i) {
    const std::string place = concat("metadata.", list, "[", i, "]");
    KServeTensor tensor;
    const Json* name = json_member((*from)[i], "name");
    if (name == nullptr || !name->is_string()) return bad(place + ".name", "a string", name);
    tensor.name = name->get<std::string>();
    const Json* type = json_member((*from)[i], "datatype");
    const auto known = type != nullptr && type->is_string()
                           ? find_tensor_type(type->get<std::string>())
                           : std::nullopt;
    if (!known) return bad(place + ".datatype", "a type like FP32 or BYTES", type);
    tensor.type = *known;
    const Json* shape = json_member((*from)[i], "shape");
    if (shape == nullptr || !shape->is_array()) return bad(place + ".shape", "a list", shape);
    for (const auto& item : *shape) {
      const auto size = read_size(item);
      if (!size || *size < -1) return bad(place + ".shape", "sizes from -1", &item);
      tensor.shape.push_back(*size);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

std::string kserve_model_path(const std::string& name, const std::string& version) {
  std::string path = concat("/v2/models/", escaped(name));
  if (!version.empty()) path += concat("/versions/", escaped(version));
  return path;
}

Result<KServeModel> parse_kserve_model(const Json& metadata, const Json& config) {
  KServeModel model;
  const Json* name = json_member(metadata, "name");
  if (name == nullptr || !name->is_string()) return bad("metadata.name", "a string", name);
  model.name = name->get<std::string>();
  SIS_ASSIGN(model.inputs, read_tensors(metadata, "inputs"));
  SIS_ASSIGN(model.outputs, read_tensors(metadata, "outputs"));
  if (config.is_null()) return model;
  if (const Json* batch = json_member(config, "max_batch_size")) {
    const auto size = read_size(*batch);
    if (!size || *size < 0) return bad("config.max_batch_size", "a whole number from 0", batch);
    model.max_batch = *size;
  }
  model.sequences = json_member(config, "sequence_batching") != nullptr;
  if (const Json* policy = json_member(config, "model_transaction_policy")) {
    const Json* decoupled = json_member(*policy, "decoupled");
    model.decoupled = decoupled != nullptr && decoupled->is_boolean() && decoupled->get<bool>();
  }
  if (const Json* inputs = json_member(config, "input"); inputs != nullptr && inputs->is_array())
    for (const auto& input : *inputs)
      for (KServeTensor& tensor : model.inputs) {
        const Json *its_name = json_member(input, "name"),
                   *optional = json_member(input, "optional");
        if (its_name != nullptr && *its_name == tensor.name && optional != nullptr &&
            optional->is_boolean())
          tensor.optional = optional->get<bool>();
      }
  return model;
}

Result<Json> get_json(const KServeServer& server, const std::string& path, bool may_lack) {
  net::FetchRequest request{.target = net::join_target(server.url, path),
                            .headers = server.headers,
                            .timeout = server.timeout,
                            .verify_tls = server.verify_tls};
  SIS_ASSIGN(const net::FetchResponse response, net::fetch(server.url, request));
  const std::string place = concat("GET ", request.target);
  if (may_lack && (response.status == 404 || response.status == 405 || response.status == 501))
    return Json();
  if (response.status != 200)
    return Error{Code::kUnavailable,
                 concat(place, ": status ", response.status, ": ", error_message(response.body))};
  return parse_json_text(response.body, place);
}

Result<KServeModel> fetch_kserve_model(const KServeServer& server, const std::string& name,
                                       const std::string& version) {
  const std::string path = kserve_model_path(name, version);
  SIS_ASSIGN(const Json metadata, get_json(server, path));
  SIS_ASSIGN(const Json config, get_json(server, path + "/config", /*may_lack=*/true));
  auto model = parse_kserve_model(metadata, config);
  if (!model.ok()) return prefixed(concat("GET ", path), model.error());
  return model;
}

}  // namespace sis::perf
