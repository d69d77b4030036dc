// sis keys: makes, lists and revokes API keys in the file that API_KEYS names.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/settings.h"
#include "base/strings.h"
#include "base/utc.h"
#include "base/yaml_tree.h"
#include "commands.h"
#include "serve/server/access_file.h"
#include "serve/server/access_rules.h"
#include "serve/server/settings_table.h"

namespace sis::apps {
namespace {

using admission::ApiKey;

constexpr const char* kUsage =
    "usage: sis keys add NAME [limits] | list | revoke NAME    [--file FILE]\n"
    "\n"
    "Works on FILE, else on the file that the setting API_KEYS names. The file holds hashes only:\n"
    "`add` prints the new key once, on stdout. A running server takes changes over on SIGHUP.\n"
    "\n"
    "  --rpm N, --rph N          requests per minute, per hour\n"
    "  --burst N                 requests a minute may hold on top of --rpm\n"
    "  --tokens-per-minute N     prompt and completion tokens\n"
    "  --concurrent N            requests in progress at once\n"
    "  --priority N              -100..100, higher goes first (0)\n"
    "  --models A,B --routes P,Q only these; 'Qwen/*' and '/v1/*' stand for all that begin so\n"
    "  --expires WHEN            a day (2027-01-31), a time (2027-01-31T12:00:00Z) or in N days "
    "(90d)\n";

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "sis keys: %s\n", message.c_str());
  return code;
}

// The value of "--name=value" among the program's own flags.
std::optional<std::string> value_of(const std::vector<std::string>& rest, std::string_view name) {
  std::optional<std::string> value;
  for (const std::string& argument : rest)
    if (argument.starts_with(name) && argument.size() > name.size() && argument[name.size()] == '=')
      value = argument.substr(name.size() + 1);
  return value;
}

Result<int64_t> parse_expiry(const std::string& text, int64_t now) {
  if (text.ends_with('d')) {
    const auto days = parse_int(std::string_view(text).substr(0, text.size() - 1));
    if (days && *days >= 1 && *days <= 36500) return now + *days * 86400;
  }
  auto when = server::parse_utc(text);
  if (!when.ok()) return prefixed("--expires", std::move(when).error());
  if (*when <= now)
    return Error{Code::kInvalidArgument,
                 concat("--expires: ", in_quotes(text), " has passed already")};
  return when;
}

// Everything `add` says about a key but its hash.
Result<ApiKey> describe_key(const std::string& name, const std::vector<std::string>& rest) {
  ApiKey key;
  key.name = name;
  key.created_at = std::time(nullptr);
  if (!admission::is_key_name(name))
    return Error{Code::kInvalidArgument,
                 concat("NAME: want 1 to 64 of A-Z a-z 0-9 . _ -, got ", in_quotes(name))};
  const std::pair<const char*, std::optional<int64_t>*> numbers[] = {
      {"rpm", &key.limits.rpm},
      {"rph", &key.limits.rph},
      {"burst", &key.limits.burst},
      {"tokens-per-minute", &key.limits.tokens_per_minute},
      {"concurrent", &key.limits.concurrent}};
  for (const auto& [flag, out] : numbers)
    if (const auto text = value_of(rest, concat("--", flag))) {
      SIS_ASSIGN(*out, server::parse_limit(flag, *text));
    }
  if (const auto text = value_of(rest, "--priority")) {
    const auto number = parse_int(*text);
    if (!number || std::abs(*number) > admission::kPriorityMax)
      return Error{Code::kInvalidArgument,
                   concat("--priority: want -100 to 100, got ", in_quotes(*text))};
    key.priority = static_cast<int>(*number);
  }
  if (const auto text = value_of(rest, "--models")) key.models = split_list(*text);
  if (const auto text = value_of(rest, "--routes")) key.routes = split_list(*text);
  if (const auto text = value_of(rest, "--expires")) {
    SIS_ASSIGN(key.expires_at, parse_expiry(*text, key.created_at));
  }
  return key;
}

int add(const std::string& file, const std::string& name, const std::vector<std::string>& rest) {
  auto key = describe_key(name, rest);
  if (!key.ok()) return fail(2, key.error().message);
  const std::string secret = admission::make_key();
  key->hash = admission::sha256(secret);
  const auto status = server::change_keys_file(file, [&](std::vector<ApiKey>& keys) -> Status {
    for (const ApiKey& other : keys)
      if (other.name == name)
        return Error{Code::kInvalidArgument,
                     concat("there is a key ", in_quotes(name), " already; revoke it first")};
    keys.push_back(*key);
    return {};
  });
  if (!status.ok()) return fail(1, status.error().message);
  std::printf("%s\n", secret.c_str());
  std::fprintf(stderr,
               "key %s written to %s; it is shown this once. Send SIGHUP to a running server.\n",
               name.c_str(), file.c_str());
  return 0;
}

int revoke(const std::string& file, const std::string& name) {
  const auto status = server::change_keys_file(file, [&](std::vector<ApiKey>& keys) -> Status {
    if (std::erase_if(keys, [&](const ApiKey& key) { return key.name == name; }) == 0)
      return Error{Code::kNotFound, concat("there is no key ", in_quotes(name), " in ", file)};
    return {};
  });
  if (!status.ok()) return fail(1, status.error().message);
  std::fprintf(stderr, "key %s revoked in %s. Send SIGHUP to a running server.\n", name.c_str(),
               file.c_str());
  return 0;
}

std::string limits_text(const admission::RateLimits& limits) {
  std::vector<std::string> parts;
  const auto part = [&](const std::optional<int64_t>& value, const char* unit) {
    if (value) parts.push_back(concat(*value, unit));
  };
  part(limits.rpm, "/min");
  part(limits.rph, "/h");
  part(limits.burst, " burst");
  part(limits.tokens_per_minute, " tokens/min");
  part(limits.concurrent, " at once");
  return parts.empty() ? "-" : join_list(parts);
}

int list(const std::string& file) {
  auto text = read_file(file, YamlLimits{}.file_bytes);
  if (!text.ok()) return fail(1, text.error().message);
  const auto keys = server::parse_keys(*text, file);
  if (!keys.ok()) return fail(1, keys.error().message);
  const int64_t now = std::time(nullptr);
  std::printf("%-24s  %-10s  %-20s  %-20s  %4s  %s\n", "NAME", "SHA256", "CREATED", "EXPIRES",
              "PRIO", "LIMITS; MODELS; ROUTES");
  for (const ApiKey& key : *keys) {
    std::string rest = limits_text(key.limits);
    if (!key.models.empty()) rest += concat("; models ", join_list(key.models));
    if (!key.routes.empty()) rest += concat("; routes ", join_list(key.routes));
    const std::string expires = !key.expires_at                   ? "never"
                                : admission::is_expired(key, now) ? "expired"
                                                                  : utc_text(*key.expires_at);
    std::printf("%-24s  %-10s  %-20s  %-20s  %4d  %s\n", key.name.c_str(),
                (admission::to_hex(key.hash).substr(0, 8) + "..").c_str(),
                key.created_at ? utc_text(key.created_at).c_str() : "-", expires.c_str(),
                key.priority, rest.c_str());
  }
  return 0;
}

}  // namespace

int keys_main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  auto flags = parse_setting_flags(
      server::settings_table(), arguments,
      {"--help", "-h", "--file=", "--rpm=", "--rph=", "--burst=", "--tokens-per-minute=",
       "--concurrent=", "--priority=", "--models=", "--routes=", "--expires="});
  if (!flags.ok()) return fail(2, flags.error().message);
  std::vector<std::string> words;
  bool has_limits = false;
  for (const std::string& argument : flags->rest) {
    if (argument == "--help" || argument == "-h") {
      std::printf("%s", kUsage);
      return 0;
    }
    if (!argument.starts_with("--"))
      words.push_back(argument);
    else
      has_limits = has_limits || !argument.starts_with("--file=");
  }
  const std::string verb = words.empty() ? "" : words[0];
  const size_t wanted = verb == "list" ? 1 : 2;
  if ((verb != "add" && verb != "list" && verb != "revoke") || words.size() != wanted)
    return fail(2, concat("want add NAME, list or revoke NAME\n", kUsage));
  if (has_limits && verb != "add") return fail(2, concat(verb, " takes no limits"));

  std::string file = value_of(flags->rest, "--file").value_or("");
  if (file.empty()) {
    auto settings = Settings::load(
        server::settings_table(),
        {.command_line = std::move(flags->assignments), .environment = exported_environment()});
    if (!settings.ok()) return fail(2, settings.error().message);
    auto named = server::keys_file_of(*settings);
    if (!named.ok()) return fail(2, named.error().message);
    file = *named;
  }
  if (file.empty()) return fail(2, "no file of keys: set API_KEYS to one or give --file");
  if (verb == "add") return add(file, words[1], flags->rest);
  if (verb == "revoke") return revoke(file, words[1]);
  return list(file);
}

}  // namespace sis::apps
