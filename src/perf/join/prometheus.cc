#include "perf/join/prometheus.h"

#include <charconv>
#include <cmath>

#include "base/strings.h"

namespace sis::perf {
namespace {

bool is_name_byte(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
         (!first && c >= '0' && c <= '9');
}

// "NaN", "+Inf" and the like are numbers here.
bool read_number(std::string_view text, double& out) {
  if (text.starts_with("+")) text.remove_prefix(1);
  if (text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc::result_out_of_range && end == text.data() + text.size()) {
    out = 0;  // too small or too large for a double: nobody measures that
    return true;
  }
  return error == std::errc() && end == text.data() + text.size();
}

class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  // What is wrong, or null.
  const char* read(std::string& name, MetricSample& sample) {
    if (!take_name(name)) return "no metric name";
    if (rest_.starts_with("{")) {
      rest_.remove_prefix(1);
      if (const char* wrong = take_labels(sample)) return wrong;
    }
    if (rest_.empty() || (rest_.front() != ' ' && rest_.front() != '\t'))
      return "no blank before the value";
    skip_blanks();
    const size_t end = std::min(rest_.find_first_of(" \t"), rest_.size());
    if (!read_number(rest_.substr(0, end), sample.value)) return "the value is no number";
    // Behind it may stand a time and, in OpenMetrics, an exemplar; neither is used.
    return nullptr;
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t'))
      rest_.remove_prefix(1);
  }
  bool take_name(std::string& name) {
    size_t size = 0;
    while (size < rest_.size() && is_name_byte(rest_[size], size == 0)) ++size;
    name = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return size > 0;
  }
  const char* take_labels(MetricSample& sample) {
    for (;;) {
      skip_blanks();
      if (rest_.starts_with("}")) {
        rest_.remove_prefix(1);
        return nullptr;
      }
      if (sample.labels.size() == MetricPage::kLabelsMax) return "too many labels";
      auto& [name, value] = sample.labels.emplace_back();
      if (!take_name(name)) return "no label name";
      skip_blanks();
      if (!rest_.starts_with("=")) return "no = behind a label's name";
      rest_.remove_prefix(1);
      skip_blanks();
      if (!rest_.starts_with("\"")) return "a label's value is not in quotes";
      rest_.remove_prefix(1);
      if (!take_value(value)) return "a label's value does not end";
      skip_blanks();
      if (rest_.starts_with(",")) rest_.remove_prefix(1);
    }
  }
  bool take_value(std::string& value) {
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c == '\\' && !rest_.empty()) {
        c = rest_.front() == 'n' ? '\n' : rest_.front();
        rest_.remove_prefix(1);
      }
      value += c;
    }
    return false;
  }

  std::string_view rest_;
};

}  // namespace

std::string_view MetricSample::label(std::string_view name) const {
  for (const auto& [key, value] : labels)
    if (key == name) return value;
  return {};
}

Result<MetricPage> MetricPage::parse(std::string_view text) {
  if (text.size() > kPageBytesMax)
    return Error{Code::kTooLarge,
                 concat("metrics: ", text.size(), " bytes, want at most ", kPageBytesMax)};
  MetricPage page;
  std::string name;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    MetricSample sample;
    if (const char* wrong = LineReader(line).read(name, sample))
      return Error{Code::kInvalidArgument,
                   concat("metrics: line ", number, ": ", wrong, ": ", in_quotes(line))};
    if (++page.samples_ > kSamplesMax)
      return Error{Code::kTooLarge, concat("metrics: want at most ", kSamplesMax, " samples")};
    page.families_[name].push_back(std::move(sample));
  }
  return page;
}

const std::vector<MetricSample>* MetricPage::find(std::string_view name) const {
  const auto found = families_.find(name);
  return found == families_.end() ? nullptr : &found->second;
}

bool MetricPage::has_prefix(std::string_view prefix) const {
  const auto found = families_.lower_bound(prefix);
  return found != families_.end() && found->first.starts_with(prefix);
}

}  // namespace sis::perf
