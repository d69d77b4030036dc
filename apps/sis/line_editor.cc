#include "line_editor.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <utility>

#include "base/strings.h"

namespace sis::apps {
namespace {

constexpr int kHistoryLines = 1000;
constexpr wchar_t kReplacement = 0xFFFD;

// What the signal handlers reach. A byte in the pipe wakes read_character(), whichever thread the
// system chose for the handler.
std::atomic<bool> g_interrupted{false}, g_resized{false}, g_continued{false};
void (*g_on_interrupt)() = nullptr;
int g_wake[2] = {-1, -1};
termios g_terminal;  // as it was found

void on_signal(int signal) {
  const int kept_errno = errno;
  if (signal == SIGINT) {
    g_interrupted = true;
    if (g_on_interrupt != nullptr) g_on_interrupt();
  }
  if (signal == SIGWINCH) g_resized = true;
  if (signal == SIGCONT) g_continued = true;
  [[maybe_unused]] const ssize_t written = ::write(g_wake[1], "", 1);  // a full pipe wakes as well
  errno = kept_errno;
}

// The end of the process, which must not leave a terminal without echo.
void on_end(int signal) {
  ::tcsetattr(STDIN_FILENO, TCSANOW, &g_terminal);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void handle(std::initializer_list<int> signals, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // an answer is being written on another thread
  sigemptyset(&action.sa_mask);
  for (const int signal : signals) ::sigaction(signal, &action, nullptr);
}

Error system_error(const char* what) {
  return Error{Code::kInternal, concat(what, ": ", std::strerror(errno))};
}

}  // namespace

Result<std::unique_ptr<LineEditor>> LineEditor::create(const LineEditorOptions& options) {
  // libedit thinks in characters of this thread's locale. A terminal that is not told otherwise
  // speaks UTF-8, as the answers do, so LANG is not asked.
  static const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (utf8 == nullptr) return system_error("locale C.UTF-8");
  ::uselocale(utf8);
  if (::tcgetattr(STDIN_FILENO, &g_terminal) != 0) return system_error("standard input");
  if (g_wake[0] < 0 && ::pipe2(g_wake, O_NONBLOCK | O_CLOEXEC) != 0) return system_error("pipe");

  std::unique_ptr<LineEditor> made(new LineEditor);
  made->history_.reset(history_init());
  made->editor_.reset(el_init("sis", stdin, stdout, stderr));
  EditLine* editor = made->editor_.get();
  if (editor == nullptr || made->history_ == nullptr)
    return Error{Code::kInternal, "libedit: cannot use this terminal"};
  HistEvent event;
  history(made->history_.get(), &event, H_SETSIZE, kHistoryLines);
  history(made->history_.get(), &event, H_SETUNIQUE, 1);
  el_set(editor, EL_CLIENTDATA, made.get());
  el_set(editor, EL_PROMPT, &LineEditor::prompt_of);
  el_set(editor, EL_GETCFN, &LineEditor::read_character);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_HIST, history, made->history_.get());
  el_set(editor, EL_SETTY, "-x", "-icanon", "-echo", nullptr);  // between lines
  // Pasted tabs are text; the others are what people's fingers know.
  el_set(editor, EL_BIND, "\t", "ed-insert", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
  el_set(editor, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
  el_set(editor, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);

  g_on_interrupt = options.on_interrupt;
  handle({SIGINT, SIGWINCH, SIGCONT}, on_signal);
  handle({SIGTERM, SIGHUP, SIGQUIT}, on_end);
  return made;
}

LineEditor::~LineEditor() {
  editor_.reset();
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &g_terminal);
  handle({SIGINT, SIGWINCH, SIGCONT, SIGTERM, SIGHUP, SIGQUIT}, SIG_DFL);
}

char* LineEditor::prompt_of(EditLine* editor) {
  LineEditor* self = nullptr;
  el_get(editor, EL_CLIENTDATA, &self);
  return self->prompt_.data();
}

int LineEditor::read_character(EditLine* editor, wchar_t* character) {
  LineEditor* self = nullptr;
  el_get(editor, EL_CLIENTDATA, &self);
  return self->next_character(*character);
}

// 1: a byte, 0: the terminal is gone, -1: interrupted; as libedit wants it of characters.
int LineEditor::next_byte(char& byte) {
  for (;;) {
    pollfd ready[] = {{g_wake[0], POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) return 0;
    char drained[64];
    while (ready[0].revents != 0 && ::read(g_wake[0], drained, sizeof drained) > 0) {
    }
    if (g_interrupted.exchange(false)) {
      errno = EINTR;
      return -1;
    }
    if (g_resized.exchange(false)) el_resize(editor_.get());
    if (g_continued.exchange(false)) {
      // The shell has had the terminal: its modes are set again, and the line is drawn again.
      el_set(editor_.get(), EL_PREP_TERM, 0);
      el_set(editor_.get(), EL_PREP_TERM, 1);
      el_set(editor_.get(), EL_REFRESH);
    }
    if (ready[1].revents == 0) continue;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    return got == 1 ? 1 : 0;
  }
}

int LineEditor::next_character(wchar_t& character) {
  std::mbstate_t state{};
  for (bool begun = false;; begun = true) {
    char byte = 0;
    if (held_)
      byte = *std::exchange(held_, std::nullopt);
    else if (const int got = next_byte(byte); got != 1)
      return got;
    const size_t used = std::mbrtowc(&character, &byte, 1, &state);
    if (used == static_cast<size_t>(-2)) continue;  // a part of a character
    if (used == static_cast<size_t>(-1)) {
      if (begun) held_ = byte;  // the line's end, for one
      bad_bytes_ = true;
      character = kReplacement;
    }
    return 1;
  }
}

LineEditor::Outcome LineEditor::read_line(const char* prompt, std::string& line) {
  line.clear();
  prompt_ = prompt;
  bad_bytes_ = false;
  held_.reset();
  g_interrupted = false;  // it was for the answer
  std::fflush(stdout);
  int bytes = 0;
  const char* text = el_gets(editor_.get(), &bytes);
  if (text == nullptr) {
    const bool interrupted = bytes < 0 && errno == EINTR;
    return interrupted ? Outcome::kInterrupted : Outcome::kEnd;
  }
  line.assign(text, static_cast<size_t>(bytes));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  HistEvent event;
  if (!trim(line).empty()) history(history_.get(), &event, H_ENTER, line.c_str());
  return bad_bytes_ ? Outcome::kNotUtf8 : Outcome::kLine;
}

}  // namespace sis::apps
