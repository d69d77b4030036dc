#include "perf/plan/headers.h"

#include <functional>

#include "base/strings.h"

namespace sis::perf {
namespace {

// RFC 9110: token.
bool is_name(std::string_view text) {
  static constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  if (text.empty()) return false;
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
          kOther.find(c) != std::string_view::npos))
      return false;
  return true;
}

bool is_value(std::string_view text) {
  for (const char c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
  return true;
}

class WithHeaders final : public Workload {
 public:
  WithHeaders(std::unique_ptr<Workload> inner, std::string lines)
      : inner_(std::move(inner)), lines_(std::move(lines)) {}

  std::string_view request(uint64_t index, std::string& scratch) const override {
    const std::string_view bytes = inner_->request(index, scratch);
    const size_t behind_first = bytes.find("\r\n") + 2;
    const auto before = std::less<const char*>();
    if (!before(bytes.data(), scratch.data()) &&
        before(bytes.data(), scratch.data() + scratch.size())) {
      // Written into the scratch: its own bytes move.
      const auto begin = static_cast<size_t>(bytes.data() - scratch.data());
      const size_t size = bytes.size();
      scratch.insert(begin + behind_first, lines_);
      return std::string_view(scratch).substr(begin, size + lines_.size());
    }
    scratch.assign(bytes.substr(0, behind_first));
    scratch += lines_;
    scratch += bytes.substr(behind_first);
    return scratch;
  }
  std::unique_ptr<Judge> make_judge() const override { return inner_->make_judge(); }
  bool head_requests() const override { return inner_->head_requests(); }
  std::string_view watched_header() const override { return inner_->watched_header(); }
  size_t parts() const override { return inner_->parts(); }
  size_t part_of(uint64_t index) const override { return inner_->part_of(index); }
  std::string part_name(size_t part) const override { return inner_->part_name(part); }

 private:
  std::unique_ptr<Workload> inner_;
  std::string lines_;
};

}  // namespace

Result<std::unique_ptr<Workload>> with_headers(std::unique_ptr<Workload> workload,
                                               const NamedTexts& headers) {
  if (headers.empty()) return workload;
  std::string lines;
  for (const auto& [name, value] : headers) {
    if (!is_name(name))
      return Error{Code::kInvalidArgument,
                   concat("headers: ", in_quotes(name), " is no header name")};
    for (const char* own : {"Host", "Content-Length", "Connection", "Transfer-Encoding"})
      if (iequals(name, own))
        return Error{Code::kInvalidArgument, concat("headers: ", name, " is set by the generator")};
    if (!is_value(value))
      return Error{Code::kInvalidArgument,
                   concat("headers: the value of ", name, " holds control bytes")};
    lines += concat(name, ": ", value, "\r\n");
  }
  return std::unique_ptr<Workload>(std::make_unique<WithHeaders>(std::move(workload), lines));
}

}  // namespace sis::perf
