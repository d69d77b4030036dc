// Command-line flags that are also environment variables: flag > environment > default.
//
// A value is checked when it is read, and the message names where it came from: "--timeout: want
// ..." or "TIMEOUT: want ...". `--name value` and `--name=value` are the same; a switch takes
// `--name`, `--no-name` and
// `--name=0`. A lone `--` is skipped, so that flags may stand behind it. An empty variable counts
// as not set.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sis::perf {

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

enum class FlagSource : uint8_t { kDefault, kEnvironment, kFlag };

struct FlagName {
  std::vector<std::string> flags;        // without dashes; the first is the main one
  std::vector<std::string> environment;  // the first that is set counts
};

class FlagSet {
 public:
  FlagSet(std::string usage, std::string about)
      : usage_(std::move(usage)), about_(std::move(about)) {}

  // `value` holds the default and must outlive parse(). `shown` is the value's name in the help.
  void text(FlagName name, std::string* value, std::string shown, std::string help);
  void integer(FlagName name, int64_t* value, int64_t low, int64_t high, std::string help);
  void number(FlagName name, double* value, double low, double high, std::string help);
  void duration(FlagName name, Duration* value, Duration low, Duration high, std::string help);
  void toggle(FlagName name, bool* value, std::string help);
  void choice(FlagName name, std::string* value, std::vector<std::string> choices,
              std::string help);
  // Anything else; `set` says what is wrong with a value. Called once per occurrence of the flag.
  void custom(FlagName name, std::string shown, std::string initial, std::string help,
              std::function<Status(std::string_view)> set);
  void section(std::string title) { next_section_ = std::move(title); }

  // What is not a flag comes back, in order. `--help` is reported by help_wanted().
  Result<std::vector<std::string>> parse(const std::vector<std::string>& arguments,
                                         const Environment& environment);
  bool help_wanted() const { return help_wanted_; }
  FlagSource source(std::string_view flag) const;  // of the last parse()
  std::string help() const;

 private:
  struct Flag {
    FlagName name;
    std::string shown, initial, help, section;
    bool toggle = false;
    std::function<Status(std::string_view)> set;
    FlagSource source = FlagSource::kDefault;
  };
  Flag* find(std::string_view name);
  void add(Flag flag);

  std::string usage_, about_, next_section_;
  std::vector<Flag> flags_;
  bool help_wanted_ = false;
};

// "30", "1.5s", "200ms", "2m", "1h"; a bare number is seconds.
std::optional<Duration> parse_duration(std::string_view text);
std::string duration_text(Duration duration);
// 1/0, true/false, yes/no, on/off.
std::optional<bool> parse_bool(std::string_view text);

}  // namespace sis::perf
