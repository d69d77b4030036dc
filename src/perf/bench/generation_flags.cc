#include "perf/bench/generation_flags.h"

#include <algorithm>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr int64_t kTokensMax = 1'000'000;

}  // namespace

void GenerationFlags::add_to(FlagSet& flags, Status (*check_extra)(std::string_view)) {
  flags.section("Generation");
  flags.custom({{"max-tokens"}, {"MAX_TOKENS"}}, "N|SPEC", std::to_string(max_tokens),
               "most output tokens of an answer, or a distribution as of --lengths",
               [this](std::string_view text) -> Status {
                 lengths.reset();
                 lengths_text.clear();
                 if (text.find_first_of(":,") == std::string_view::npos) {
                   const auto count = parse_int(text);
                   if (!count || *count < 1 || *count > kTokensMax)
                     return Error{Code::kInvalidArgument,
                                  concat("want a whole number 1..", kTokensMax, ", got ",
                                         in_quotes(text), "; or a distribution")};
                   max_tokens = *count;
                   return {};
                 }
                 SIS_ASSIGN(lengths, LengthSpec::parse(text));
                 lengths_text = text;
                 return {};
               });
  flags.number({{"temperature"}, {"TEMPERATURE"}}, &temperature, 0, 100, "of sampling");
  flags.number({{"top-p"}, {"TOP_P"}}, &top_p, 0, 1, "of sampling");
  flags.toggle({{"stream"}, {}}, &stream, "take answers as server-sent events; --no-stream: whole");
  flags.toggle({{"ignore-eos"}, {}}, &ignore_eos,
               "ask for exactly --max-tokens tokens (ignore_eos, not every server knows it)");
  flags.custom({{"extra"}, {}}, "JSON", "", "object merged into the body; null takes a field out",
               [this, check_extra](std::string_view text) -> Status {
                 extra = text;
                 return check_extra(text);
               });
  flags.section("Limits to keep (goodput)");
  const auto limit = [&](const char* flag, const char* variable, Duration* value,
                         const char* help) {
    flags.custom({{flag}, {variable}}, "MS", "", help, [value](std::string_view text) -> Status {
      const auto ms = parse_double(text);
      const auto time = ms ? from_ms(std::clamp(*ms, -1.0, 1e9)) : parse_duration(text);
      if (!time || *time <= Duration{} || *time > from_seconds(86400))
        return Error{
            Code::kInvalidArgument,
            concat("want milliseconds above 0, or a time like 1.5s, got ", in_quotes(text))};
      *value = *time;
      return {};
    });
  };
  limit("slo-ttft", "SLO_TTFT", &slo.ttft, "time to the first token");
  limit("slo-itl", "SLO_ITL", &slo.itl, "99 % of an answer's gaps between its tokens");
}

Status GenerationFlags::check() const {
  if (slo.wanted() && !stream)
    return Error{Code::kInvalidArgument,
                 "--slo-ttft, --slo-itl: want streamed answers, not --no-stream"};
  return {};
}

std::string GenerationFlags::shown() const {
  std::string out = ignore_eos ? "; exactly " : "; up to ";
  out += lengths ? lengths_text : std::to_string(max_tokens);
  out += concat(" tokens, temperature ", temperature, ", top_p ", top_p);
  if (!extra.empty()) out += concat(", extra ", extra);
  return out;
}

}  // namespace sis::perf
