#include "net/http_text.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace sis::net {
namespace {

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto kToken = make_token_table();

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts the part before `separator` off the front of `text`, trimmed.
std::string_view take_part(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const auto part = trim_blanks(text.substr(0, end));
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  return part;
}

// qvalue = "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3"0" ], in thousandths; -1 when it is none.
int parse_qvalue(std::string_view text) {
  if (text.empty() || (text[0] != '0' && text[0] != '1') || text.size() > 5) return -1;
  int value = (text[0] - '0') * 1000;
  if (text.size() > 1 && text[1] != '.') return -1;
  int unit = 100;
  for (size_t i = 2; i < text.size(); ++i, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value += (text[i] - '0') * unit;
  }
  return value > 1000 ? -1 : value;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

const char* coding_name(Coding coding) {
  switch (coding) {
    case Coding::kIdentity:
      return "identity";
    case Coding::kGzip:
      return "gzip";
    case Coding::kDeflate:
      return "deflate";
    case Coding::kZstd:
      return "zstd";
    case Coding::kBrotli:
      return "br";
  }
  return "identity";
}

std::optional<Coding> parse_coding(std::string_view name) {
  if (name.empty() || iequals(name, "identity")) return Coding::kIdentity;
  if (iequals(name, "gzip") || iequals(name, "x-gzip")) return Coding::kGzip;
  if (iequals(name, "deflate")) return Coding::kDeflate;
  if (iequals(name, "zstd")) return Coding::kZstd;
  if (iequals(name, "br")) return Coding::kBrotli;
  return std::nullopt;
}

Coding choose_coding(std::string_view accept_encoding) {
  static constexpr Coding kByPreference[] = {Coding::kZstd, Coding::kBrotli, Coding::kGzip};
  std::array<int, 5> weights;
  weights.fill(-1);  // not named
  int any = -1;
  for (std::string_view rest = accept_encoding; !rest.empty();) {
    auto item = take_part(rest, ',');
    const auto name = take_part(item, ';');
    int weight = 1000;
    while (!item.empty()) {
      const auto param = take_part(item, ';');
      if (param.size() > 2 && (param[0] == 'q' || param[0] == 'Q') && param[1] == '=')
        weight = parse_qvalue(param.substr(2));
    }
    if (name.empty() || weight < 0) continue;  // an unreadable wish is no wish
    if (name == "*")
      any = weight;
    else if (const auto coding = parse_coding(name))
      weights[static_cast<size_t>(*coding)] = weight;
  }
  Coding best = Coding::kIdentity;
  // Identity counts only when named: otherwise anything acceptable is better than it.
  int best_weight = std::max(0, weights[static_cast<size_t>(Coding::kIdentity)] - 1);
  for (const Coding coding : kByPreference) {
    const int named = weights[static_cast<size_t>(coding)];
    const int weight = named >= 0 ? named : any;
    if (weight > best_weight) best = coding, best_weight = weight;
  }
  return best;
}

bool is_token(std::string_view text) {
  bool good = !text.empty();
  for (const char c : text) good &= kToken[static_cast<unsigned char>(c)];
  return good;
}

bool is_field_value(std::string_view text) {
  bool bad = false;  // no early exit: the loop vectorises
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    bad |= (u < 0x20) & (u != '\t');
    bad |= u == 0x7F;
  }
  return !bad;
}

bool list_has_token(std::string_view list, std::string_view token) {
  while (!list.empty())
    if (iequals(take_part(list, ','), token)) return true;
  return false;
}

bool is_echoable_id(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool plain = true;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
      if (low < 0)
        return Error{Code::kInvalidArgument, concat("path: want two hex digits after '%', found ",
                                                    in_quotes(text.substr(i, 3)))};
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7F)
      return Error{Code::kInvalidArgument,
                   concat("path: control byte ", int{u}, " is not allowed")};
    plain &= u < 0x80;
    out.push_back(c);
  }
  if (!plain && !is_utf8(out))
    return Error{Code::kInvalidArgument, concat("path: not UTF-8 once decoded: ", in_quotes(text))};
  return out;
}

std::string http_date(std::time_t seconds) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[tm.tm_wday], tm.tm_mday,
                     kMonths[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

}  // namespace sis::net
