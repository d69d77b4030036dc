#include "perf/load/audio_judge.h"

#include "base/strings.h"
#include "perf/load/json_answer.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;

constexpr const char* kFormats[] = {"json", "text", "verbose_json", "srt", "vtt"};

std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// "00:00:01,500", hours may be missing with '.'; milliseconds.
std::optional<int64_t> read_time(std::string_view text, char point) {
  int64_t parts[3] = {0, 0, 0};
  const size_t at = text.find(point);
  if (at == std::string_view::npos || text.size() - at != 4) return std::nullopt;
  const auto fields = split(text.substr(0, at), ':');
  if (fields.size() > 3 || fields.size() < (point == ',' ? 3 : 2)) return std::nullopt;
  for (size_t i = 0; i < fields.size(); ++i) {
    const auto value = parse_int(fields[i]);
    if (!value || *value < 0 || *value > 100'000 || fields[i].size() < 2) return std::nullopt;
    parts[3 - fields.size() + i] = *value;
  }
  const auto ms = parse_int(text.substr(at + 1));
  if (!ms || parts[1] > 59 || parts[2] > 59) return std::nullopt;
  return ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + *ms;
}

std::string check_times(std::string_view line, char point, int64_t& last_start) {
  const size_t arrow = line.find(" --> ");
  if (arrow == std::string_view::npos)
    return concat("want a time line 'START --> END', found ", in_quotes(line, 40));
  std::string_view end_text = line.substr(arrow + 5);
  end_text = end_text.substr(0, end_text.find(' '));  // vtt: settings may follow
  const auto start = read_time(line.substr(0, arrow), point), end = read_time(end_text, point);
  if (!start || !end)
    return concat("want times like 00:00:01", point, "500, found ", in_quotes(line, 60));
  if (*end < *start || *start < last_start)
    return concat("times run backwards: ", in_quotes(line, 60));
  last_start = *start;
  return {};
}

class AudioJudge final : public Judge {
 public:
  AudioJudge(AudioFormat format, const std::vector<double>& seconds)
      : format_(format), seconds_(seconds) {}

  Judgement judge(uint64_t index, const Answer& answer) override {
    if (answer.status != 200) return wrong_status(answer);
    Judgement judgement{.items = 1};
    judgement.amount = std::max(0.0, seconds_[index % seconds_.size()]);
    judgement.error = check(answer.body, judgement.amount);
    judgement.ok = judgement.error.empty();
    return judgement;
  }

 private:
  std::string check(std::string_view body, double& amount) {
    switch (format_) {
      case AudioFormat::kText:
        if (!is_utf8(body)) return "answer is not UTF-8";
        // A server that does not know the format answers with its usual JSON.
        if (trim(body).starts_with("{\"text\"")) return "want plain text, found JSON";
        return {};
      case AudioFormat::kSrt:
        return check_srt(body);
      case AudioFormat::kVtt:
        return check_vtt(body);
      case AudioFormat::kJson:
      case AudioFormat::kVerboseJson:
        break;
    }
    element document;
    if (std::string why = json_.parse(body, document); !why.empty()) return why;
    std::string_view text;
    if (document["text"].get(text)) return "answer has no string 'text'";
    if (format_ == AudioFormat::kJson) return {};
    double duration = 0;
    if (amount == 0 && !document["duration"].get(duration) && duration > 0) amount = duration;
    array segments;
    if (document["segments"].get(segments)) return "answer has no array 'segments'";
    size_t count = 0;
    double last = 0;
    for (const element segment : segments) {
      double start = 0, end = 0;
      if (segment["start"].get(start) || segment["end"].get(end))
        return concat("segments[", count, "]: want numbers 'start' and 'end'");
      if (start < last || end < start)
        return concat("segments[", count, "]: times run backwards: ", start, " to ", end);
      if (segment["text"].get(text)) return concat("segments[", count, "] has no string 'text'");
      last = start;
      ++count;
    }
    return {};
  }

  AudioFormat format_;
  const std::vector<double>& seconds_;
  JsonAnswer json_;
};

}  // namespace

const char* audio_format_name(AudioFormat format) { return kFormats[static_cast<size_t>(format)]; }

std::optional<AudioFormat> find_audio_format(std::string_view name) {
  for (size_t i = 0; i < std::size(kFormats); ++i)
    if (name == kFormats[i]) return static_cast<AudioFormat>(i);
  return std::nullopt;
}

std::string check_srt(std::string_view text) {
  if (!is_utf8(text)) return "answer is not UTF-8";
  int64_t last_start = 0;
  for (int64_t number = 1;; ++number) {
    std::string_view line;
    while (!text.empty() && trim(line = next_line(text)).empty()) line = {};
    if (trim(line).empty()) return {};
    if (line != std::to_string(number))
      return concat("srt: want the number ", number, ", found ", in_quotes(line, 40));
    if (std::string why = check_times(next_line(text), ',', last_start); !why.empty())
      return concat("srt: cue ", number, ": ", why);
    while (!text.empty() && !trim(next_line(text)).empty()) {
    }
  }
}

std::string check_vtt(std::string_view text) {
  if (!is_utf8(text)) return "answer is not UTF-8";
  if (!next_line(text).starts_with("WEBVTT")) return "vtt: want WEBVTT in the first line";
  while (!text.empty() && !trim(next_line(text)).empty()) {  // the rest of the head
  }
  int64_t last_start = 0;
  for (int64_t number = 1; !text.empty();) {
    std::string_view line = next_line(text);
    if (trim(line).empty()) continue;
    if (line.starts_with("NOTE") || line == "STYLE" || line == "REGION") {
      while (!text.empty() && !trim(next_line(text)).empty()) {
      }
      continue;
    }
    if (line.find(" --> ") == std::string_view::npos) line = next_line(text);  // behind its name
    if (std::string why = check_times(line, '.', last_start); !why.empty())
      return concat("vtt: cue ", number, ": ", why);
    ++number;
    while (!text.empty() && !trim(next_line(text)).empty()) {
    }
  }
  return {};
}

std::unique_ptr<Judge> make_audio_judge(AudioFormat format, const std::vector<double>& seconds) {
  return std::make_unique<AudioJudge>(format, seconds);
}

}  // namespace sis::perf
