// What else than its status an answer of any HTTP server must show: texts in the body, values in
// its JSON.
//
//   status=ok                the string "ok"
//   choices[0].index=0       a number, true, false or null compare as such
//   data[3].embedding        something is there
//   name="5"                 quotes make a string of what looks like a number
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::perf {

class AnswerChecks {
 public:
  Status add_text(std::string_view text);   // the body holds it
  Status add_json(std::string_view check);  // "path=value" or "path"
  bool empty() const { return texts_.empty() && values_.empty(); }

  // For one thread: keeps a parser.
  class Checker {
   public:
    explicit Checker(const AnswerChecks& checks);
    ~Checker();
    std::string check(std::string_view body);  // what is wrong; empty: nothing

   private:
    struct Parser;
    const AnswerChecks& checks_;
    std::unique_ptr<Parser> parser_;
  };

 private:
  enum class Kind : uint8_t { kThere, kString, kNumber, kTrue, kFalse, kNull };
  struct Value {
    std::string shown, pointer;  // pointer: RFC 6901
    Kind kind = Kind::kThere;
    std::string text;
    double number = 0;
  };
  std::vector<std::string> texts_;
  std::vector<Value> values_;
};

}  // namespace sis::perf
