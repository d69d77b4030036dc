#include "perf/report/server_times.h"

#include <algorithm>

namespace sis::perf {

std::optional<ServerTimes> server_times(const RunData& run) {
  for (const ServerData& server : run.servers) {
    const auto queue = server.find("queue_ms");
    if (!queue) continue;
    ServerTimes out{.queue_ms = *queue};
    if (const auto infer = server.find("compute_infer_ms")) {
      out.input_ms = server.find("compute_input_ms").value_or(0);
      out.infer_ms = *infer;
      out.output_ms = server.find("compute_output_ms").value_or(0);
      return out;
    }
    if (const auto compute = server.find("compute_ms")) {
      out.infer_ms = *compute;
      return out;
    }
    const auto prefill = server.find("prefill_ms"), decode = server.find("decode_ms");
    if (!prefill && !decode) continue;
    out.infer_ms = prefill.value_or(0) + decode.value_or(0);
    return out;
  }
  return std::nullopt;
}

std::vector<std::pair<std::string, double>> server_share(const RunData& run) {
  std::vector<std::pair<std::string, double>> out;
  double sum = 0;
  const auto add = [&](std::string name, std::optional<double> ms) {
    if (!ms || !(*ms >= 0)) return false;
    out.emplace_back(std::move(name), *ms);
    sum += *ms;
    return true;
  };
  for (const ServerData& server : run.servers) {
    add("queue", server.find("queue_ms"));
    bool told = add("prefill", server.find("prefill_ms"));
    told |= add("decode", server.find("decode_ms"));
    if (!told) {
      told |= add("compute input", server.find("compute_input_ms"));
      told |= add("compute infer", server.find("compute_infer_ms"));
      told |= add("compute output", server.find("compute_output_ms"));
    }
    if (!told) add("compute", server.find("compute_ms"));
    if (!out.empty()) break;
  }
  const double seen = run.service_times().mean_ms;
  if (!out.empty() && seen > sum) out.emplace_back("network and rest", seen - sum);
  return out;
}

}  // namespace sis::perf
