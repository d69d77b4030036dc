// The tasks of a scenario: what is sent. Each kind takes the options of its `sis bench` command.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml_tree.h"
#include "perf/plan/plan.h"

namespace sis::perf {

// One entry of `tasks`: a kind with its options, and maybe a name and a weight:
//   {name: "/predict", weight: 3, predict: {text: hello}}
// Files are looked for relative to the folder of `origin`. What does not depend on the server is
// checked and read now.
Result<PlanTask> read_task(std::string_view origin, const YamlTree& tree, const std::string& path);

}  // namespace sis::perf
