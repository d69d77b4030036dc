// What a right answer of POST /v2/models/M/infer is.
//
// The body is JSON, or JSON and behind it the raw bytes of the outputs that have a
// binary_data_size, in their order. Where the JSON ends is seen from its braces.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "perf/load/kserve_model.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct KServeJudgeOptions {
  const std::vector<KServeTensor>* outputs = nullptr;  // asked for
  // Of request index % size; may be empty. Both outlive the judge.
  const std::vector<std::map<std::string, std::string>>* expected = nullptr;
  int64_t batch = 1;
};

std::unique_ptr<Judge> make_kserve_judge(const KServeJudgeOptions& options);

}  // namespace sis::perf
