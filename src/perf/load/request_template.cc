#include "perf/load/request_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/load/texts.h"
#include "perf/load/words.h"

namespace sis::perf {
namespace {

constexpr size_t kPlacesMax = 1000;
constexpr int64_t kWordsMax = 10'000;
constexpr size_t kLengthDigits = 10;
constexpr char kHex[] = "0123456789abcdef";

Error bad(const std::string& where, std::string_view why) {
  return Error{Code::kInvalidArgument, concat(where, ": ", why)};
}

void append_number(std::string& out, int64_t value) {
  char digits[24];
  const auto end = fmt::format_to_n(digits, sizeof(digits), "{}", value).out;
  out.append(digits, static_cast<size_t>(end - digits));
}

void append_uuid(std::string& out, Rng& rng) {
  const uint64_t high = (rng.next() & ~0xF000ull) | 0x4000ull;
  const uint64_t low = (rng.next() & ~(3ull << 62)) | 2ull << 62;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) out += '-';
    const uint64_t word = nibble < 16 ? high : low;
    out += kHex[word >> (60 - 4 * (nibble % 16)) & 15];
  }
}

void append_path(std::string& out, std::string_view text) {
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
}

}  // namespace

bool RequestTemplate::is_template(std::string_view text) {
  return text.find("{{") != std::string_view::npos;
}

Result<RequestTemplate::Piece> RequestTemplate::parse_place(std::string_view inside,
                                                            const std::string& where,
                                                            const TemplateContext& context) {
  const std::string_view all = trim(inside);
  const std::string_view word = all.substr(0, all.find(' '));
  const std::string_view rest = trim(all.substr(word.size()));
  Piece piece;
  if (word == "index" && rest.empty()) {
    piece.kind = Kind::kIndex;
  } else if (word == "uuid" && rest.empty()) {
    piece.kind = Kind::kUuid;
  } else if (word == "random") {
    const size_t gap = rest.find(' ');
    const auto low = parse_int(rest.substr(0, gap));
    const auto high =
        gap == std::string_view::npos ? std::nullopt : parse_int(trim(rest.substr(gap)));
    if (!low || !high || *low > *high || *low < -(int64_t{1} << 62) || *high > int64_t{1} << 62)
      return bad(where, concat("want {{random LOW HIGH}} with whole numbers, found {{", all, "}}"));
    piece.kind = Kind::kRandom;
    piece.low = *low;
    piece.high = *high;
  } else if (word == "words") {
    const auto count = parse_int(rest);
    if (!count || *count < 1 || *count > kWordsMax)
      return bad(where, concat("want {{words N}} with N 1..", kWordsMax, ", found {{", all, "}}"));
    piece.kind = Kind::kWords;
    piece.low = *count;
  } else if ((word == "line" || word == "json_line") && !rest.empty()) {
    auto lines = read_lines(std::string(rest));
    if (!lines.ok()) return prefixed(where, lines.error());
    if (word == "json_line")
      for (std::string& line : *lines) {
        const std::string quoted = nlohmann::json(line).dump();
        line = quoted.substr(1, quoted.size() - 2);
      }
    piece.kind = Kind::kLines;
    piece.lines = std::make_shared<const std::vector<std::string>>(std::move(*lines));
  } else if (word == "env" && !rest.empty()) {
    const auto value =
        context.environment ? context.environment(std::string(rest)) : std::optional<std::string>();
    if (!value) return bad(where, concat("environment variable ", in_quotes(rest), " is not set"));
    piece.text = *value;
  } else {
    return bad(where, concat("want {{index}}, {{uuid}}, {{random LOW HIGH}}, {{words N}}, "
                             "{{line FILE}}, {{json_line FILE}} or {{env NAME}}, found {{",
                             all.substr(0, 60), "}}"));
  }
  return piece;
}

Status RequestTemplate::take_places(std::string& text, const std::string& where,
                                    const std::string& stem, const TemplateContext& context,
                                    std::vector<Mark>& marks) {
  std::string out;
  std::string_view rest = text;
  for (size_t begin; (begin = rest.find("{{")) != std::string_view::npos;) {
    const size_t end = rest.find("}}", begin);
    if (end == std::string_view::npos)
      return bad(where, concat("want }} behind ", in_quotes(rest.substr(begin), 40)));
    if (marks.size() == kPlacesMax) return bad(where, concat("over ", kPlacesMax, " places"));
    SIS_ASSIGN(Piece piece, parse_place(rest.substr(begin + 2, end - begin - 2), where, context));
    out += rest.substr(0, begin);
    marks.push_back(
        {.word = fmt::format("{}{:04}", stem, marks.size()), .piece = std::move(piece)});
    out += marks.back().word;
    rest.remove_prefix(end + 2);
  }
  text = out + std::string(rest);
  return {};
}

// The request is composed with marks in its places, so that its head is checked and written as any
// other, and cut at the marks then.
Result<RequestTemplate> RequestTemplate::create(const net::Url& url,
                                                const net::FetchRequest& request,
                                                const TemplateContext& context) {
  RequestTemplate made;
  made.seed_ = context.seed;
  net::FetchRequest marked = request;
  if (marked.target.empty()) marked.target = url.target.empty() ? "/" : url.target;
  std::string all = marked.target + request.body;
  for (const auto& [name, value] : request.headers) all += value;
  std::string stem = "sisplace";
  while (all.find(stem) != std::string::npos) stem += 'x';

  std::vector<Mark> marks;
  SIS_TRY(take_places(marked.target, "URL", stem, context, marks));
  for (Mark& mark : marks) mark.piece.escape = Escape::kPath;
  const size_t path_marks = marks.size();
  for (auto& [name, value] : marked.headers)
    SIS_TRY(take_places(value, concat("header ", name), stem, context, marks));
  for (size_t i = path_marks; i < marks.size(); ++i) {
    // A line break or control byte would end the header.
    const auto harmless = [](std::string_view text) {
      return std::none_of(text.begin(), text.end(),
                          [](char c) { return static_cast<unsigned char>(c) < 32 && c != '\t'; });
    };
    const Piece& piece = marks[i].piece;
    bool ok = harmless(piece.text);
    if (piece.lines) ok = std::all_of(piece.lines->begin(), piece.lines->end(), harmless);
    if (!ok) return bad("header", "want values without control bytes in its places");
  }
  const size_t head_marks = marks.size();
  SIS_TRY(take_places(marked.body, "body", stem, context, marks));

  made.has_body_ = !marked.body.empty();
  const std::string body = std::move(marked.body);
  marked.body.clear();
  const bool own_length = made.has_body_;
  SIS_ASSIGN(std::string head, net::request_bytes(url, marked));
  const auto cut = [](std::string_view text, const Mark* first, const Mark* last,
                      std::vector<Piece>& pieces) {
    for (const Mark* mark = first; mark != last; ++mark) {
      const size_t at = text.find(mark->word);
      pieces.push_back({.text = std::string(text.substr(0, at))});
      pieces.push_back(mark->piece);
      text.remove_prefix(at + mark->word.size());
    }
    pieces.push_back({.text = std::string(text)});
  };
  if (own_length) {
    // Without a body the composer wrote a length of 0, if the method has one.
    static constexpr std::string_view kZero = "Content-Length: 0\r\n";
    if (const size_t at = head.find(kZero); at != std::string::npos) head.erase(at, kZero.size());
    head.resize(head.size() - 2);  // the empty line
    head += "Content-Length: ";
  }
  cut(head, marks.data(), marks.data() + head_marks, made.head_);
  if (made.has_body_) cut(body, marks.data() + head_marks, marks.data() + marks.size(), made.body_);
  return made;
}

void RequestTemplate::append(const Piece& piece, size_t place, uint64_t index,
                             std::string& out) const {
  switch (piece.kind) {
    case Kind::kText:
      if (piece.escape == Escape::kPath)
        append_path(out, piece.text);
      else
        out += piece.text;
      return;
    case Kind::kIndex:
      return append_number(out, static_cast<int64_t>(index));
    case Kind::kLines: {
      const std::string& line = (*piece.lines)[index % piece.lines->size()];
      if (piece.escape == Escape::kPath)
        append_path(out, line);
      else
        out += line;
      return;
    }
    case Kind::kUuid:
    case Kind::kRandom:
    case Kind::kWords:
      break;
  }
  Rng rng(seed_ ^ (index * 0x9E3779B97F4A7C15u) ^ (static_cast<uint64_t>(place) << 56));
  if (piece.kind == Kind::kUuid) return append_uuid(out, rng);
  if (piece.kind == Kind::kRandom) {
    const auto width = static_cast<uint64_t>(piece.high - piece.low) + 1;
    return append_number(out, piece.low + static_cast<int64_t>(rng.below(width)));
  }
  for (int64_t i = 0; i < piece.low; ++i) {
    if (i > 0) out += piece.escape == Escape::kPath ? "%20" : " ";
    out += kCommonWords[rng.below(kCommonWords.size())];
  }
}

std::string_view RequestTemplate::write(uint64_t index, std::string& out) const {
  out.clear();
  size_t place = 0;
  for (const Piece& piece : head_) append(piece, place++, index, out);
  if (!has_body_) return out;
  // The length comes before the body and is known after it: it has a field of its own width, with
  // blanks in front, which HTTP allows (RFC 9110, 5.5).
  const size_t length_at = out.size();
  out.append(kLengthDigits, ' ');
  out += "\r\n\r\n";
  const size_t body_at = out.size();
  for (const Piece& piece : body_) append(piece, place++, index, out);
  size_t length = out.size() - body_at;
  for (size_t at = length_at + kLengthDigits; length > 0 || at == length_at + kLengthDigits;
       length /= 10)
    out[--at] = static_cast<char>('0' + length % 10);
  return out;
}

}  // namespace sis::perf
