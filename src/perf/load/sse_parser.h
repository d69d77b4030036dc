// Incremental parser of server-sent events (text/event-stream, WHATWG HTML 9.2).
//
// Bytes go in as they arrive, split anywhere; whole events come out. Lines end with LF, CRLF or CR;
// comments (keep-alives), ids, retry times and unknown fields are skipped; several data lines are
// joined with LF. An event that no blank line ended is never handed out. Buffers grow to the
// largest event and stay; an event over the limit is an error. One thread.
#pragma once

#include <string>
#include <string_view>

namespace sis::perf {

struct SseEvent {
  std::string_view name;  // of the `event:` line; mostly empty
  std::string_view data;
};

class SseParser {
 public:
  static constexpr size_t kEventBytesMax = 1 << 20;  // of one line, and of one event's data

  void begin();  // of a stream

  // Calls `fn(const SseEvent&)` for every event that `bytes` complete; its views live only during
  // the call. False when an event is too large; the stream cannot be read on then.
  template <class Fn>
  bool feed(std::string_view bytes, Fn&& fn) {
    while (!bytes.empty()) {
      switch (take_line(bytes)) {
        case Taken::kPart:
          break;
        case Taken::kEvent:
          fn(SseEvent{name_, data_});
          clear_event();
          break;
        case Taken::kTooLarge:
          return false;
      }
    }
    return true;
  }

  // The stream's first line that was no field, or the one it ended in: what the server sent instead
  // of events. Cut to 4 KiB.
  std::string_view stray_line() const;
  // Something of an event that is not complete was seen.
  bool inside_event() const { return has_data_ || !line_.empty(); }

 private:
  enum class Taken : uint8_t { kPart, kEvent, kTooLarge };

  Taken take_line(std::string_view& bytes);  // up to a line's end, or all of it
  Taken take_field(std::string_view line);
  void clear_event();

  std::string line_;  // the beginning of a line that is not complete
  std::string name_, data_, stray_line_;
  bool has_data_ = false;
  bool skip_lf_ = false;    // the last line ended with CR, maybe of a CRLF
  bool first_line_ = true;  // may begin with a byte order mark
};

}  // namespace sis::perf
