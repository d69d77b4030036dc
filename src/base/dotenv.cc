#include "base/dotenv.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/strings.h"

namespace sis {
namespace {

bool is_name_byte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

class Parser {
 public:
  Parser(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;  // byte order mark
  }

  Result<std::vector<DotenvEntry>> run() {
    std::vector<DotenvEntry> entries;
    while (at_ < text_.size()) {
      skip_blanks();
      if (!at_line_end() && peek() != '#') SIS_TRY(parse_entry(entries));
      SIS_TRY(finish_line());
    }
    return entries;
  }

 private:
  char peek() const { return text_[at_]; }
  bool at_line_end() const { return at_ >= text_.size() || text_[at_] == '\n'; }
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  Error error(int line, std::string_view what) const {
    return Error{Code::kInvalidArgument, concat(origin_, " line ", line, ": ", what)};
  }

  std::string_view take_name() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_name_byte(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Status parse_entry(std::vector<DotenvEntry>& entries) {
    std::string_view name = take_name();
    skip_blanks();
    if (name == "export" && !at_line_end() && is_name_byte(peek())) {
      name = take_name();
      skip_blanks();
    }
    if (name.empty())
      return error(line_, concat("want NAME=VALUE, got ", in_quotes(rest_of_line())));
    if (at_line_end() || peek() == '#') return {};  // a name alone sets nothing
    if (peek() != '=')
      return error(line_,
                   concat("want '=' after ", name, ", got ", in_quotes(text_.substr(at_, 1))));
    ++at_;
    skip_blanks();
    DotenvEntry entry{std::string(name), "", line_};
    if (!at_line_end() && (peek() == '\'' || peek() == '"')) {
      SIS_ASSIGN(entry.value, take_quoted(name));
    } else {
      entry.value = take_plain();
    }
    entries.push_back(std::move(entry));
    return {};
  }

  std::string take_plain() {
    const size_t begin = at_;
    while (!at_line_end() && !(peek() == '#' && (at_ == begin || is_blank(text_[at_ - 1])))) ++at_;
    return std::string(trim(text_.substr(begin, at_ - begin)));
  }

  Result<std::string> take_quoted(std::string_view name) {
    const char quote = text_[at_++];
    const int first_line = line_;
    std::string value;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == quote) {
        ++at_;
        return value;
      }
      if (c == '\n') ++line_;
      if (c == '\\' && at_ + 1 < text_.size()) {
        const char next = text_[at_ + 1];
        const char* from = quote == '\'' ? "\\'" : "nrt\\\"'$";
        const char* to = quote == '\'' ? "\\'" : "\n\r\t\\\"'$";
        if (const char* hit = next ? std::strchr(from, next) : nullptr) {
          value += to[hit - from];
          ++at_;
          continue;
        }
      }
      value += c;
    }
    return error(first_line, concat("the quoted value of ", name, " never ends"));
  }

  // What may follow an entry: blanks and a comment.
  Status finish_line() {
    skip_blanks();
    if (!at_line_end() && peek() != '#')
      return error(line_, concat("want the end of the line after the value, got ",
                                 in_quotes(text_.substr(at_, 1))));
    while (!at_line_end()) ++at_;
    if (at_ < text_.size()) {
      ++at_;
      ++line_;
    }
    return {};
  }

  std::string_view rest_of_line() const {
    // Up to the '=' only: what follows may be a secret.
    const size_t end = text_.find_first_of("=\n", at_);
    return text_.substr(at_, (end == std::string_view::npos ? text_.size() : end) - at_);
  }

  std::string_view text_, origin_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

Result<std::vector<DotenvEntry>> parse_dotenv(std::string_view text, std::string_view origin) {
  if (static_cast<int64_t>(text.size()) > kDotenvBytesMax)
    return Error{Code::kTooLarge,
                 concat(origin, ": ", text.size(), " bytes, want at most ", kDotenvBytesMax)};
  if (text.find('\0') != std::string_view::npos)
    return Error{Code::kInvalidArgument, concat(origin, ": want text, found a zero byte")};
  return Parser(text, origin).run();
}

Result<std::vector<DotenvEntry>> read_dotenv(const std::string& path, std::string_view origin) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::vector<DotenvEntry>{};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             std::fclose);
  if (!file)
    return Error{Code::kInvalidArgument, concat(path, ": cannot be read: ", std::strerror(errno))};
  std::string text(kDotenvBytesMax + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return parse_dotenv(text, origin);
}

}  // namespace sis
