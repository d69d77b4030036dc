#include "serve/tasks/stop_text.h"

#include <algorithm>

namespace sis::tasks {

StopText::StopText(const std::vector<std::string>& stops) {
  for (const auto& stop : stops) {
    if (stop.empty()) continue;
    Pattern& pattern = patterns_.emplace_back(Pattern{stop, std::vector<size_t>(stop.size(), 0)});
    for (size_t i = 1, length = 0; i < stop.size(); ++i) {
      while (length > 0 && stop[i] != stop[length]) length = pattern.border[length - 1];
      if (stop[i] == stop[length]) ++length;
      pattern.border[i] = length;
    }
  }
}

bool StopText::push(std::string_view text, std::string& out) {
  if (stopped_) {
    dropped_ += text.size();
    return true;
  }
  if (asleep_ || patterns_.empty()) {
    out += text;
    return false;
  }
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    held_ += c;
    size_t begun = 0, complete = 0;
    for (auto& pattern : patterns_) {
      size_t& matched = pattern.matched;
      while (matched > 0 && pattern.text[matched] != c) matched = pattern.border[matched - 1];
      if (pattern.text[matched] == c) ++matched;
      if (matched == pattern.text.size()) {
        complete = std::max(complete, matched);
        matched = pattern.border[matched - 1];
      }
      begun = std::max(begun, matched);
    }
    if (complete > 0) {
      out.append(held_, 0, held_.size() - complete);
      held_.clear();
      dropped_ = complete + text.size() - at - 1;
      return stopped_ = true;
    }
    if (begun == 0) {
      out += held_;
      held_.clear();
    } else if (begun < held_.size()) {
      out.append(held_, 0, held_.size() - begun);
      held_.erase(0, held_.size() - begun);
    }
  }
  return false;
}

void StopText::flush(std::string& out) {
  out += held_;
  held_.clear();
  for (auto& pattern : patterns_) pattern.matched = 0;
}

}  // namespace sis::tasks
