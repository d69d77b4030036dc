#include "perf/triton/profile_export.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/load/json_file.h"
#include "perf/load/tensor.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A single value stands without its list.
Json value_of(Json list) {
  while (list.is_array() && list.size() == 1) list = Json(list.front());
  return list;
}

Json raw_value(const std::string& datatype, std::string_view raw) {
  const auto type = find_tensor_type(datatype);
  if (!type) return nullptr;
  const auto text = tensor_json(*type, raw);
  if (text.ok()) return value_of(Json::parse(*text, nullptr, /*allow_exceptions=*/false));
  if (*type != TensorType::kBytes) return nullptr;
  // Strings that are not UTF-8: the first one, what is no text replaced.
  if (raw.size() < 4) return "";
  return std::string(raw.substr(4));
}

std::string_view body_of(std::string_view request) {
  const size_t end = request.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string_view() : request.substr(end + 4);
}

}  // namespace

std::string tensors_as_json(std::string_view body, const char* json_list) {
  Json out = Json::object();
  const size_t json_bytes = json_object_bytes(body);
  // Bounded in depth: values are copied and written recursively.
  const auto parsed = parse_json_text(std::string(body.substr(0, json_bytes)), json_list);
  if (!parsed.ok() || !parsed->is_object()) return "{}";
  const Json& document = *parsed;
  if (!document.contains(json_list) || !document[json_list].is_array()) return "{}";
  std::string_view raw = body.substr(json_bytes);
  for (const Json& tensor : document[json_list]) {
    if (!tensor.is_object() || !tensor.contains("name") || !tensor["name"].is_string()) continue;
    const std::string name = tensor["name"].get<std::string>();
    if (tensor.contains("data")) {
      out[name] = value_of(tensor["data"]);
      continue;
    }
    const Json parameters = tensor.value("parameters", Json::object());
    const Json bytes =
        parameters.is_object() ? parameters.value("binary_data_size", Json()) : Json();
    if (!bytes.is_number_unsigned() || bytes.get<uint64_t>() > raw.size()) break;
    const Json value = raw_value(tensor.contains("datatype") && tensor["datatype"].is_string()
                                     ? tensor["datatype"].get<std::string>()
                                     : std::string(),
                                 raw.substr(0, bytes.get<uint64_t>()));
    if (!value.is_null()) out[name] = value;
    raw.remove_prefix(bytes.get<uint64_t>());
  }
  return dumped(out);
}

Result<std::unique_ptr<ProfileExport>> ProfileExport::open(const PerfSettings& settings) {
  std::FILE* file = std::fopen(settings.profile_file.c_str(), "wb");
  if (file == nullptr)
    return Error{Code::kInternal,
                 concat("--profile-export-file: cannot write ", in_quotes(settings.profile_file),
                        ": ", std::strerror(errno))};
  return std::unique_ptr<ProfileExport>(new ProfileExport(settings, file));
}

ProfileExport::ProfileExport(const PerfSettings& settings, std::FILE* file)
    : settings_(settings), file_(file) {
  offset_ = std::chrono::duration_cast<std::chrono::nanoseconds>(
                std::chrono::system_clock::now().time_since_epoch()) -
            std::chrono::duration_cast<std::chrono::nanoseconds>(
                std::chrono::steady_clock::now().time_since_epoch());
  write(R"({"experiments":[)");
}

ProfileExport::~ProfileExport() {
  if (file_ != nullptr) std::fclose(file_);
}

void ProfileExport::write(std::string_view text) {
  wrong_ |= std::fwrite(text.data(), 1, text.size(), file_) != text.size();
}

int64_t ProfileExport::unix_ns(TimePoint time) const {
  return (std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()) + offset_)
      .count();
}

void ProfileExport::add_level(double value, const std::vector<RequestRecord>& records,
                              const Workload& workload) {
  const bool triton = settings_.kind == ServiceKind::kTriton;
  write(first_ ? "" : ",");
  first_ = false;
  write(settings_.mode == LoadMode::kConcurrency
            ? fmt::format(R"({{"experiment":{{"mode":"concurrency","value":{:.0f}}},"requests":[)",
                          value)
            : fmt::format(R"({{"experiment":{{"mode":"request_rate","value":{}}},"requests":[)",
                          value));
  std::string scratch, text;
  bool first = true;
  for (const RequestRecord& record : records) {
    text =
        concat(first ? "" : ",", R"({"timestamp":)", unix_ns(record.sent), R"(,"request_inputs":)");
    first = false;
    const std::string_view body = body_of(workload.request(record.index, scratch));
    text += triton ? tensors_as_json(body, "inputs") : dumped(Json{{"payload", std::string(body)}});
    text += R"(,"response_timestamps":[)";
    for (size_t i = 0; i < record.responses.size(); ++i)
      text += concat(i > 0 ? "," : "", unix_ns(record.responses[i].first));
    text += R"(],"response_outputs":[)";
    for (size_t i = 0; i < record.responses.size(); ++i) {
      const std::string& response = record.responses[i].second;
      text += concat(i > 0 ? "," : "", triton ? tensors_as_json(response, "outputs")
                                              : dumped(Json{{"response", response}}));
    }
    text += "]}";
    write(text);
  }
  text = R"(],"window_boundaries":[)";
  for (size_t i = 0; i < boundaries_.size(); ++i)
    text += concat(i > 0 ? "," : "", unix_ns(boundaries_[i]));
  write(text + "]}");
  boundaries_.clear();
}

Status ProfileExport::close(std::string_view version) {
  write(concat(R"(],"version":)", Json(std::string(version)).dump(), R"(,"service_kind":")",
               settings_.kind == ServiceKind::kTriton ? "triton" : "openai", R"(","endpoint":)",
               Json(settings_.endpoint).dump(), "}\n"));
  const bool closed = std::fclose(file_) == 0;
  file_ = nullptr;
  if (wrong_ || !closed)
    return Error{Code::kInternal,
                 concat("--profile-export-file: cannot write ", in_quotes(settings_.profile_file))};
  return {};
}

}  // namespace sis::perf
