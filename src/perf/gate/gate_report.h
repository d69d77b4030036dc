// What the gate found, for a terminal, for a merge request, and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "perf/gate/compare.h"

namespace sis::perf {

// One word and a sentence: "regressed: latency p95 of embeddings +12.3 %, ...".
std::string gate_verdict_text(const GateReport& report);

std::string gate_text(const GateReport& report);
// GitHub's and GitLab's Markdown.
std::string gate_markdown(const GateReport& report);
nlohmann::ordered_json gate_json(const GateReport& report);

}  // namespace sis::perf
