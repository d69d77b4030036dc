// sis settings: every setting with its value, where that came from, its default and what it does.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/strings.h"
#include "commands.h"
#include "serve/server/settings_table.h"

namespace sis::apps {
namespace {

using server::settings_table;

constexpr const char* kUsage =
    "usage: sis settings [NAME...] [--json | --markdown | --env] [--<setting> VALUE...]\n"
    "\n"
    "Lists every setting: value, where it came from, default, meaning. Sources, strongest first:\n"
    "command line, exported variables, .env, env (both in the working directory), default.\n"
    "\n"
    "  NAME...      only these (a part of the name is enough)\n"
    "  --json       an array of objects\n"
    "  --markdown   the reference page; values and sources left out\n"
    "  --env        a commented env file with the values in force\n"
    "  --flags      the flags of all settings, as `sis serve` takes them\n";

const char* use_word(SettingUse use) {
  switch (use) {
    case SettingUse::kUsed:
      return "";
    case SettingUse::kNotYet:
      return "not used yet";
    case SettingUse::kIgnored:
      return "ignored";
  }
  return "";
}

const char* type_word(SettingType type) {
  switch (type) {
    case SettingType::kBool:
      return "bool";
    case SettingType::kInt:
      return "int";
    case SettingType::kNumber:
      return "number";
    case SettingType::kSeconds:
      return "seconds";
    case SettingType::kMillis:
      return "milliseconds";
    case SettingType::kString:
      return "string";
    case SettingType::kPath:
      return "path";
    case SettingType::kEnum:
      return "enum";
    case SettingType::kList:
      return "list";
  }
  return "";
}

// "-> MAX_QUEUE_SIZE", "64", "none", "***".
std::string default_of(const SettingDef& def) {
  if (!def.fallbacks.empty()) return concat("-> ", def.fallbacks.back().name);
  if (*def.initial == '\0') return "none";
  return def.secret ? "***" : def.initial;
}

std::vector<const SettingDef*> chosen(const std::vector<std::string>& parts) {
  std::vector<const SettingDef*> rows;
  for (const SettingDef& def : settings_table().rows()) {
    const std::string name = to_lower(def.name);
    if (parts.empty() || std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
          return name.find(to_lower(part)) != std::string::npos;
        }))
      rows.push_back(&def);
  }
  return rows;
}

void print_table(const Settings& settings, const std::vector<const SettingDef*>& rows) {
  std::vector<std::vector<std::string>> cells{
      {"NAME", "VALUE", "SOURCE", "DEFAULT", "USE", "MEANING"}};
  for (const SettingDef* def : rows) {
    const std::string value = settings.shown(def->name);
    // Control bytes must not reach the terminal.
    const std::string safe = in_quotes(value, 36);
    cells.push_back({def->name, value.empty() ? "-" : safe.substr(1, safe.size() - 2),
                     settings.source_of(def->name), default_of(*def), use_word(def->use),
                     def->help});
  }
  std::vector<size_t> widths(cells[0].size(), 0);
  for (const auto& row : cells)
    for (size_t i = 0; i + 1 < row.size(); ++i)
      widths[i] = std::max(widths[i], std::min<size_t>(row[i].size(), 36));
  for (const auto& row : cells) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += i + 1 < row.size() ? fmt::format("{:<{}}  ", row[i], widths[i]) : row[i];
    std::puts(line.c_str());
  }
}

void print_json(const Settings& settings, const std::vector<const SettingDef*>& rows) {
  auto all = nlohmann::ordered_json::array();
  for (const SettingDef* def : rows) {
    nlohmann::ordered_json row;
    row["name"] = def->name;
    row["value"] = settings.shown(def->name);
    row["source"] = settings.source_of(def->name);
    row["default"] = nullptr;
    if (!def->fallbacks.empty() || *def->initial != '\0') row["default"] = default_of(*def);
    row["type"] = type_word(def->type);
    row["unit"] = def->unit;
    row["wants"] = setting_expectation(*def);
    row["flag"] = "--" + setting_flag(def->name);
    row["aliases"] = def->aliases;
    row["group"] = def->group;
    row["used"] = def->use == SettingUse::kUsed;
    row["note"] = use_word(def->use);
    row["secret"] = def->secret;
    row["help"] = def->help;
    all.push_back(std::move(row));
  }
  // Values come from outside: bytes that are no UTF-8 are replaced.
  std::puts(all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|')
      out += "\\|";
    else if (c == '<')
      out += "&lt;";
    else
      out += c;
  }
  return out;
}

void print_markdown(const std::vector<const SettingDef*>& rows) {
  std::string out =
      "# Settings\n"
      "\n"
      "Printed by `sis settings --markdown`; a test compares this file with the program.\n"
      "\n"
      "Every setting is a variable and a flag: `MAX_QUEUE_SIZE=128` exported, in `.env` or in "
      "`env`,\n"
      "`--max-queue-size 128` or `--set MAX_QUEUE_SIZE=128` on the command line. Strongest first: "
      "command line,\n"
      "exported variable, `.env` (private), `env` (the committed profile), default; both files are "
      "read from the\n"
      "working directory. An empty value is not set. Names are case-insensitive, unknown variables "
      "are ignored,\n"
      "an unknown flag is an error. Booleans: `1/0 true/false yes/no on/off t/f y/n`. Lists: comma "
      "separated.\n"
      "A value of the wrong type stops the start with one line that names setting, source, "
      "expectation and value.\n"
      "Secrets are never printed. `sis settings` shows what is in force and where it came from.\n"
      "\n"
      "Default `-> NAME`: the value of that setting. Mark: `not used yet` settings are accepted "
      "and checked, their\n"
      "feature is not there yet; `ignored` ones are accepted for old files' sake.\n";
  std::string_view group;
  for (const SettingDef* def : rows) {
    if (group != def->group) {
      group = def->group;
      out += concat("\n## ", group,
                    "\n\n| Setting | Default | Wants | Meaning |\n|---|---|---|---|\n");
    }
    std::string name = concat("`", def->name, "`");
    for (const char* alias : def->aliases) name += concat(", `", alias, "`");
    for (const char* flag : def->flags) name += concat(", `--", flag, "`");
    const std::string mark = use_word(def->use);
    const std::string standing = def->secret && *def->initial ? "a placeholder" : default_of(*def);
    out += concat(
        "| ", name, " | ", standing == "none" ? "" : "`" + markdown_cell(standing) + "`", " | ",
        def->type == SettingType::kBool ? "a boolean" : markdown_cell(setting_expectation(*def)),
        def->secret ? ", secret" : "", " | ", markdown_cell(def->help),
        mark.empty() ? "" : " (" + mark + ")", " |\n");
  }
  std::fputs(out.c_str(), stdout);
}

// A value as base/dotenv.h reads it back.
std::string dotenv_value(const std::string& value) {
  const bool plain = value.find_first_of(" #'\"\\\n\r\t") == std::string::npos;
  if (plain) return value;
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (c == '"' || c == '\\')
      (out += '\\') += c;
    else
      out += c;
  }
  return out + "\"";
}

void print_env(const Settings& settings, const std::vector<const SettingDef*>& rows) {
  std::string out = "# Settings of sis. Lines with a leading '#' show defaults.\n";
  std::string_view group;
  for (const SettingDef* def : rows) {
    if (group != def->group) out += concat("\n# --- ", group = def->group, "\n");
    const std::string mark = use_word(def->use);
    out += concat("# ", def->help, mark.empty() ? "" : " [" + mark + "]", "\n");
    if (def->secret)
      out += concat("# ", def->name, "=***", settings.is_set(def->name) ? "  (set, not shown)" : "",
                    "\n");
    else
      out += concat(settings.is_set(def->name) ? "" : "# ", def->name, "=",
                    dotenv_value(settings.shown(def->name)), "\n");
  }
  std::fputs(out.c_str(), stdout);
}

int fail(const std::string& message) {
  std::fprintf(stderr, "sis settings: %s\n", message.c_str());
  return 2;
}

}  // namespace

int settings_main(int argc, char** argv) {
  auto parsed = parse_setting_flags(settings_table(), {argv + 1, argv + argc},
                                    {"--help", "-h", "--json", "--markdown", "--env", "--flags"});
  if (!parsed.ok()) return fail(parsed.error().message);
  std::string format;
  std::vector<std::string> parts;
  for (const auto& word : parsed->rest) {
    if (word == "--help" || word == "-h") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (!word.starts_with("--")) {
      parts.push_back(word);
    } else {
      if (!format.empty() && format != word)
        return fail(concat(format, " and ", word, ": want one of them"));
      format = word;
    }
  }
  if (format == "--flags") {
    std::fputs(server::settings_flags_help().c_str(), stdout);
    return 0;
  }
  const auto rows = chosen(parts);
  if (rows.empty()) return fail(concat("no setting has ", in_quotes(parts[0]), " in its name"));
  if (format == "--markdown") {
    print_markdown(rows);
    return 0;
  }
  const auto settings = Settings::load(
      settings_table(),
      {.command_line = std::move(parsed->assignments), .environment = exported_environment()});
  if (!settings.ok()) return fail(settings.error().message);
  if (format == "--json")
    print_json(*settings, rows);
  else if (format == "--env")
    print_env(*settings, rows);
  else
    print_table(*settings, rows);
  return 0;
}

}  // namespace sis::apps
