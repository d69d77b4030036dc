#include "perf/bench/flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace sis::perf {
namespace {

Error want(std::string what, std::string_view got) {
  return Error{Code::kInvalidArgument, concat("want ", what, ", got ", in_quotes(got))};
}

std::string joined(const std::vector<std::string>& items, std::string_view between) {
  std::string out;
  for (const auto& item : items) out += concat(out.empty() ? "" : between, item);
  return out;
}

}  // namespace

void FlagSet::add(Flag flag) {
  flag.section = next_section_;
  next_section_.clear();
  flags_.push_back(std::move(flag));
}

void FlagSet::text(FlagName name, std::string* value, std::string shown, std::string help) {
  add({.name = std::move(name),
       .shown = std::move(shown),
       .initial = *value,
       .help = std::move(help),
       .set = [value](std::string_view text) -> Status {
         *value = text;
         return {};
       }});
}

void FlagSet::integer(FlagName name, int64_t* value, int64_t low, int64_t high, std::string help) {
  add({.name = std::move(name),
       .shown = "N",
       .initial = std::to_string(*value),
       .help = std::move(help),
       .set = [=](std::string_view text) -> Status {
         const auto parsed = parse_int(text);
         if (!parsed || *parsed < low || *parsed > high)
           return want(concat("a whole number ", low, "..", high), text);
         *value = *parsed;
         return {};
       }});
}

void FlagSet::number(FlagName name, double* value, double low, double high, std::string help) {
  add({.name = std::move(name),
       .shown = "X",
       .initial = *value == 0 ? "" : fmt::format("{}", *value),
       .help = std::move(help),
       .set = [=](std::string_view text) -> Status {
         const auto parsed = parse_double(text);
         if (!parsed || *parsed < low || *parsed > high)
           return want(fmt::format("a number {}..{}", low, high), text);
         *value = *parsed;
         return {};
       }});
}

void FlagSet::duration(FlagName name, Duration* value, Duration low, Duration high,
                       std::string help) {
  add({.name = std::move(name),
       .shown = "TIME",
       .initial = *value == Duration{} ? "" : duration_text(*value),
       .help = std::move(help),
       .set = [=](std::string_view text) -> Status {
         const auto parsed = parse_duration(text);
         if (!parsed || *parsed < low || *parsed > high)
           return want(concat("a time ", duration_text(low), "..", duration_text(high),
                              " like 30, 1.5s, 200ms or 2m"),
                       text);
         *value = *parsed;
         return {};
       }});
}

void FlagSet::toggle(FlagName name, bool* value, std::string help) {
  add({.name = std::move(name),
       .shown = "",
       .initial = *value ? "on" : "",
       .help = std::move(help),
       .toggle = true,
       .set = [=](std::string_view text) -> Status {
         const auto parsed = parse_bool(text);
         if (!parsed) return want("1 or 0", text);
         *value = *parsed;
         return {};
       }});
}

void FlagSet::choice(FlagName name, std::string* value, std::vector<std::string> choices,
                     std::string help) {
  std::string shown = joined(choices, "|");
  add({.name = std::move(name),
       .shown = shown,
       .initial = *value,
       .help = std::move(help),
       .set = [=, choices = std::move(choices)](std::string_view text) -> Status {
         if (std::find(choices.begin(), choices.end(), text) == choices.end())
           return want(joined(choices, " or "), text);
         *value = text;
         return {};
       }});
}

void FlagSet::custom(FlagName name, std::string shown, std::string initial, std::string help,
                     std::function<Status(std::string_view)> set) {
  add({.name = std::move(name),
       .shown = std::move(shown),
       .initial = std::move(initial),
       .help = std::move(help),
       .set = std::move(set)});
}

FlagSet::Flag* FlagSet::find(std::string_view name) {
  for (Flag& flag : flags_)
    if (std::find(flag.name.flags.begin(), flag.name.flags.end(), name) != flag.name.flags.end())
      return &flag;
  return nullptr;
}

FlagSource FlagSet::source(std::string_view name) const {
  const Flag* flag = const_cast<FlagSet*>(this)->find(name);
  SIS_CHECK(flag != nullptr, "no flag ", name);
  return flag->source;
}

Result<std::vector<std::string>> FlagSet::parse(const std::vector<std::string>& arguments,
                                                const Environment& environment) {
  std::vector<std::string> others;
  help_wanted_ = false;
  for (Flag& flag : flags_) flag.source = FlagSource::kDefault;

  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") continue;
    if (argument == "-h" || argument == "--help") {
      help_wanted_ = true;
      return others;
    }
    if (!argument.starts_with("-") || argument == "-") {
      others.push_back(argument);
      continue;
    }
    if (!argument.starts_with("--"))
      return Error{Code::kInvalidArgument,
                   concat("unknown flag ", in_quotes(argument), "; --help lists them")};
    const size_t equals = argument.find('=');
    const std::string name =
        argument.substr(2, equals == std::string::npos ? std::string::npos : equals - 2);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = argument.substr(equals + 1);
    Flag* flag = find(name);
    if (flag == nullptr && name.starts_with("no-") && !value) {
      flag = find(name.substr(3));
      if (flag != nullptr && !flag->toggle) flag = nullptr;
      if (flag != nullptr) value = "0";
    }
    if (flag == nullptr)
      return Error{Code::kInvalidArgument,
                   concat("unknown flag ", in_quotes("--" + name), "; --help lists them")};
    if (!value && flag->toggle) value = "1";
    if (!value) {
      if (i + 1 == arguments.size())
        return Error{Code::kInvalidArgument,
                     concat("--", name, ": want a value ", flag->shown, " behind it")};
      value = arguments[++i];
    }
    if (Status status = flag->set(*value); !status.ok())
      return prefixed("--" + name, status.error());
    flag->source = FlagSource::kFlag;
  }

  for (Flag& flag : flags_) {
    if (flag.source != FlagSource::kDefault) continue;
    for (const std::string& name : flag.name.environment) {
      const auto value = environment(name);
      if (!value || value->empty()) continue;
      if (Status status = flag.set(*value); !status.ok()) return prefixed(name, status.error());
      flag.source = FlagSource::kEnvironment;
      break;
    }
  }
  return others;
}

std::string FlagSet::help() const {
  std::string out = concat("usage: ", usage_, "\n\n", about_, "\n");
  for (const Flag& flag : flags_) {
    if (!flag.section.empty()) out += concat("\n", flag.section, ":\n");
    std::string left = "  ";
    for (size_t i = 0; i < flag.name.flags.size(); ++i)
      left += concat(i > 0 ? ", --" : "--", flag.name.flags[i]);
    if (!flag.shown.empty()) left += " " + flag.shown;
    std::string right = flag.help;
    if (!flag.initial.empty()) right += concat(" (", flag.initial, ")");
    if (!flag.name.environment.empty())
      right += concat(" [", joined(flag.name.environment, ", "), "]");
    out += left.size() < 34 ? fmt::format("{:<34}{}\n", left, right)
                            : fmt::format("{}\n{:<34}{}\n", left, "", right);
  }
  return out +
         "\nIn brackets: the environment variable; a flag wins over it. In parentheses: the "
         "default.\n";
}

std::optional<Duration> parse_duration(std::string_view text) {
  double scale = 1;
  if (text.ends_with("ms"))
    scale = 1e-3, text.remove_suffix(2);
  else if (text.ends_with("us"))
    scale = 1e-6, text.remove_suffix(2);
  else if (text.ends_with("s"))
    text.remove_suffix(1);
  else if (text.ends_with("m"))
    scale = 60, text.remove_suffix(1);
  else if (text.ends_with("h"))
    scale = 3600, text.remove_suffix(1);
  const auto value = parse_double(text);
  if (!value || *value < 0 || *value * scale > 1e8) return std::nullopt;
  return from_seconds(*value * scale);
}

std::string duration_text(Duration duration) {
  const double seconds = to_seconds(duration);
  if (seconds != 0 && seconds < 1) return fmt::format("{:g}ms", seconds * 1e3);
  return fmt::format("{:g}s", seconds);
}

std::optional<bool> parse_bool(std::string_view text) {
  for (const char* yes : {"1", "true", "yes", "on"})
    if (iequals(text, yes)) return true;
  for (const char* no : {"0", "false", "no", "off"})
    if (iequals(text, no)) return false;
  return std::nullopt;
}

}  // namespace sis::perf
