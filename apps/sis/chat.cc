// `sis chat`: a conversation with a local model in the terminal.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/strings.h"
#include "chat_session.h"
#include "commands.h"
#include "serve/server/catalog.h"
#include "telemetry/json_text.h"

namespace sis::apps {
namespace {

using text::tmpl::Value;

constexpr const char* kHelp =
    "/stats            speed of the last answer and of all, and the cache\n"
    "/system [TEXT]    show or set the system message; starts anew\n"
    "/history          the conversation so far\n"
    "/undo             takes the last question and its answer back\n"
    "/reset            starts anew\n"
    "/save FILE        writes the conversation as JSON lines\n"
    "/quit             or end of input\n"
    "A line that ends with \\ goes on in the next. Ctrl-C stops an answer.\n";

struct Message {
  std::string role, content;
};

struct Totals {
  int answers = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  double prefill_s = 0, decode_s = 0;
};

class Conversation {
 public:
  Conversation(ChatSession& session, const AnswerOptions& answer, std::string system)
      : session_(session), answer_(answer), system_(std::move(system)) {}

  // Asks and prints the answer; false when it failed (said on stderr).
  bool ask(std::string question) {
    messages_.push_back({"user", std::move(question)});
    tasks::GenerateCall call;
    call.chat.emplace();
    call.chat->messages = messages();
    call.chat->add_generation_prompt = true;
    auto answer = session_.run(std::move(call), answer_);
    if (!answer.ok()) {
      std::fprintf(stderr, "%s\n", answer.error().message.c_str());
      messages_.pop_back();
      return false;
    }
    std::fputc('\n', stdout);
    messages_.push_back({"assistant", answer->content});
    last_ = describe(*answer);
    if (answer->stopped) return true;  // nobody counted its tokens
    ++totals_.answers;
    totals_.prompt_tokens += answer->usage.prompt_tokens;
    totals_.cached_tokens += answer->usage.cached_tokens;
    totals_.new_tokens += answer->usage.completion_tokens;
    totals_.prefill_s += to_seconds(answer->usage.prefill);
    totals_.decode_s += to_seconds(answer->usage.decode);
    return true;
  }

  // A line that begins with a slash; false to quit.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/help") {
      std::fputs(kHelp, stdout);
    } else if (name == "/stats") {
      stats();
    } else if (name == "/reset") {
      messages_.clear();
    } else if (name == "/undo") {
      if (messages_.size() >= 2) messages_.resize(messages_.size() - 2);
    } else if (name == "/system") {
      if (rest.empty()) {
        std::printf("%s\n", system_.empty() ? "(none)" : system_.c_str());
      } else {
        system_ = rest;
        messages_.clear();
      }
    } else if (name == "/history") {
      for (const auto& message : messages_)
        std::printf("%s: %s\n", message.role.c_str(), message.content.c_str());
    } else if (name == "/save") {
      save(rest);
    } else {
      std::printf("%s is no command:\n%s", in_quotes(name).c_str(), kHelp);
    }
    return true;
  }

 private:
  Value messages() const {
    Value::Items list;
    const auto add = [&](const std::string& role, const std::string& content) {
      list.push_back(Value::dict({{Value::string("role"), Value::string(role)},
                                  {Value::string("content"), Value::string(content)}}));
    };
    if (!system_.empty()) add("system", system_);
    for (const auto& message : messages_) add(message.role, message.content);
    return Value::list(std::move(list));
  }

  void stats() const {
    if (!last_.empty()) std::printf("last: %s\n", last_.c_str());
    std::printf("all: %d whole answers, %lld prompt tokens (%lld cached), %lld new",
                totals_.answers, static_cast<long long>(totals_.prompt_tokens),
                static_cast<long long>(totals_.cached_tokens),
                static_cast<long long>(totals_.new_tokens));
    if (totals_.decode_s > 0)
      std::printf(" at %.1f tokens/s",
                  static_cast<double>(totals_.new_tokens - totals_.answers) / totals_.decode_s);
    const auto gauges = session_.gauges();
    std::printf("\ncache: %d of %d blocks kept for what comes next\n%s\n", gauges.blocks_cached,
                gauges.blocks_total, session_.summary().c_str());
  }

  void save(const std::string& path) const {
    std::ofstream file(path, std::ios::binary);
    for (const auto& message : messages_) {
      std::string line = R"({"role":)";
      telemetry::append_json_string(line, message.role);
      line += R"(,"content":)";
      telemetry::append_json_string(line, message.content);
      file << line << "}\n";
    }
    file.flush();
    std::printf(file ? "%zu messages in %s\n" : "cannot write %zu messages to %s\n",
                messages_.size(), in_quotes(path).c_str());
  }

  ChatSession& session_;
  const AnswerOptions answer_;
  std::string system_;
  std::vector<Message> messages_;
  std::string last_;
  Totals totals_;
};

// One message from the terminal; lines that end with \ are joined. False at the end of input.
bool read_message(std::string& message) {
  message.clear();
  for (const char* prompt = "> ";; prompt = ". ") {
    std::fputs(prompt, stdout);
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line)) return !message.empty();
    const bool more = !line.empty() && line.back() == '\\';
    if (more) line.pop_back();
    message += line;
    if (!more) return true;
    message += '\n';
  }
}

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "sis chat: %s\n", message.c_str());
  return code;
}

int run(const LocalChatOptions& model, const AnswerOptions& answer, const std::string& system,
        const std::string& prompt) {
  if (!is_utf8(system) || !is_utf8(prompt))
    return fail(2, "--system and --prompt: want valid UTF-8");
  auto session = ChatSession::open(model);
  if (!session.ok()) return fail(1, session.error().message);
  if (!(*session)->model().templates)
    return fail(1, concat(in_quotes(model.model),
                          " has no chat template; 'sis generate' goes on from plain text"));
  Conversation conversation(**session, answer, system);
  if (!prompt.empty()) return conversation.ask(prompt) ? 0 : 1;
  if (isatty(STDIN_FILENO) == 0) {
    // A pipe is one question.
    std::string question(std::istreambuf_iterator<char>(std::cin), {});
    while (!question.empty() && (question.back() == '\n' || question.back() == '\r'))
      question.pop_back();
    if (question.empty()) return fail(2, "no question on standard input");
    if (!is_utf8(question)) return fail(2, "the question is not valid UTF-8");
    return conversation.ask(std::move(question)) ? 0 : 1;
  }
  std::fprintf(stderr, "%s\n/help tells the commands.\n", (*session)->summary().c_str());
  // Ctrl-C stops an answer; between answers it does nothing, /quit or Ctrl-D ends.
  struct sigaction action {};
  action.sa_handler = [](int) { stop_answer(); };
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  for (std::string message; read_message(message);) {
    if (message.empty()) continue;
    if (message[0] == '/') {
      if (!conversation.command(message)) break;
    } else if (!is_utf8(message)) {
      std::fprintf(stderr, "that line is not valid UTF-8\n");
    } else {
      conversation.ask(message);
    }
  }
  std::fputc('\n', stdout);
  return 0;
}

}  // namespace

int chat_main(int argc, char** argv) {
  LocalChatOptions model{.model = server::kDemoChatName};
  AnswerOptions answer;
  std::string system, prompt;
  CLI::App app{"Talks with a model in this process, without a server. A pipe is one question.",
               "sis chat"};
  add_options(app, model);
  add_options(app, answer);
  app.add_option("--system,-s", system, "system message");
  app.add_option("--prompt,-p", prompt, "one question; the answer ends the program");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(model, answer, system, prompt);
}

}  // namespace sis::apps
