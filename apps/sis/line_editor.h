// Lines from a terminal, with editing keys and a history in memory (libedit).
//
// From creation to destruction the terminal neither echoes nor gathers lines by itself, also
// between two read_line()s: the system's own line mode cuts lines at 4095 bytes, and text that is
// pasted while an answer is printed would go through it. What is typed meanwhile shows up at the
// next prompt. Ctrl-C stays a signal. Main thread, one at a time: signal handlers are process-wide.
#pragma once

#include <histedit.h>

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"

namespace sis::apps {

struct LineEditorOptions {
  void (*on_interrupt)() = nullptr;  // every Ctrl-C; called in the signal handler
};

class LineEditor {
 public:
  // Standard input and output must be terminals.
  static Result<std::unique_ptr<LineEditor>> create(const LineEditorOptions& options);
  ~LineEditor();  // the terminal is as it was
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome : uint8_t { kLine, kNotUtf8, kInterrupted, kEnd };
  // The line without its end.
  Outcome read_line(const char* prompt, std::string& line);

 private:
  LineEditor() = default;
  static char* prompt_of(EditLine* editor);
  static int read_character(EditLine* editor, wchar_t* character);
  int next_character(wchar_t& character);
  int next_byte(char& byte);

  struct EndEditor {
    void operator()(EditLine* editor) const { el_end(editor); }
    void operator()(History* history) const { history_end(history); }
  };
  std::unique_ptr<History, EndEditor> history_;
  std::unique_ptr<EditLine, EndEditor> editor_;
  std::string prompt_;
  bool bad_bytes_ = false;    // in the line that is being read
  std::optional<char> held_;  // read, but not of the character before it
};

}  // namespace sis::apps
