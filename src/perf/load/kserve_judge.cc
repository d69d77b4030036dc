#include "perf/load/kserve_judge.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_kind.h"
#include "base/strings.h"
#include "perf/load/json_answer.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;

// Lists may be nested; simdjson bounds the depth of what it parsed.
int64_t count_values(element values) {
  array list;
  if (values.get(list)) return 1;
  int64_t count = 0;
  for (const element value : list) count += count_values(value);
  return count;
}

class KServeJudge final : public Judge {
 public:
  explicit KServeJudge(const KServeJudgeOptions& options)
      : options_(options), seen_(options.outputs->size()) {}

  Judgement judge(uint64_t index, const Answer& answer) override {
    if (answer.status != 200) return wrong_status(answer);
    if (std::string why = check(index, answer.body); !why.empty()) return {.error = std::move(why)};
    return {.ok = true, .items = static_cast<uint32_t>(options_.batch)};
  }

 private:
  std::string check(uint64_t index, std::string_view body) {
    const size_t json_bytes = json_object_bytes(body);
    if (json_bytes == 0) return concat("status 200 without a JSON object: ", in_quotes(body, 60));
    element document;
    if (const auto error = json_.read(body.substr(0, json_bytes), document); error)
      return concat("answer is not JSON: ", simdjson::error_message(error));
    array outputs;
    if (document["outputs"].get(outputs)) {
      std::string_view error;
      if (!document["error"].get(error))
        return concat("status 200 with an error: ", in_quotes(error));
      return "answer has no array 'outputs'";
    }
    std::fill(seen_.begin(), seen_.end(), false);
    binary_ = body.substr(json_bytes);
    binary_at_ = 0;
    const std::map<std::string, std::string>* expected = nullptr;
    if (!options_.expected->empty())
      expected = &(*options_.expected)[index % options_.expected->size()];
    for (const element output : outputs)
      if (std::string why = check_output(output, expected); !why.empty()) return why;
    for (size_t i = 0; i < seen_.size(); ++i)
      if (!seen_[i]) return concat("answer lacks output ", in_quotes((*options_.outputs)[i].name));
    // Line ends behind a body of JSON alone are no tensors.
    if (binary_at_ != binary_.size() && (binary_at_ > 0 || !trim(binary_).empty()))
      return concat("answer has ", binary_.size() - binary_at_, " bytes behind its last tensor");
    return {};
  }

  std::string check_output(element output, const std::map<std::string, std::string>* expected) {
    std::string_view name, type;
    if (output["name"].get(name)) return "an output has no 'name'";
    size_t at = 0;
    while (at < seen_.size() && (*options_.outputs)[at].name != name) ++at;
    if (at == seen_.size()) return concat("answer has output ", in_quotes(name), ", not asked for");
    if (seen_[at]) return concat("answer has output ", in_quotes(name), " twice");
    seen_[at] = true;
    const KServeTensor& tensor = (*options_.outputs)[at];
    if (output["datatype"].get(type) || type != tensor_type_name(tensor.type))
      return concat("output ", in_quotes(name), ": want datatype ", tensor_type_name(tensor.type),
                    ", found ", in_quotes(type));
    array shape;
    if (output["shape"].get(shape)) return concat("output ", in_quotes(name), " has no 'shape'");
    int64_t elements = 1;
    for (const element size_element : shape) {
      int64_t size = 0;
      if (size_element.get(size) || size < 0 ||
          (size > 0 && elements > static_cast<int64_t>(kTensorBytesMax) / size))
        return concat("output ", in_quotes(name), ": want sizes from 0 in its shape");
      elements *= size;
    }
    uint64_t binary_bytes = 0;
    const bool binary = !output["parameters"]["binary_data_size"].get(binary_bytes);
    int64_t found = 0;
    std::string_view raw;
    element values;
    if (binary) {
      if (binary_bytes > binary_.size() - binary_at_)
        return concat("output ", in_quotes(name), ": says ", binary_bytes, " bytes, ",
                      binary_.size() - binary_at_, " are left");
      raw = binary_.substr(binary_at_, binary_bytes);
      binary_at_ += binary_bytes;
      const auto count = raw_elements(tensor.type, raw);
      if (!count.ok()) return concat("output ", in_quotes(name), ": ", count.error().message);
      found = *count;
    } else {
      if (output["data"].get(values))
        return concat("output ", in_quotes(name), " has neither 'data' nor binary_data_size");
      if (!values.is_array())
        return concat("output ", in_quotes(name), ": want a list 'data', found ",
                      json_kind(values));
      found = count_values(values);
    }
    if (found != elements)
      return concat("output ", in_quotes(name), ": ", found, " elements, its shape says ",
                    elements);
    if (expected == nullptr) return {};
    const auto wanted = expected->find(std::string(name));
    if (wanted == expected->end()) return {};
    std::string from_json;
    if (!binary) {
      auto bytes =
          tensor_bytes(tensor.type, nlohmann::ordered_json::parse(simdjson::minify(values)));
      if (!bytes.ok()) return concat("output ", in_quotes(name), ": ", bytes.error().message);
      from_json = std::move(*bytes);
      raw = from_json;
    }
    if (raw != wanted->second)
      return concat("output ", in_quotes(name), " is not the expected one (validation_data)");
    return {};
  }

  const KServeJudgeOptions options_;
  std::vector<bool> seen_;
  std::string_view binary_;
  size_t binary_at_ = 0;
  JsonAnswer json_;
};

}  // namespace

std::unique_ptr<Judge> make_kserve_judge(const KServeJudgeOptions& options) {
  return std::make_unique<KServeJudge>(options);
}

}  // namespace sis::perf
