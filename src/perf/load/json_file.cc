#include "perf/load/json_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

size_t lines_before(std::string_view text, size_t at) {
  return static_cast<size_t>(
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// One pass outside strings: the depth is bounded, since later steps walk the document recursively,
// and bare NaN and Infinity get quotes.
Status prepare(std::string& text, const std::string& name, size_t first_line) {
  int depth = 0;
  bool in_string = false;
  std::vector<std::pair<size_t, size_t>> words;  // begin, length
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;  // whatever is escaped
      else if (c == '"')
        in_string = false;
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthMax)
        return Error{Code::kInvalidArgument,
                     concat(name, ": line ", first_line + lines_before(text, i),
                            ": nested deeper than ", kJsonDepthMax)};
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == 'N' || c == 'I' || c == '-') {
      const size_t word = c == '-' ? i + 1 : i;
      for (const std::string_view literal : {"NaN", "Infinity", "Inf"}) {
        const std::string_view rest = std::string_view(text).substr(word);
        if (!rest.starts_with(literal)) continue;
        if (rest.size() > literal.size() && is_word_byte(rest[literal.size()])) continue;
        words.emplace_back(i, word - i + literal.size());
        i = word + literal.size() - 1;
        break;
      }
    }
  }
  if (words.empty()) return {};
  std::string out;
  out.reserve(text.size() + 2 * words.size());
  size_t from = 0;
  for (const auto& [begin, length] : words) {
    out.append(text, from, begin - from);
    out += '"';
    out.append(text, begin, length);
    out += '"';
    from = begin + length;
  }
  out.append(text, from);
  text = std::move(out);
  return {};
}

}  // namespace

Result<Json> parse_json_text(std::string text, const std::string& name, size_t first_line) {
  if (!is_utf8(text)) return Error{Code::kInvalidArgument, concat(name, ": want UTF-8")};
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  SIS_TRY(prepare(text, name, first_line));
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const size_t at = std::min(error.byte > 0 ? error.byte - 1 : 0, text.size());
    const size_t from = at < 20 ? 0 : at - 20;
    return Error{Code::kInvalidArgument,
                 concat(name, ": line ", first_line + lines_before(text, at), ": want JSON, found ",
                        at >= text.size() ? std::string("the end of the file")
                                          : in_quotes(std::string_view(text).substr(from, 40)))};
  } catch (const nlohmann::json::exception& error) {  // a number out of range
    return Error{Code::kInvalidArgument, concat(name, ": want JSON: ", error.what())};
  }
}

Result<Json> read_json_file(const std::string& path) {
  SIS_ASSIGN(std::string text, read_file(path, kJsonFileBytesMax));
  return parse_json_text(std::move(text), path);
}

const Json* json_member(const Json& from, const char* name) {
  const auto found = from.is_object() ? from.find(name) : from.end();
  return found == from.end() ? nullptr : &*found;
}

std::string json_shown(const Json& value) {
  switch (value.type()) {
    case Json::value_t::array:
      return concat("an array of ", value.size());
    case Json::value_t::object:
      return concat("an object of ", value.size(), " members");
    case Json::value_t::string:
      return concat("the string ", in_quotes(value.get_ref<const std::string&>(), 40));
    case Json::value_t::null:
      return "null";
    default:
      return value.dump();
  }
}

}  // namespace sis::perf
