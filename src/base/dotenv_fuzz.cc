// Any bytes as an env file and as flags: an answer or an error, never more.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/dotenv.h"
#include "base/settings.h"
#include "base/strings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sis::SettingType;
  static const sis::SettingTable table({
      {.name = "A", .type = SettingType::kInt, .least = 0, .most = 10},
      {.name = "B", .type = SettingType::kSeconds, .fallbacks = {}, .aliases = {"C"}},
      {.name = "FLAG", .type = SettingType::kBool},
      {.name = "NAMES", .type = SettingType::kList},
      {.name = "KIND", .type = SettingType::kEnum, .choices = {"x", "y"}},
  });
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto entries = sis::parse_dotenv(text, "env"); entries.ok()) {
    sis::SettingSources sources{.folder = ""};
    for (const auto& entry : *entries) sources.environment.emplace_back(entry.name, entry.value);
    if (const auto settings = sis::Settings::load(table, sources); settings.ok())
      (void)settings->duration("B");
  }
  (void)sis::parse_setting_flags(table, sis::split(text, '\n'), {"--help", "--out="});
  return 0;
}
