#include "telemetry/trace_context.h"

#include <algorithm>
#include <random>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::telemetry {
namespace {

constexpr size_t kTraceparentBytes = 55;  // of version 00
constexpr size_t kStateMembersMax = 32;
constexpr size_t kStateBytesMax = 2048;

uint64_t random_word() {
  thread_local Rng rng([] {
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  }());
  return rng.next();
}

template <size_t kBytes>
std::array<uint8_t, kBytes> random_id() {
  std::array<uint8_t, kBytes> id{};
  do {
    for (size_t at = 0; at < kBytes; at += 8)
      for (uint64_t word = random_word(), i = 0; i < 8; ++i, word >>= 8)
        id[at + i] = static_cast<uint8_t>(word);
  } while (id == std::array<uint8_t, kBytes>{});
  return id;
}

// -1: not a lower-case hexadecimal digit, which is all that the recommendation allows.
int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool read_hex(std::string_view text, std::span<uint8_t> out) {
  if (text.size() != out.size() * 2) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

bool is_key(std::string_view key) {
  const auto lower_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  return !key.empty() && key.size() <= 256 && lower_or_digit(key[0]) &&
         std::all_of(key.begin(), key.end(), [&](char c) {
           return lower_or_digit(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
         });
}

bool is_value(std::string_view value) {
  return !value.empty() && value.size() <= 256 && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= ' ' && c < 0x7F && c != ',' && c != '='; });
}

}  // namespace

TraceId make_trace_id() { return random_id<16>(); }
SpanId make_span_id() { return random_id<8>(); }

std::string to_hex(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::optional<TraceContext> parse_traceparent(std::string_view header) {
  if (header.size() < kTraceparentBytes || header[2] != '-' || header[35] != '-' ||
      header[52] != '-')
    return std::nullopt;
  std::array<uint8_t, 1> version{}, flags{};
  TraceContext context;
  if (!read_hex(header.substr(0, 2), version) || version[0] == 0xFF ||
      !read_hex(header.substr(3, 32), context.trace_id) ||
      !read_hex(header.substr(36, 16), context.span_id) || !read_hex(header.substr(53, 2), flags))
    return std::nullopt;
  // Later versions may say more behind another dash.
  if (header.size() > kTraceparentBytes && (version[0] == 0 || header[kTraceparentBytes] != '-'))
    return std::nullopt;
  if (context.trace_id == TraceId{} || context.span_id == SpanId{}) return std::nullopt;
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

std::string format_traceparent(const TraceContext& context) {
  return concat("00-", to_hex(context.trace_id), "-", to_hex(context.span_id),
                context.sampled ? "-01" : "-00");
}

std::string parse_tracestate(std::span<const std::string_view> headers) {
  std::string out;
  std::vector<std::string_view> keys;
  for (std::string_view rest : headers) {
    if (rest.size() > kStateBytesMax) return "";
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      const std::string_view member = trim(rest.substr(0, comma));
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
      if (member.empty()) continue;  // allowed between commas
      const size_t equals = member.find('=');
      if (equals == std::string_view::npos) return "";
      const std::string_view key = member.substr(0, equals);
      if (!is_key(key) || !is_value(member.substr(equals + 1)) ||
          std::find(keys.begin(), keys.end(), key) != keys.end() ||
          keys.size() == kStateMembersMax || out.size() + member.size() + 1 > kStateBytesMax)
        return "";
      keys.push_back(key);
      if (!out.empty()) out += ',';
      out += member;
    }
  }
  return out;
}

bool keeps_trace(const TraceId& id, double ratio) {
  if (ratio >= 1) return true;
  if (!(ratio > 0)) return false;
  uint64_t word = 0;
  for (size_t i = 8; i < 16; ++i) word = word << 8 | id[i];
  return static_cast<double>(word >> 11) * 0x1.0p-53 < ratio;
}

}  // namespace sis::telemetry
