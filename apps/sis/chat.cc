// `sis chat`: a conversation with a local model in the terminal.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>

#include "base/strings.h"
#include "chat_session.h"
#include "commands.h"
#include "line_editor.h"
#include "serve/server/catalog.h"
#include "telemetry/json_text.h"

namespace sis::apps {
namespace {

using text::tmpl::Value;

constexpr const char* kHelp =
    "/stats            speed of the last answer and of all, and the cache\n"
    "/system [TEXT]    show the system message, or set it and start anew; none: without one\n"
    "/history          the conversation so far\n"
    "/undo             takes the last question and its answer back\n"
    "/reset            starts anew\n"
    "/save FILE        writes the conversation as a line of JSON, {\"messages\": [...]}\n"
    "/quit             or Ctrl-D\n"
    "A line that ends with \\ goes on in the next. Ctrl-C stops an answer, or drops a line.\n";

constexpr const char* kMakesRoom = "; /undo or /reset makes room";

struct Message {
  std::string role, content;
};

struct Totals {
  int answers = 0, stopped = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  int64_t decode_tokens = 0;  // new ones less the first of each answer, which prefill gives
  double prefill_s = 0, decode_s = 0;
};

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "sis chat: %s\n", message.c_str());
  return code;
}

// A remark beside the conversation.
void note(const std::string& text) {
  const bool terminal = isatty(STDERR_FILENO) == 1;
  std::fprintf(stderr, terminal ? "\x1b[2m%s\x1b[0m\n" : "%s\n", text.c_str());
}

void complain(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

class Conversation {
 public:
  // `commands` says whether there is somebody who can give any.
  Conversation(ChatSession& session, const AnswerOptions& answer, std::string system, bool commands)
      : session_(session), answer_(answer), commands_(commands), system_(std::move(system)) {}

  // Asks and prints the answer.
  Status ask(std::string question) {
    messages_.push_back({"user", std::move(question)});
    tasks::GenerateCall call;
    call.chat.emplace();
    call.chat->messages = messages();
    call.chat->add_generation_prompt = true;
    auto answer = session_.run(std::move(call), answer_);
    if (!answer.ok()) {
      messages_.pop_back();
      Error error = std::move(answer).error();
      if (commands_ && !messages_.empty() && error.reason == "context_length_exceeded")
        error.message += kMakesRoom;
      return error;
    }
    std::fputc('\n', stdout);
    std::fflush(stdout);
    messages_.push_back({"assistant", answer->content});
    last_ = describe(*answer);
    const auto& usage = answer->usage;
    ++totals_.answers;
    if (answer->stopped) ++totals_.stopped;
    totals_.prompt_tokens += usage.prompt_tokens;
    totals_.cached_tokens += usage.cached_tokens;
    totals_.new_tokens += usage.completion_tokens;
    totals_.decode_tokens += std::max(usage.completion_tokens - 1, 0);
    totals_.prefill_s += to_seconds(usage.prefill);
    totals_.decode_s += to_seconds(usage.decode);
    if (!answer->stopped && answer->reason == tasks::FinishReason::kLength)
      note(answer_.tokens_max > 0 && usage.completion_tokens >= answer_.tokens_max
               ? concat("[stopped at the limit of ", answer_.tokens_max, " tokens]")
               : concat("[context full after ", usage.completion_tokens, " tokens",
                        commands_ ? kMakesRoom : "", "]"));
    return {};
  }

  // A line that begins with a slash; false to quit.
  bool command(const std::string& line) {
    const std::string name = line.substr(0, line.find_first_of(" \t\n"));
    const std::string rest(trim(std::string_view(line).substr(name.size())));
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/help") {
      std::fputs(kHelp, stdout);
    } else if (name == "/stats") {
      stats();
    } else if (name == "/reset") {
      messages_.clear();
      std::puts("starts anew");
    } else if (name == "/undo") {
      undo();
    } else if (name == "/system") {
      if (rest.empty())
        std::printf("%s\n", system_.empty() ? "(none)" : system_.c_str());
      else
        set_system(rest == "none" ? "" : rest);
    } else if (name == "/history") {
      for (const auto& message : messages_)
        std::printf("%s: %s\n", message.role.c_str(), message.content.c_str());
    } else if (name == "/save") {
      if (const Status saved = save(rest); !saved.ok()) complain(saved.error().message);
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
    for (const auto& message : with_system()) add(message.role, message.content);
    return Value::list(std::move(list));
  }

  std::vector<Message> with_system() const {
    std::vector<Message> all;
    if (!system_.empty()) all.push_back({"system", system_});
    all.insert(all.end(), messages_.begin(), messages_.end());
    return all;
  }

  void set_system(std::string text) {
    system_ = std::move(text);
    messages_.clear();
    std::puts(system_.empty() ? "no system message; starts anew"
                              : "system message set; starts anew");
  }

  void undo() {
    if (messages_.size() < 2) {
      std::puts("nothing to take back");
      return;
    }
    const std::string question = messages_[messages_.size() - 2].content;
    messages_.resize(messages_.size() - 2);
    std::printf("took back %s and its answer\n", in_quotes(question, 60).c_str());
  }

  void stats() const {
    if (!last_.empty()) std::printf("last: %s\n", last_.c_str());
    std::printf("all: %d answers", totals_.answers);
    if (totals_.stopped > 0) std::printf(" (%d stopped)", totals_.stopped);
    std::printf(", %lld prompt tokens (%lld cached), %lld new",
                static_cast<long long>(totals_.prompt_tokens),
                static_cast<long long>(totals_.cached_tokens),
                static_cast<long long>(totals_.new_tokens));
    if (totals_.decode_s > 0)
      std::printf(" at %.1f tokens/s",
                  static_cast<double>(totals_.decode_tokens) / totals_.decode_s);
    const auto gauges = session_.gauges();
    std::printf("\ncache: %d of %d blocks kept for what comes next\n%s\n", gauges.blocks_cached,
                gauges.blocks_total, session_.summary().c_str());
  }

  // One line, as `sis bench chat --input-data` and `sis tokenize --chat` read it.
  Status save(const std::string& path) const {
    if (path.empty())
      return Error{Code::kInvalidArgument,
                   "/save: want the name of a file, as in /save chat.jsonl"};
    const auto all = with_system();
    if (all.empty()) return Error{Code::kInvalidArgument, "/save: there is no message yet"};
    std::string line = R"({"messages":[)";
    for (const auto& message : all) {
      line += line.back() == '[' ? R"({"role":)" : R"(,{"role":)";
      telemetry::append_json_string(line, message.role);
      line += R"(,"content":)";
      telemetry::append_json_string(line, message.content);
      line += '}';
    }
    line += "]}\n";
    std::FILE* file = std::fopen(path.c_str(), "wb");
    bool written = file != nullptr && std::fwrite(line.data(), 1, line.size(), file) == line.size();
    int reason = errno;
    if (file != nullptr && std::fclose(file) != 0 && written) {
      written = false;
      reason = errno;
    }
    if (!written)
      return Error{Code::kInternal,
                   concat("/save: cannot write ", in_quotes(path), ": ", std::strerror(reason))};
    std::printf("%zu messages in %s\n", all.size(), in_quotes(path).c_str());
    return {};
  }

  ChatSession& session_;
  const AnswerOptions answer_;
  const bool commands_;
  std::string system_;
  std::vector<Message> messages_;
  std::string last_;
  Totals totals_;
};

constexpr size_t kTerminalLineBytes = 4095;  // what the system's line mode cuts lines to

enum class Input : uint8_t { kMessage, kNothing, kEnd };

// Where questions are typed: with an editor, or without one where the answers go to a file.
class Questions {
 public:
  explicit Questions(LineEditor* editor) : editor_(editor) {}

  // Lines that end with \ are joined. kNothing when there is nothing to do, the reason is said.
  Input next(std::string& message) {
    message.clear();
    for (const char* prompt = "> ";; prompt = ". ") {
      std::string line;
      if (const Input read = next_line(prompt, line); read != Input::kMessage)
        return read == Input::kEnd && !message.empty() ? Input::kMessage : read;
      const bool more = !line.empty() && line.back() == '\\';
      if (more) line.pop_back();
      message += line;
      if (!more) return Input::kMessage;
      message += '\n';
    }
  }

 private:
  Input next_line(const char* prompt, std::string& line) {
    if (editor_ == nullptr) {
      std::fputs(prompt, stdout);
      std::fflush(stdout);
      if (!std::getline(std::cin, line)) return Input::kEnd;
      if (line.size() >= kTerminalLineBytes) {
        complain(concat("that line reached the ", kTerminalLineBytes,
                        " bytes that a terminal passes on and may have been cut; not sent"));
        return Input::kNothing;
      }
      if (is_utf8(line)) return Input::kMessage;
    } else {
      switch (editor_->read_line(prompt, line)) {
        case LineEditor::Outcome::kLine:
          return Input::kMessage;
        case LineEditor::Outcome::kEnd:
          return Input::kEnd;
        case LineEditor::Outcome::kInterrupted:
          std::fputc('\n', stdout);
          std::fflush(stdout);
          note("Ctrl-D or /quit to leave");
          return Input::kNothing;
        case LineEditor::Outcome::kNotUtf8:
          break;
      }
    }
    complain("that line is not valid UTF-8");
    return Input::kNothing;
  }

  LineEditor* editor_;
};

int talk(ChatSession& session, Conversation& conversation) {
  std::unique_ptr<LineEditor> editor;
  if (isatty(STDOUT_FILENO) == 1) {
    auto made = LineEditor::create({.on_interrupt = stop_answer});
    if (!made.ok()) return fail(1, made.error().message);
    editor = std::move(*made);
  } else {
    struct sigaction action {};
    action.sa_handler = [](int) { stop_answer(); };
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, nullptr);
  }
  std::fprintf(stderr, "%s\n/help tells the commands.\n", session.summary().c_str());
  Questions questions(editor.get());
  std::string message;
  for (Input input; (input = questions.next(message)) != Input::kEnd;) {
    const std::string_view words = trim(message);
    if (input == Input::kNothing || words.empty()) continue;
    if (words[0] == '/') {
      if (!conversation.command(std::string(words))) break;
    } else if (const Status asked = conversation.ask(message); !asked.ok()) {
      complain(asked.error().message);
    }
  }
  std::fputc('\n', stdout);
  return 0;
}

struct Options {
  LocalChatOptions model{.model = server::kDemoChatName};
  AnswerOptions answer;
  std::string system;
  std::optional<std::string> prompt;
};

int run(const Options& options) {
  if (!is_utf8(options.system)) return fail(2, "--system: want valid UTF-8");
  std::optional<std::string> question = options.prompt;
  if (question && trim(*question).empty()) return fail(2, "--prompt: want a question, got none");
  if (question && !is_utf8(*question)) return fail(2, "--prompt: want valid UTF-8");
  if (!question && isatty(STDIN_FILENO) == 0) {
    // A pipe is one question.
    question.emplace(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
    while (!question->empty() && (question->back() == '\n' || question->back() == '\r'))
      question->pop_back();
    if (trim(*question).empty()) return fail(2, "no question on standard input");
    if (!is_utf8(*question)) return fail(2, "the question is not valid UTF-8");
  }
  auto session = ChatSession::open(options.model);
  if (!session.ok()) return fail(1, session.error().message);
  if (!(*session)->model().templates)
    return fail(1, concat(in_quotes(options.model.model),
                          " has no chat template; 'sis generate' goes on from plain text"));
  Conversation conversation(**session, options.answer, options.system, !question);
  if (!question) return talk(**session, conversation);
  const Status asked = conversation.ask(std::move(*question));
  return asked.ok() ? 0 : fail(1, asked.error().message);
}

}  // namespace

int chat_main(int argc, char** argv) {
  Options options;
  CLI::App app{"Talks with a model in this process, without a server. A pipe is one question.",
               "sis chat"};
  add_options(app, options.model);
  add_options(app, options.answer);
  app.add_option("--system,-s", options.system, "system message");
  app.add_option("--prompt,-p", options.prompt, "one question; the answer ends the program");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(options);
}

}  // namespace sis::apps
