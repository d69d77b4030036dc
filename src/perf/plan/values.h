// Names in a plan become values: ${name} of its `variables`, ${env:NAME} of the process, and
// --set over both. $${ stands for ${ itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml_tree.h"
#include "perf/bench/flags.h"

namespace sis::perf {

inline constexpr YamlLimits kPlanYaml{
    .file_bytes = 4 << 20, .values = 100000, .text_bytes = 8 << 20, .depth = 32};

// Each "NAME=VALUE" sets a variable, or the value at a path like scenarios.load.vus or
// scenarios.load.tasks.0.weight (the last key may be new). VALUE is YAML.
Status apply_settings(YamlTree& plan, const std::vector<std::string>& settings,
                      std::string_view origin);

// Replaces names in every scalar and takes `variables` out. A quoted text stays text; another
// scalar that is one name takes the variable's kind, lists and mappings included.
Status fill_in_values(YamlTree& plan, const Environment& variables, std::string_view origin);

}  // namespace sis::perf
