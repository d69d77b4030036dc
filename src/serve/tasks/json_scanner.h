// Checks a JSON value byte by byte (RFC 8259), as it is being written.
//
// One relaxation: control characters inside strings pass, because models write line breaks there;
// who hands the text on escapes them. One thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sis::tasks {

class JsonScanner {
 public:
  enum class State : uint8_t {
    kValue,         // a value must come
    kValueOrClose,  // a value or ]
    kKeyOrClose,    // a key or }
    kKey,
    kColon,
    kCommaOrClose,
    kString,  // inside a string, which may be a key
    kNumber,
    kLiteral,  // true, false, null
    kDone,     // the value is complete; a number at the top never is
    kFault,
  };

  // Takes the next byte; kFault is final. After kDone nothing is pushed.
  State push(char c);

  State state() const { return state_; }
  int depth() const { return static_cast<int>(open_.size()); }  // open objects and arrays

 private:
  State begin_value(char c);
  State push_string(char c);
  State push_number(char c);
  State value_ended();

  State state_ = State::kValue;
  std::string open_;  // '{' or '[' of each level
  bool is_key_ = false;
  int escape_ = 0;  // in a string: 1 after a backslash, 2..5 while hex digits are due
  uint8_t number_ = 0;
  std::string_view literal_;  // what is due
};

// The text of a JSON string with its quotes; the caller has scanned it. Lone surrogates become
// U+FFFD.
std::string decode_json_string(std::string_view quoted);

// Adds the byte of a scanned JSON text, escaped where it is a control character in a string.
void append_json_byte(std::string& out, char c, bool in_string);

void append_utf8(std::string& out, uint32_t code_point);

}  // namespace sis::tasks
