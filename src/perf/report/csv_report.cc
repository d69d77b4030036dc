#include "perf/report/csv_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "perf/report/server_times.h"

namespace sis::perf {
namespace {

std::string us(double ms) {
  return fmt::format("{:.0f}", std::max(0.0, std::floor(ms * 1000 + 1e-6)));
}

std::string us(std::optional<double> ms) { return ms ? us(*ms) : std::string(); }

// Quoted where needed; a leading formula sign would be run by spreadsheets.
std::string csv_field(std::string text) {
  if (!text.empty() && std::string_view("=+-@\t\r").find(text[0]) != std::string_view::npos)
    text.insert(0, 1, '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string name_of(const RunData& run) {
  return run.model.empty() ? run.what : concat(run.what, " ", run.model);
}

double level_of(const RunData& run) {
  if (const auto level = run.level()) return *level;
  return run.open_loop() ? run.rate.value_or(0) : static_cast<double>(run.connections);
}

bool by_rate(const RunData& run) {
  return run.level_rate || (!run.level_concurrency && run.open_loop());
}

// Scenarios of a plan may be of both kinds: each then fills its own of two columns.
std::string level_cells(const RunData& run, bool mixed) {
  const std::string level = fmt::format("{}", level_of(run));
  if (!mixed) return level;
  return by_rate(run) ? concat(",", level) : concat(level, ",");
}

}  // namespace

std::string csv_report(const Report& report) {
  std::vector<const RunData*> rows;
  for (const RunData& run : report.runs)
    if (run.measured) rows.push_back(&run);
  const auto all = [&](auto has) { return std::all_of(rows.begin(), rows.end(), has); };
  const bool rates = !rows.empty() && by_rate(*rows.front());
  const bool mixed = !all([&](const RunData* run) { return by_rate(*run) == rates; });
  const bool servers =
      !rows.empty() && all([](const RunData* run) { return server_times(*run).has_value(); });
  const bool named =
      !all([&](const RunData* run) { return name_of(*run) == name_of(*rows.front()); });

  std::string out = mixed ? "Concurrency,Request Rate" : rates ? "Request Rate" : "Concurrency";
  out += ",Inferences/Second,Client Send,";
  if (servers)
    out +=
        "Network+Server Send/Recv,Server Queue,Server Compute Input,Server Compute Infer,"
        "Server Compute Output,";
  out += "Client Recv,p50 latency,p90 latency,p95 latency,p99 latency";
  if (named) out += ",Run";
  out += "\n";

  std::stable_sort(rows.begin(), rows.end(), [](const RunData* a, const RunData* b) {
    return a->requests_per_s < b->requests_per_s;
  });
  for (const RunData* run : rows) {
    const double send = run->http.sending.mean_ms, receive = run->http.receiving.mean_ms;
    out += fmt::format("{},{:.6g},{},", level_cells(*run, mixed), run->requests_per_s, us(send));
    if (servers) {
      const ServerTimes times = *server_times(*run);
      // Two clocks measured this, so it may come out a little below 0.
      const double network =
          run->service_times().mean_ms - send - receive - times.queue_ms - times.compute_ms();
      out += fmt::format("{},{},{},{},{},", us(network), us(times.queue_ms), us(times.input_ms),
                         us(times.infer_ms), us(times.output_ms));
    }
    out += us(receive);
    for (const double q : {0.5, 0.9, 0.95, 0.99})
      out += concat(",", us(run->latency_to_judge().quantile_ms(q)));
    if (named) out += concat(",", csv_field(name_of(*run)));
    out += "\n";
  }
  return out;
}

}  // namespace sis::perf
