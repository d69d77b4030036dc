// `sis serve`: reads the settings, opens the log, runs the server.
#include <cstdio>

#include "base/settings.h"
#include "base/strings.h"
#include "commands.h"
#include "serve/server/app.h"
#include "serve/server/settings_table.h"
#include "telemetry/log.h"

namespace sis::apps {
namespace {

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "sis serve: %s\n", message.c_str());
  return code;
}

}  // namespace

int serve_main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  auto flags = parse_setting_flags(server::settings_table(), arguments, {"--help", "-h"});
  if (!flags.ok()) return fail(2, flags.error().message);
  for (const auto& argument : flags->rest) {
    if (argument == "--help" || argument == "-h") {
      std::printf(
          "usage: sis serve [options]\n\nServes models over HTTP. Every option is also an "
          "environment variable; 'sis settings' shows\nvalues and sources.\n\n%s",
          server::settings_flags_help().c_str());
      return 0;
    }
    return fail(2, concat("unexpected argument ", in_quotes(argument)));
  }
  const SettingSources sources{.command_line = std::move(flags->assignments),
                               .environment = exported_environment()};
  const auto load = [&sources] { return Settings::load(server::settings_table(), sources); };
  auto settings = load();
  if (!settings.ok()) return fail(2, settings.error().message);

  server::block_signals();
  const auto level = telemetry::parse_level(settings->text("LOG_LEVEL"));
  if (!level)
    return fail(2, concat("LOG_LEVEL (", settings->source_of("LOG_LEVEL"),
                          "): want DEBUG, INFO, WARNING, ERROR or CRITICAL, got ",
                          in_quotes(settings->text("LOG_LEVEL"))));
  telemetry::Logger log = telemetry::open_log({.level = *level,
                                               .format = settings->text("LOG_FORMAT") == "text"
                                                             ? telemetry::LogFormat::kText
                                                             : telemetry::LogFormat::kJson});
  auto app = server::App::create(*settings, log, load);
  if (!app.ok()) return fail(2, app.error().message);
  const auto status = (*app)->run();
  app->reset();
  log.flush();
  if (!status.ok()) return fail(1, status.error().message);
  return 0;
}

}  // namespace sis::apps
