// Names in a plan become values: ${name} of its `variables`, ${env:NAME} of the process, and
// --set over both. $${ stands for ${ itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "perf/bench/flags.h"
#include "perf/plan/yaml_tree.h"

namespace sis::perf {

// Each "NAME=VALUE" sets a variable, or the value at a path like scenarios.load.vus or
// scenarios.load.tasks.0.weight (the last key may be new). VALUE is YAML.
Status apply_settings(YamlTree& plan, const std::vector<std::string>& settings,
                      std::string_view origin);

// Replaces names in every scalar and takes `variables` out. A quoted text stays text; another
// scalar that is one name takes the variable's kind, lists and mappings included.
Status fill_in_values(YamlTree& plan, const Environment& variables, std::string_view origin);

}  // namespace sis::perf
