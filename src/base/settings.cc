#include "base/settings.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/dotenv.h"
#include "base/strings.h"

namespace sis {
namespace {

// Longest duration a setting may name: about 3 years, so that arithmetic on Durations cannot
// overflow.
constexpr double kSecondsMax = 1e8;

std::string to_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return out;
}

std::string shortest(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? concat(static_cast<int64_t>(value))
                                                              : concat(value);
}

// "4", "-4", "+4" and "4.0" are integers; "4.5" is not.
std::optional<int64_t> parse_whole(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  if (const auto value = parse_int(text)) return value;
  if (const size_t dot = text.find('.');
      dot != std::string_view::npos && dot + 1 < text.size() &&
      text.find_first_not_of('0', dot + 1) == std::string_view::npos)
    return parse_int(text.substr(0, dot));
  return std::nullopt;
}

using SourceMap = std::map<std::string, const SettingAssignment*, std::less<>>;

// Upper-cased name -> the assignment that counts: the last one, but an exactly spelled name beats
// other cases.
SourceMap index_source(const std::vector<SettingAssignment>& assignments) {
  SourceMap map;
  for (const auto& assignment : assignments) {
    if (trim(assignment.value).empty()) continue;  // empty is not set
    std::string name = to_upper(assignment.name);
    auto [it, fresh] = map.try_emplace(name, &assignment);
    if (!fresh && (assignment.name == name || it->second->name != name)) it->second = &assignment;
  }
  return map;
}

Result<std::vector<SettingAssignment>> read_file_source(const std::string& folder,
                                                        const char* file) {
  std::vector<SettingAssignment> assignments;
  SIS_ASSIGN(auto entries, read_dotenv(folder + "/" + file, file));
  for (auto& entry : entries)
    assignments.push_back(
        {std::move(entry.name), std::move(entry.value), concat(file, " line ", entry.line)});
  return assignments;
}

}  // namespace

std::optional<bool> parse_bool_word(std::string_view text) {
  for (const char* yes : {"1", "true", "yes", "on", "t", "y"})
    if (iequals(text, yes)) return true;
  for (const char* no : {"0", "false", "no", "off", "f", "n"})
    if (iequals(text, no)) return false;
  return std::nullopt;
}

std::string setting_flag(std::string_view name) {
  std::string flag = to_lower(name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string setting_expectation(const SettingDef& def) {
  std::string want;
  switch (def.type) {
    case SettingType::kBool:
      return "a boolean (1/0, true/false, yes/no, on/off)";
    case SettingType::kString:
      return "text";
    case SettingType::kPath:
      return "a path";
    case SettingType::kList:
      return "a comma separated list";
    case SettingType::kEnum:
      want = "one of ";
      for (size_t i = 0; i < def.choices.size(); ++i) want += concat(i ? ", " : "", def.choices[i]);
      return want;
    case SettingType::kInt:
      want = "an integer";
      break;
    case SettingType::kNumber:
      want = "a number";
      break;
    case SettingType::kSeconds:
      want = "seconds";
      break;
    case SettingType::kMillis:
      want = "milliseconds";
      break;
  }
  if (std::isfinite(def.least) && std::isfinite(def.most))
    want += concat(" from ", shortest(def.least), " to ", shortest(def.most));
  else if (std::isfinite(def.least))
    want += concat(" of at least ", shortest(def.least));
  else if (std::isfinite(def.most))
    want += concat(" of at most ", shortest(def.most));
  return want;
}

SettingTable::SettingTable(std::vector<SettingDef> rows) : rows_(std::move(rows)) {
  for (int i = 0; i < static_cast<int>(rows_.size()); ++i) {
    const SettingDef& def = rows_[i];
    const auto add = [&](std::map<std::string, int, std::less<>>& map, const std::string& key) {
      SIS_CHECK(map.emplace(key, i).second, "setting ", def.name, ": '", key, "' is taken");
    };
    SIS_CHECK(to_upper(def.name) == def.name, "setting name ", def.name);
    add(by_name_, def.name);
    add(by_flag_, setting_flag(def.name));
    for (const char* alias : def.aliases) {
      add(by_name_, alias);
      add(by_flag_, setting_flag(alias));
    }
    for (const char* flag : def.flags) add(by_flag_, flag);
    SIS_CHECK(def.type == SettingType::kEnum || def.choices.empty(), "setting ", def.name);
  }
  for (const SettingDef& def : rows_) {
    for (const auto& fallback : def.fallbacks) {
      const int other = find(fallback.name);
      SIS_CHECK(other >= 0 && rows_[other].type == def.type, "setting ", def.name,
                " falls back on ", fallback.name);
    }
    if (*def.initial != '\0') {
      const auto value = Settings::parse(def, def.initial);
      SIS_CHECK(value.ok(), "setting ", def.name, ": default: ", value.error().message);
    }
  }
}

int SettingTable::find(std::string_view name) const {
  const auto it = by_name_.find(to_upper(name));
  return it == by_name_.end() ? -1 : it->second;
}

int SettingTable::find_flag(std::string_view flag) const {
  const auto it = by_flag_.find(setting_flag(flag));
  return it == by_flag_.end() ? -1 : it->second;
}

Result<Settings::Value> Settings::parse(const SettingDef& def, std::string_view text) {
  Value value;
  const auto bad = [&] {
    return Error{Code::kInvalidArgument, concat("want ", setting_expectation(def), ", got ",
                                                def.secret ? std::string("***") : in_quotes(text))};
  };
  const std::string_view word = trim(text);
  switch (def.type) {
    case SettingType::kString:
    case SettingType::kPath:
      // A NUL would end the text early in every C interface it is given to.
      if (text.find('\0') != std::string_view::npos) return bad();
      value.text = word;
      return value;
    case SettingType::kList:
      value.items = split_list(text);
      for (const auto& item : value.items) value.text += (value.text.empty() ? "" : ",") + item;
      return value;
    case SettingType::kEnum:
      for (const char* choice : def.choices)
        if (iequals(word, choice)) {
          value.text = choice;
          return value;
        }
      return bad();
    case SettingType::kBool: {
      const auto parsed = parse_bool_word(word);
      if (!parsed) return bad();
      value.integer = *parsed;
      value.number = *parsed;
      value.text = *parsed ? "1" : "0";
      return value;
    }
    case SettingType::kInt: {
      const auto parsed = parse_whole(word);
      if (!parsed || static_cast<double>(*parsed) < def.least ||
          static_cast<double>(*parsed) > def.most)
        return bad();
      value.integer = *parsed;
      if (static_cast<double>(value.integer) < def.floor)
        value.integer = static_cast<int64_t>(def.floor);
      value.number = static_cast<double>(value.integer);
      value.text = concat(value.integer);
      return value;
    }
    case SettingType::kNumber:
    case SettingType::kSeconds:
    case SettingType::kMillis: {
      const auto parsed = parse_double(word);
      if (!parsed || *parsed < def.least || *parsed > def.most) return bad();
      value.number = std::max(*parsed, def.floor);
      if (def.type != SettingType::kNumber) {
        const double limit = def.type == SettingType::kMillis ? kSecondsMax * 1e3 : kSecondsMax;
        if (std::abs(value.number) > limit) return bad();
      }
      value.text = shortest(value.number);
      return value;
    }
  }
  return bad();
}

// Fills a setting that no source gave from its fallbacks, depth first. state: 0 untouched, 1 in
// work, 2 done.
void Settings::resolve(int row, std::vector<uint8_t>& state) {
  SIS_CHECK(state[row] != 1, "setting ", table_->rows()[row].name, " falls back on itself");
  if (state[row] == 2) return;
  state[row] = 1;
  const SettingDef& def = table_->rows()[row];
  if (!values_[row].set) {
    for (const auto& fallback : def.fallbacks) {
      if (fallback.when && !fallback.when(*this)) continue;
      const int other = table_->find(fallback.name);
      resolve(other, state);
      std::string source = concat(fallback.name, " (", values_[other].source, ")");
      values_[row] = values_[other];
      values_[row].source = std::move(source);
      values_[row].set = false;
      break;
    }
  }
  state[row] = 2;
}

Result<Settings> Settings::load(const SettingTable& table, const SettingSources& sources) {
  std::vector<std::vector<SettingAssignment>> layers;
  layers.push_back(sources.command_line);
  std::vector<SettingAssignment> exported;
  for (const auto& [name, value] : sources.environment)
    exported.push_back({name, value, "environment"});
  layers.push_back(std::move(exported));
  if (!sources.folder.empty()) {
    for (const char* file : {".env", "env"}) {
      SIS_ASSIGN(auto assignments, read_file_source(sources.folder, file));
      layers.push_back(std::move(assignments));
    }
  }
  std::vector<SourceMap> maps;
  for (const auto& layer : layers) maps.push_back(index_source(layer));

  Settings settings(table);
  for (size_t row = 0; row < table.rows().size(); ++row) {
    const SettingDef& def = table.rows()[row];
    std::vector<const char*> names{def.name};
    names.insert(names.end(), def.aliases.begin(), def.aliases.end());
    const SettingAssignment* found = nullptr;
    for (size_t layer = 0; layer < maps.size() && !found; ++layer)
      for (const char* name : names)
        if (const auto it = maps[layer].find(std::string_view(name)); it != maps[layer].end()) {
          found = it->second;
          break;
        }
    if (!found) {
      if (*def.initial != '\0') settings.values_[row] = *parse(def, def.initial);
      continue;
    }
    auto value = parse(def, found->value);
    if (!value.ok())
      return Error{Code::kInvalidArgument, concat(to_upper(found->name), " (", found->source,
                                                  "): ", value.error().message)};
    value->source = iequals(found->name, def.name)
                        ? found->source
                        : concat(found->source, ", as ", to_upper(found->name));
    value->set = true;
    settings.values_[row] = *std::move(value);
  }
  std::vector<uint8_t> state(table.rows().size(), 0);
  for (size_t row = 0; row < table.rows().size(); ++row)
    settings.resolve(static_cast<int>(row), state);
  return settings;
}

const Settings::Value& Settings::value(std::string_view name) const {
  const int row = table_->find(name);
  SIS_CHECK(row >= 0 && table_->rows()[row].name == name, "no setting ", name, " in the table");
  return values_[row];
}

const Settings::Value& Settings::typed(std::string_view name,
                                       std::initializer_list<SettingType> types) const {
  const Value& found = value(name);
  const SettingType type = table_->rows()[table_->find(name)].type;
  SIS_CHECK(std::find(types.begin(), types.end(), type) != types.end(), "setting ", name,
            " is read as another type than its own");
  return found;
}

bool Settings::flag(std::string_view name) const {
  return typed(name, {SettingType::kBool}).integer != 0;
}
int64_t Settings::integer(std::string_view name) const {
  return typed(name, {SettingType::kInt}).integer;
}
double Settings::number(std::string_view name) const {
  return typed(name, {SettingType::kNumber, SettingType::kSeconds, SettingType::kMillis}).number;
}
Duration Settings::duration(std::string_view name) const {
  const Value& found = typed(name, {SettingType::kSeconds, SettingType::kMillis});
  const bool millis = table_->rows()[table_->find(name)].type == SettingType::kMillis;
  return millis ? from_ms(found.number) : from_seconds(found.number);
}
const std::string& Settings::text(std::string_view name) const {
  return typed(name, {SettingType::kString, SettingType::kPath, SettingType::kEnum}).text;
}
const std::vector<std::string>& Settings::list(std::string_view name) const {
  return typed(name, {SettingType::kList}).items;
}

bool Settings::is_set(std::string_view name) const { return value(name).set; }
const std::string& Settings::source_of(std::string_view name) const { return value(name).source; }

std::string Settings::shown(std::string_view name) const {
  const Value& found = value(name);
  if (found.text.empty()) return "";
  return table_->rows()[table_->find(name)].secret ? "***" : found.text;
}

std::vector<std::pair<std::string, std::string>> exported_environment() {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text = *entry;
    if (const size_t equals = text.find('='); equals != std::string_view::npos && equals > 0)
      variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace sis
