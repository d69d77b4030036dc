// `sis generate`: text from a prompt through the engine without HTTP; with --bench its speed.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "arguments.h"
#include "base/strings.h"
#include "chat_session.h"
#include "commands.h"
#include "generate_bench.h"
#include "serve/server/catalog.h"

namespace sis::apps {
namespace {

struct Options {
  LocalChatOptions model{.model = server::kDemoChatName};
  GenerateBenchOptions bench;
  AnswerOptions answer;
  std::optional<std::string> prompt;
  std::string input;
  bool measure = false, quiet = false;
};

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "sis generate: %s\n", message.c_str());
  return code;
}

Result<std::string> read_prompt(const Options& options) {
  std::string text;
  if (options.prompt) {
    text = *options.prompt;
    if (text.empty()) return Error{Code::kInvalidArgument, "--prompt: want a text, got none"};
  } else {
    SIS_ASSIGN(text, read_input(options.input.empty() ? "-" : options.input));
  }
  if (text.empty())
    return Error{Code::kInvalidArgument, "no prompt: give --prompt, --input or standard input"};
  if (!is_utf8(text)) return Error{Code::kInvalidArgument, "the prompt is not valid UTF-8"};
  return text;
}

int run(const Options& options) {
  if (options.measure) return run_generate_bench(options.model, options.bench);
  auto prompt = read_prompt(options);
  if (!prompt.ok()) return fail(2, prompt.error().message);
  auto session = ChatSession::open(options.model);
  if (!session.ok()) return fail(1, session.error().message);
  if (!options.quiet) std::fprintf(stderr, "%s\n", (*session)->summary().c_str());
  tasks::GenerateCall call;
  call.text = std::move(*prompt);
  const auto answer = (*session)->run(std::move(call), options.answer);
  if (!answer.ok()) return fail(1, answer.error().message);
  std::fputc('\n', stdout);
  if (!options.quiet) std::fprintf(stderr, "%s\n", describe(*answer).c_str());
  return 0;
}

}  // namespace

int generate_main(int argc, char** argv) {
  Options options;
  CLI::App app{"Generates text from a prompt with a model in this process, without a server.",
               "sis generate"};
  add_options(app, options.model);
  add_options(app, options.answer);
  app.add_option("--input,-i", options.input, "file with the prompt; -: stdin (default)")
      ->excludes(app.add_option("--prompt,-p", options.prompt,
                                "text to go on from, as it is (no template)"));
  app.add_flag("--quiet,-q", options.quiet, "nothing but the text");
  app.add_flag("--bench", options.measure,
               "measure: random prompts, fixed lengths; prefill and decode tokens/s beside the "
               "machine's walls");
  app.add_option("--prompt-tokens", options.bench.prompt_tokens, "--bench: of every prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--new-tokens", options.bench.new_tokens, "--bench: of every answer")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--batch", options.bench.batches, "--bench: sequences together, one row each")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--rounds", options.bench.rounds, "--bench: runs per row, the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--step-tokens", options.model.step_tokens, "rows of one engine step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(options);
}

}  // namespace sis::apps
