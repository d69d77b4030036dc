// Runs whole `sis bench` commands inside a test.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perf/bench/commands.h"

namespace sis::perf {

inline Environment environment_of(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
}

struct Output {
  int exit_code = 0;
  std::string out, messages;
};

// What `command(context)` returns and prints.
template <class Command>
Output output_of(BenchContext context, const Command& command) {
  char *out = nullptr, *messages = nullptr;
  size_t out_bytes = 0, message_bytes = 0;
  context.out = open_memstream(&out, &out_bytes);
  context.messages = open_memstream(&messages, &message_bytes);
  Output result;
  result.exit_code = command(std::as_const(context));
  std::fclose(context.out);
  std::fclose(context.messages);
  result.out.assign(out, out_bytes);
  result.messages.assign(messages, message_bytes);
  std::free(out);
  std::free(messages);
  return result;
}

inline Output bench_with(const std::vector<std::string>& arguments,
                         std::map<std::string, std::string> environment = {}) {
  environment.try_emplace("SERVER_METRICS", "off");  // scripted servers count their requests
  return output_of({.environment = environment_of(std::move(environment)),
                    .command = "sis bench " + shown_command(arguments)},
                   [&](const BenchContext& context) { return bench(context, arguments); });
}

}  // namespace sis::perf
