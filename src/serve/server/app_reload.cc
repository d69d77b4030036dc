// SIGHUP: keys, rate limits and the log's level anew, without dropping anything.
#include <algorithm>

#include "base/strings.h"
#include "serve/server/app_impl.h"

namespace sis::server {
namespace {

// What reload() takes over; everything else was read when its part was built.
constexpr const char* kReloaded[] = {
    "API_KEYS",       "METRICS_API_KEY",       "RATE_LIMITS_FILE",
    "RATE_LIMIT_RPM", "RATE_LIMIT_WINDOW_SEC", "TRUSTED_PROXIES",
    "LOG_LEVEL",      "TRUTHGPT_API_TOKEN",
};

std::vector<std::string> want_restart(const Settings& before, const Settings& after) {
  std::vector<std::string> names;
  for (const SettingDef& def : before.table().rows()) {
    if (def.use == SettingUse::kIgnored || before.shown(def.name) == after.shown(def.name))
      continue;
    if (std::find(std::begin(kReloaded), std::end(kReloaded), std::string_view(def.name)) ==
        std::end(kReloaded))
      names.emplace_back(def.name);
  }
  return names;
}

}  // namespace

// Runs on the thread that waits for signals. All or nothing: with one fault the old state stays.
void AppImpl::reload() {
  const auto fresh = reload_();
  if (!fresh.ok()) return log_.error("reload_failed", {{"error", fresh.error().message}});
  auto rules = load_access_rules(*fresh, settings_.flag("MOCK"));
  if (!rules.ok()) return log_.error("reload_failed", {{"error", rules.error().message}});
  const size_t keys = rules->keys.keys().size(), endpoints = rules->endpoints.size();
  front_door_.set_rules(std::move(*rules));
  const auto say = [&] {
    log_.info(
        "reloaded",
        {{"keys", keys}, {"endpoint_limits", endpoints}, {"log_level", fresh->text("LOG_LEVEL")}});
  };
  const bool said = log_.enabled(telemetry::Level::kInfo);  // under the old level or the new one
  if (said) say();
  if (const auto level = telemetry::parse_level(fresh->text("LOG_LEVEL"))) log_.set_level(*level);
  if (!said) say();
  if (const auto names = want_restart(settings_, *fresh); !names.empty())
    log_.warning("reload_wants_restart", {{"settings", join_list(names)}});
}

}  // namespace sis::server
