#include "perf/report/generation.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/report/histogram_text.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

double ratio(uint64_t part, uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Per second of wall time. With a sending window only what came inside it counts.
struct Rates {
  double output_tokens = 0, prompt_tokens = 0, slo_met = 0;
};

Rates rates(const Tally& tally) {
  const GenerationTally& generation = tally.generation;
  const bool window = tally.window_end != TimePoint{};
  const double wall_s = tally.wall_s();
  const auto rate = [&](uint64_t all, uint64_t in_window) {
    return wall_s > 0 ? static_cast<double>(window ? in_window : all) / wall_s : 0;
  };
  return {.output_tokens = rate(generation.output_tokens, generation.output_tokens_in_window),
          .prompt_tokens = rate(tally.prompt_tokens, tally.prompt_tokens_in_window),
          .slo_met = rate(generation.slo_met, generation.slo_met_in_window)};
}

std::string slo_text(const Slo& slo) {
  std::string text;
  if (slo.ttft > Duration{})
    text = fmt::format("first token within {} ms", short_number(to_ms(slo.ttft)));
  if (slo.itl > Duration{})
    text += fmt::format("{}99 % of the gaps within {} ms", text.empty() ? "" : " and ",
                        short_number(to_ms(slo.itl)));
  return text;
}

std::string output_text(const Tally& tally, double tokens_per_s) {
  const GenerationTally& generation = tally.generation;
  if (generation.answers == 0) return "unknown: no answer had usage.completion_tokens";
  std::string text = fmt::format("{} tokens/s, {} tokens in all, {} per answer ({} to {})",
                                 short_number(tokens_per_s), with_commas(generation.output_tokens),
                                 short_number(ratio(generation.output_tokens, generation.answers)),
                                 with_commas(generation.output_tokens_min),
                                 with_commas(generation.output_tokens_max));
  if (generation.answers < tally.ok)
    text += fmt::format("; {} of {} answers had no usage.completion_tokens",
                        with_commas(tally.ok - generation.answers), with_commas(tally.ok));
  if (const uint64_t pieces = generation.answers - generation.counted_by_server; pieces > 0)
    text += fmt::format("; {} of {} answers had no usage: their pieces of content are counted",
                        with_commas(pieces), with_commas(tally.ok));
  return text;
}

std::string prompt_text(const Tally& tally, double tokens_per_s) {
  const GenerationTally& generation = tally.generation;
  if (tally.answers_with_prompt_tokens == 0) return "unknown: no answer had usage.prompt_tokens";
  std::string text =
      fmt::format("{} tokens/s, {} tokens in all, {} per request", short_number(tokens_per_s),
                  with_commas(tally.prompt_tokens),
                  short_number(ratio(tally.prompt_tokens, tally.answers_with_prompt_tokens)));
  if (generation.answers_with_cached_tokens > 0)
    text += fmt::format(", {:.1f} % from a prefix cache",
                        100 * ratio(generation.cached_tokens, tally.prompt_tokens));
  if (tally.answers_with_prompt_tokens < tally.ok)
    text += fmt::format("; only {} of {} answers had usage.prompt_tokens",
                        with_commas(tally.answers_with_prompt_tokens), with_commas(tally.ok));
  return text;
}

}  // namespace

void generation_time_lines(const Tally& tally, const RunOptions& options, const LineFn& line) {
  const GenerationTally& generation = tally.generation;
  if (!generation.ttft.empty())
    line("ttft ms",
         histogram_text(generation.ttft) + (options.is_open() ? "  (from the intended send)" : "") +
             (generation.without_content > 0 ? fmt::format("  (answers without content: {})",
                                                           with_commas(generation.without_content))
                                             : ""));
  if (!generation.itl.empty())
    line("itl ms", concat(histogram_text(generation.itl), "  (",
                          with_commas(generation.itl.count()), " gaps)"));
  if (!generation.tpot.empty()) line("tpot ms", histogram_text(generation.tpot));
}

void generation_rate_lines(const Tally& tally, const RunOptions& options, const LineFn& line) {
  const Rates rate = rates(tally);
  if (tally.ok > 0) {
    line("output", output_text(tally, rate.output_tokens));
    line("prompt", prompt_text(tally, rate.prompt_tokens));
  }
  if (options.slo.wanted())
    line("goodput", fmt::format("{:.1f} % of requests, {} requests/s had their {}",
                                100 * ratio(tally.generation.slo_met, tally.ok + tally.failed),
                                short_number(rate.slo_met), slo_text(options.slo)));
}

void add_generation_json(const Tally& tally, const RunOptions& options, Json& out) {
  const GenerationTally& generation = tally.generation;
  const Rates rate = rates(tally);
  const bool known = generation.answers > 0;
  out["output_tokens"] = known ? Json(generation.output_tokens) : Json(nullptr);
  out["output_tokens_per_s"] = known ? Json(rate.output_tokens) : Json(nullptr);
  out["output_tokens_min"] = known ? Json(generation.output_tokens_min) : Json(nullptr);
  out["output_tokens_max"] = known ? Json(generation.output_tokens_max) : Json(nullptr);
  out["answers_with_output_tokens"] = generation.counted_by_server;
  out["cached_tokens"] =
      generation.answers_with_cached_tokens > 0 ? Json(generation.cached_tokens) : Json(nullptr);
  out["answers_without_content"] = generation.without_content;
  if (options.slo.wanted()) {
    Json goodput;
    const auto limit = [](Duration value) {
      return value > Duration{} ? Json(to_ms(value)) : Json(nullptr);
    };
    goodput["slo_ttft_ms"] = limit(options.slo.ttft);
    goodput["slo_itl_ms"] = limit(options.slo.itl);
    goodput["answers"] = generation.slo_met;
    goodput["share"] = ratio(generation.slo_met, tally.ok + tally.failed);
    goodput["requests_per_s"] = rate.slo_met;
    out["goodput"] = std::move(goodput);
  }
  out["ttft_ms"] = histogram_json(generation.ttft, true);
  out["itl_ms"] = histogram_json(generation.itl, true);
  out["tpot_ms"] = histogram_json(generation.tpot, true);
}

}  // namespace sis::perf
