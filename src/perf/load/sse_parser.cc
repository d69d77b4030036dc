#include "perf/load/sse_parser.h"

namespace sis::perf {
namespace {

constexpr size_t kStrayBytesMax = 4096;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

void SseParser::begin() {
  line_.clear();
  stray_line_.clear();
  clear_event();
  skip_lf_ = false;
  first_line_ = true;
}

std::string_view SseParser::stray_line() const {
  return std::string_view(stray_line_.empty() ? line_ : stray_line_).substr(0, kStrayBytesMax);
}

void SseParser::clear_event() {
  name_.clear();
  data_.clear();
  has_data_ = false;
}

SseParser::Taken SseParser::take_line(std::string_view& bytes) {
  if (skip_lf_) {
    skip_lf_ = false;
    if (bytes.front() == '\n') {
      bytes.remove_prefix(1);
      return Taken::kPart;
    }
  }
  const size_t lf = bytes.find('\n');
  const size_t cr = bytes.substr(0, lf).find('\r');
  const size_t end = cr != std::string_view::npos ? cr : lf;
  std::string_view line = bytes.substr(0, end);
  if (line_.size() + line.size() > kEventBytesMax) return Taken::kTooLarge;
  if (end == std::string_view::npos) {
    line_.append(line);
    bytes = {};
    return Taken::kPart;
  }
  skip_lf_ = bytes[end] == '\r';
  bytes.remove_prefix(end + 1);
  if (!line_.empty()) {
    line_.append(line);
    line = line_;
  }
  if (first_line_ && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  first_line_ = false;
  const Taken taken = take_field(line);
  line_.clear();
  return taken;
}

SseParser::Taken SseParser::take_field(std::string_view line) {
  if (line.empty()) {
    if (has_data_) return Taken::kEvent;
    name_.clear();
    return Taken::kPart;
  }
  const size_t colon = line.find(':');
  if (colon == 0) return Taken::kPart;  // a comment
  const std::string_view field = line.substr(0, colon);
  std::string_view value =
      colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (data_.size() + value.size() + 1 > kEventBytesMax) return Taken::kTooLarge;
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  } else if (field == "event") {
    name_ = value;
  } else if (field != "id" && field != "retry" && stray_line_.empty()) {
    stray_line_ = line.substr(0, kStrayBytesMax);
  }
  return Taken::kPart;
}

}  // namespace sis::perf
