#include "serve/server/settings_table.h"

#include "base/strings.h"
#include "serve/server/settings_rows.h"

namespace sis::server {

const SettingTable& settings_table() {
  static const SettingTable table(settings_rows());
  return table;
}

bool is_placeholder_secret(const std::string& secret) {
  for (const char* placeholder : {"changeme", "changeme-secret", "change-me", "your-token"})
    if (iequals(secret, placeholder)) return true;
  return secret.empty();
}

bool infer_token_on(const Settings& settings) {
  return iequals(settings.text("ENVIRONMENT"), "development") ||
         !is_placeholder_secret(settings.text("TRUTHGPT_API_TOKEN"));
}

bool infer_routes_on(const Settings& settings) {
  return infer_token_on(settings) || !trim(settings.text("API_KEYS")).empty();
}

std::string settings_flags_help() {
  std::string out =
      "Every setting is also a variable (NAME=value exported, in .env or in env) and --set "
      "NAME=VALUE.\n";
  std::string_view group;
  for (const SettingDef& def : settings_table().rows()) {
    if (def.use == SettingUse::kIgnored) continue;
    if (group != def.group) out += concat("\n", group = def.group, ":\n");
    std::string flags = "--" + setting_flag(def.name);
    for (const char* flag : def.flags) flags += concat(", --", flag);
    if (def.type == SettingType::kEnum) {
      flags += " ";
      for (size_t i = 0; i < def.choices.size(); ++i) flags += concat(i ? "|" : "", def.choices[i]);
    } else if (def.type == SettingType::kBool) {
      flags += " [0|1]";
    } else {
      flags += def.type == SettingType::kList ? " A,B"
               : *def.unit                    ? concat(" ", def.unit)
                                              : " VALUE";
    }
    const std::string standing = !def.fallbacks.empty() ? concat("-> ", def.fallbacks.back().name)
                                 : *def.initial && !def.secret ? std::string(def.initial)
                                                               : std::string();
    out += concat("  ", flags, "\n      ", def.help,
                  standing.empty() ? "" : concat(" (", standing, ")"),
                  def.use == SettingUse::kNotYet ? " [not used yet]" : "", "\n");
  }
  return out;
}

}  // namespace sis::server
