// The mechanism of settings: one table declares them, several sources give values, one immutable
// object answers.
//
// Sources, strongest first: command line, exported environment, `.env`, `env`, the table's default.
// Within one source the first of a setting's names (its own, then its aliases in order) that is set
// wins. Names are case-insensitive, empty means not set, names the table does not know are ignored.
// A value of the wrong type is one error that names setting, source, expectation and value.
// Everything is read once; a Settings object never changes afterwards and may be read from any
// thread. Which settings exist is the caller's table.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sis {

class Settings;

enum class SettingType : uint8_t {
  kBool,  // 1/0 true/false yes/no on/off t/f y/n
  kInt,
  kNumber,
  kSeconds,  // a number; read with duration()
  kMillis,   // the same in milliseconds
  kString,
  kPath,
  kEnum,  // one of `choices`, any case; read with text(), spelled as in `choices`
  kList,  // comma separated, items trimmed, blanks dropped
};

enum class SettingUse : uint8_t {
  kUsed,
  kNotYet,   // accepted and checked; the feature it belongs to is not there yet
  kIgnored,  // accepted so that old files and scripts keep working; never has an effect
};

// Another setting that stands in when this one is not set.
struct SettingFallback {
  const char* name;
  // Asked once all directly set values are known; absent: always.
  bool (*when)(const Settings& settings) = nullptr;
};

// One row of a table. All text is static.
struct SettingDef {
  const char* name;  // upper case; --max-queue-size is the flag of MAX_QUEUE_SIZE
  SettingType type = SettingType::kString;
  const char* initial =
      "";  // default; "" for none: text is empty, numbers are 0, lists have no items
  std::vector<SettingFallback> fallbacks = {};  // before `initial`, in order
  std::vector<const char*> aliases = {};  // other names, each a variable and a flag, best first
  std::vector<const char*> flags = {};    // extra flags without the dashes: "device"
  double least =
      -std::numeric_limits<double>::infinity();  // numbers outside [least, most] are refused
  double most = std::numeric_limits<double>::infinity();
  double floor = -std::numeric_limits<double>::infinity();  // lower numbers are raised to it
  std::vector<const char*> choices = {};                    // kEnum
  const char* unit = "";
  const char* group = "";
  const char* help = "";
  SettingUse use = SettingUse::kUsed;
  bool secret = false;  // never printed, not even in an error
};

// A value as it was given, before its type is checked.
struct SettingAssignment {
  std::string name;  // any case; a setting's name or one of its aliases
  std::string value;
  std::string source;  // "command line", ".env line 3"
};

class SettingTable {
 public:
  // Checks the table itself (unique names, fallbacks that exist, defaults of the right type):
  // SIS_CHECK.
  explicit SettingTable(std::vector<SettingDef> rows);

  const std::vector<SettingDef>& rows() const { return rows_; }
  // By name or alias, any case; -1 when there is none.
  int find(std::string_view name) const;
  // By flag without its dashes, '_' as good as '-', any case; -1 when there is none.
  int find_flag(std::string_view flag) const;
  // The known flag nearest to `flag`, without dashes; empty when none is near.
  std::string nearest_flag(std::string_view flag) const;

 private:
  std::vector<SettingDef> rows_;
  std::map<std::string, int, std::less<>> by_name_, by_flag_;
};

// "max-queue-size" for MAX_QUEUE_SIZE.
std::string setting_flag(std::string_view name);
// "an integer of at least 1", for messages and documents.
std::string setting_expectation(const SettingDef& def);

struct ParsedFlags {
  std::vector<SettingAssignment> assignments;
  std::vector<std::string> rest;  // the program's own flags and positional arguments, in order
};
// Splits arguments (without argv[0]) into settings and the rest.
//   --name value, --name=value, --set NAME=VALUE; a bool also as --name and --no-name
// `own_flags` are the program's: "--help", or with a value "--out=" (comes back as "--out=value").
// A flag nobody knows is an error with the nearest one; so is a missing value. "--" ends the flags.
Result<ParsedFlags> parse_setting_flags(const SettingTable& table,
                                        const std::vector<std::string>& arguments,
                                        const std::vector<std::string_view>& own_flags = {});

struct SettingSources {
  std::vector<SettingAssignment> command_line;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string folder = ".";  // where `.env` and `env` are looked for; empty: no files
};
// This process's exported variables.
std::vector<std::pair<std::string, std::string>> exported_environment();

class Settings {
 public:
  // `table` must outlive the object.
  static Result<Settings> load(const SettingTable& table, const SettingSources& sources);

  // The value; the setting must exist and be of that type (SIS_CHECK).
  bool flag(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;            // kNumber, kSeconds, kMillis as given
  Duration duration(std::string_view name) const;        // kSeconds, kMillis
  const std::string& text(std::string_view name) const;  // kString, kPath, kEnum
  const std::vector<std::string>& list(std::string_view name) const;

  // Whether a source gave it (not a default, not a fallback).
  bool is_set(std::string_view name) const;
  // "command line", "environment", ".env line 3", "default", "MAX_QUEUE_SIZE (env line 2)". With
  // the name that was used where it was an alias: "environment, as BATCH_WINDOW_MS".
  const std::string& source_of(std::string_view name) const;
  // For people and logs: secrets as "***", absent values as "".
  std::string shown(std::string_view name) const;

  const SettingTable& table() const { return *table_; }

 private:
  struct Value {
    std::string text;  // canonical
    double number = 0;
    int64_t integer = 0;
    std::vector<std::string> items;
    std::string source = "default";
    bool set = false;
  };
  explicit Settings(const SettingTable& table) : table_(&table), values_(table.rows().size()) {}
  const Value& value(std::string_view name) const;
  const Value& typed(std::string_view name, std::initializer_list<SettingType> types) const;
  static Result<Value> parse(const SettingDef& def, std::string_view text);
  void resolve(int row, std::vector<uint8_t>& state);
  friend class SettingTable;

  const SettingTable* table_;
  std::vector<Value> values_;
};

// 1/0 true/false yes/no on/off t/f y/n, any case.
std::optional<bool> parse_bool_word(std::string_view text);

}  // namespace sis
