// `sis tokenize`: texts to token ids and back, and conversations to prompts, as a checkpoint does
// it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "arguments.h"
#include "base/strings.h"
#include "commands.h"
#include "infer/text/chat_template/chat_request.h"
#include "infer/text/selftest.h"
#include "model_argument.h"
#include "serve/api/json_text.h"
#include "serve/server/catalog.h"
#include "serve/server/text_loader.h"
#include "serve/tasks/conversation.h"
#include "telemetry/json_text.h"

namespace sis::apps {
namespace {

struct Options {
  std::string model = server::kDemoEmbedName;
  std::string input = "-", format = "ids";
  std::vector<std::string> texts;
  bool decode = false, chat = false, selftest = false;
  bool no_special = false, skip_special = false;
};

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "sis tokenize: %s\n", message.c_str());
  return code;
}

// The texts of the command line, or else the lines of the input.
Result<std::vector<std::string>> texts_of(const Options& options) {
  std::vector<std::string> texts = options.texts;
  if (texts.empty()) {
    SIS_ASSIGN(const std::string all, read_input(options.input));
    for (size_t begin = 0; begin < all.size();) {
      const size_t end = std::min(all.find('\n', begin), all.size());
      texts.push_back(all.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  for (size_t i = 0; i < texts.size(); ++i)
    if (!is_utf8(texts[i]))
      return Error{Code::kInvalidArgument, concat("line ", i + 1, " is not valid UTF-8")};
  return texts;
}

std::string spaced(const std::vector<int32_t>& ids) {
  std::string out;
  for (const int32_t id : ids) {
    if (!out.empty()) out += ' ';
    api::append_int(out, id);
  }
  return out;
}

// {"ids":[...],"tokens":[...],"offsets":[[begin,end],...]}; offsets are bytes of the text.
std::string json_of(const text::Tokenizer& tokenizer, const text::Encoding& encoding) {
  std::string out = R"({"ids":[)";
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (i > 0) out += ',';
    api::append_int(out, encoding.ids[i]);
  }
  out += R"(],"tokens":[)";
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (i > 0) out += ',';
    telemetry::append_json_string(out, tokenizer.id_to_token(encoding.ids[i]));
  }
  out += R"(],"offsets":[)";
  for (size_t i = 0; i < encoding.offsets.size(); ++i) {
    out += i > 0 ? ",[" : "[";
    api::append_int(out, encoding.offsets[i].first);
    out += ',';
    api::append_int(out, encoding.offsets[i].second);
    out += ']';
  }
  return out + "]}";
}

int run_decode(const Options& options, const text::Tokenizer& tokenizer,
               const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    std::vector<int32_t> ids;
    for (const auto& word : split(line, ' ')) {
      if (trim(word).empty()) continue;
      const auto id = parse_int(trim(word));
      if (!id || *id < 0 || *id > INT32_MAX ||
          tokenizer.id_to_token(static_cast<int32_t>(*id)).empty())
        return fail(2, concat("--decode: want token ids of the model, got ", in_quotes(word)));
      ids.push_back(static_cast<int32_t>(*id));
    }
    std::cout << tokenizer.decode(ids, options.skip_special) << '\n';
  }
  return 0;
}

int run_encode(const Options& options, const text::Tokenizer& tokenizer,
               const std::vector<std::string>& lines) {
  const bool json = options.format == "json";
  for (const std::string& line : lines) {
    const auto encoding =
        tokenizer.encode(line, {.add_special_tokens = !options.no_special, .with_offsets = json});
    if (options.format == "count") {
      std::cout << encoding.ids.size() << '\n';
    } else if (json) {
      std::cout << json_of(tokenizer, encoding) << '\n';
    } else if (options.format == "tokens") {
      for (const int32_t id : encoding.ids)
        std::cout << id << '\t' << tokenizer.id_to_token(id) << '\n';
    } else {
      std::cout << spaced(encoding.ids) << '\n';
    }
  }
  return 0;
}

// One JSON body as /apply-template takes it; the prompt, or its tokens where a format was asked
// for.
int run_chat(const Options& options, const text::Tokenizer& tokenizer,
             const text::ChatTemplates* templates, bool as_tokens) {
  auto body = read_input(options.input);
  if (!body.ok()) return fail(2, body.error().message);
  auto conversation = tasks::parse_conversation(*body);
  if (!conversation.ok()) return fail(2, conversation.error().message);
  const auto prompt = tasks::render_conversation(
      *conversation, {.name = options.model, .tokenizer = &tokenizer, .templates = templates});
  if (!prompt.ok()) return fail(1, prompt.error().message);
  if (!as_tokens) {
    std::cout << *prompt;
    return 0;
  }
  Options plain = options;
  plain.no_special = true;
  return run_encode(plain, tokenizer, {*prompt});
}

int compare_with_selftest(const std::string& folder, const text::Tokenizer& tokenizer,
                          const text::ChatTemplates* templates) {
  const auto report = text::run_selftest(folder, tokenizer, templates);
  if (!report.ok()) return fail(1, report.error().message);
  if (!*report) return fail(1, concat(folder, ": has no sis-selftest.json"));
  for (const auto& failure : (*report)->failures) std::printf("differs: %s\n", failure.c_str());
  std::printf("%d texts and %d conversations compared, %d differ\n", (*report)->texts,
              (*report)->conversations, (*report)->failed);
  return (*report)->failed == 0 ? 0 : 1;
}

int run(const Options& options, bool format_given) {
  const auto found = folder_of_model(options.model);
  if (!found.ok()) return fail(1, found.error().message);
  const std::string& folder = *found;
  const auto tokenizer = text::Tokenizer::from_folder(folder);
  if (!tokenizer.ok()) return fail(1, tokenizer.error().message);
  const auto templates = server::load_templates(folder);
  if (!templates.ok()) return fail(1, templates.error().message);
  const text::ChatTemplates* chat = *templates ? &**templates : nullptr;

  if (options.selftest) return compare_with_selftest(folder, **tokenizer, chat);
  if (options.chat) return run_chat(options, **tokenizer, chat, format_given);
  const auto lines = texts_of(options);
  if (!lines.ok()) return fail(2, lines.error().message);
  return options.decode ? run_decode(options, **tokenizer, *lines)
                        : run_encode(options, **tokenizer, *lines);
}

}  // namespace

int tokenize_main(int argc, char** argv) {
  Options options;
  CLI::App app{"Turns texts into token ids and back, and conversations into prompts.",
               "sis tokenize"};
  app.add_option("texts", options.texts, "texts; without them every line of the input is one");
  app.add_option("--model", options.model, "checkpoint folder; default: the demo model");
  app.add_option("--input,-i", options.input, "file; -: stdin")->capture_default_str();
  auto* format = app.add_option("--format", options.format,
                                "ids, count, tokens (one a line with its text) or json")
                     ->check(CLI::IsMember({"ids", "count", "tokens", "json"}))
                     ->capture_default_str();
  app.add_flag("--no-special", options.no_special, "add no special tokens");
  auto* decode =
      app.add_flag("--decode", options.decode, "texts are token ids: print what they say");
  app.add_flag("--skip-special", options.skip_special, "with --decode: leave special tokens out")
      ->needs(decode);
  auto* chat = app.add_flag("--chat", options.chat,
                            "the input is a JSON object with \"messages\": print its prompt, or "
                            "with --format the prompt's tokens");
  app.add_flag("--selftest", options.selftest, "compare with the folder's sis-selftest.json")
      ->excludes(decode)
      ->excludes(chat);
  decode->excludes(chat);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(options, format->count() > 0);
}

}  // namespace sis::apps
