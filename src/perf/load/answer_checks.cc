#include "perf/load/answer_checks.h"

#include "base/json_kind.h"
#include "base/strings.h"
#include "perf/load/json_answer.h"

namespace sis::perf {
namespace {

using simdjson::dom::element;

constexpr size_t kChecksMax = 100;
constexpr size_t kPathBytesMax = 1000;

void append_key(std::string& pointer, std::string_view key) {
  pointer += '/';
  for (const char c : key) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c;
  }
}

// "choices[0].message" to "/choices/0/message"; nothing when it is no path.
std::optional<std::string> pointer_of(std::string_view path) {
  std::string pointer;
  while (!path.empty()) {
    if (path.front() == '[') {
      const size_t end = path.find(']');
      const auto number =
          end == std::string_view::npos ? std::nullopt : parse_int(path.substr(1, end - 1));
      if (!number || *number < 0) return std::nullopt;
      pointer += concat("/", *number);
      path.remove_prefix(end + 1);
      if (!path.empty() && path.front() == '.') {
        path.remove_prefix(1);
        if (path.empty()) return std::nullopt;
      }
      continue;
    }
    const size_t end = path.find_first_of(".[");
    if (end == 0) return std::nullopt;
    append_key(pointer, path.substr(0, end));
    if (end == std::string_view::npos) break;
    path.remove_prefix(path[end] == '.' ? end + 1 : end);
    if (path.empty()) return std::nullopt;
  }
  return pointer;
}

}  // namespace

struct AnswerChecks::Checker::Parser {
  JsonAnswer json;
};

AnswerChecks::Checker::Checker(const AnswerChecks& checks)
    : checks_(checks), parser_(std::make_unique<Parser>()) {}
AnswerChecks::Checker::~Checker() = default;

Status AnswerChecks::add_text(std::string_view text) {
  if (text.empty()) return Error{Code::kInvalidArgument, "want a text, found nothing"};
  if (texts_.size() == kChecksMax)
    return Error{Code::kTooLarge, concat("want at most ", kChecksMax, " checks")};
  texts_.emplace_back(text);
  return {};
}

Status AnswerChecks::add_json(std::string_view check) {
  if (values_.size() == kChecksMax)
    return Error{Code::kTooLarge, concat("want at most ", kChecksMax, " checks")};
  const size_t equals = check.find('=');
  const std::string_view path = trim(check.substr(0, equals));
  const auto pointer = path.size() <= kPathBytesMax ? pointer_of(path) : std::nullopt;
  if (path.empty() || !pointer)
    return Error{
        Code::kInvalidArgument,
        concat("want PATH=VALUE with a path like choices[0].index, found ", in_quotes(check))};
  Value value{.shown = std::string(path), .pointer = *pointer};
  if (equals != std::string_view::npos) {
    const std::string_view text = trim(check.substr(equals + 1));
    value.text = text;
    value.kind = Kind::kString;
    if (const auto number = parse_double(text)) {
      value.kind = Kind::kNumber;
      value.number = *number;
    } else if (text == "true" || text == "false") {
      value.kind = text == "true" ? Kind::kTrue : Kind::kFalse;
    } else if (text == "null") {
      value.kind = Kind::kNull;
    } else if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
      value.text = text.substr(1, text.size() - 2);
    }
  }
  values_.push_back(std::move(value));
  return {};
}

std::string AnswerChecks::Checker::check(std::string_view body) {
  for (const std::string& text : checks_.texts_)
    if (body.find(text) == std::string_view::npos)
      return concat("body without ", in_quotes(text, 60), ": ", in_quotes(body, 60));
  if (checks_.values_.empty()) return {};
  element document;
  if (std::string why = parser_->json.parse(body, document); !why.empty()) return why;
  for (const Value& value : checks_.values_) {
    element found;
    if (document.at_pointer(value.pointer).get(found))
      return concat("body without ", value.shown, ": ", in_quotes(body, 60));
    bool ok = false;
    std::string_view text;
    double number = 0;
    bool flag = false;
    switch (value.kind) {
      case Kind::kThere:
        ok = true;
        break;
      case Kind::kString:
        ok = !found.get(text) && text == value.text;
        break;
      case Kind::kNumber:
        ok = !found.get(number) && number == value.number;
        break;
      case Kind::kTrue:
      case Kind::kFalse:
        ok = !found.get(flag) && flag == (value.kind == Kind::kTrue);
        break;
      case Kind::kNull:
        ok = found.is_null();
        break;
    }
    if (!ok)
      return concat(value.shown, ": want ", value.text, ", found ", json_kind(found), " ",
                    in_quotes(simdjson::minify(found), 60));
  }
  return {};
}

}  // namespace sis::perf
