#include "serve/tasks/tool_calls.h"

#include <algorithm>

#include "serve/tasks/tool_calls_output.h"

namespace sis::tasks {

ToolFormat detect_tool_format(std::string_view source) {
  const auto has = [source](std::string_view text) {
    return source.find(text) != std::string_view::npos;
  };
  if (has("<function=")) return ToolFormat::kXml;
  if (has("[TOOL_CALLS]")) return has("[ARGS]") ? ToolFormat::kMistralArgs : ToolFormat::kMistral;
  if (has("<|tool_call|>") || has("<|tool|>")) return ToolFormat::kPhi;
  if (has("<tool_call>")) return ToolFormat::kHermes;
  if (has("tool_code")) return ToolFormat::kToolCode;
  if (has("[func_name1(") || has("[func1(")) return ToolFormat::kPython;
  return ToolFormat::kLlama;
}

std::span<const std::string_view> tool_markers(ToolFormat format) {
  static constexpr std::string_view kTagged[] = {"<tool_call>", "</tool_call>"};
  static constexpr std::string_view kMistral[] = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"};
  static constexpr std::string_view kPhi[] = {"<|tool_call|>", "<|/tool_call|>"};
  static constexpr std::string_view kLlama[] = {"<|python_tag|>"};
  static constexpr std::string_view kPython[] = {"<|python_start|>", "<|python_end|>"};
  switch (format) {
    case ToolFormat::kHermes:
    case ToolFormat::kXml:
      return kTagged;
    case ToolFormat::kMistral:
    case ToolFormat::kMistralArgs:
      return kMistral;
    case ToolFormat::kPhi:
      return kPhi;
    case ToolFormat::kLlama:
      return kLlama;
    case ToolFormat::kPython:
      return kPython;
    case ToolFormat::kToolCode:
      return {};
  }
  return {};
}

std::unique_ptr<ToolCallParser> make_tool_call_parser(const ToolCallOptions& options,
                                                      const std::vector<Tool>& tools) {
  switch (options.format) {
    case ToolFormat::kHermes:
    case ToolFormat::kMistral:
    case ToolFormat::kMistralArgs:
    case ToolFormat::kPhi:
    case ToolFormat::kLlama:
      return make_json_calls(options, tools);
    case ToolFormat::kPython:
    case ToolFormat::kToolCode:
      return make_python_calls(options, tools);
    case ToolFormat::kXml:
      return make_xml_calls(options, tools);
  }
  return nullptr;
}

bool is_call_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

const Tool* ToolCallOutput::find(std::string_view name) const {
  const auto tool = std::find_if(tools_.begin(), tools_.end(),
                                 [name](const Tool& known) { return known.name == name; });
  return tool == tools_.end() ? nullptr : &*tool;
}

std::string ToolCallOutput::make_id() {
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  // Mistral's templates refuse any id that is not nine letters and digits.
  const bool mistral =
      options_.format == ToolFormat::kMistral || options_.format == ToolFormat::kMistralArgs;
  std::string id = mistral ? "" : "call_";
  for (int i = 0; i < (mistral ? 9 : 24); ++i) id += kLetters[rng_.below(kLetters.size())];
  return id;
}

void ToolCallOutput::content(std::string_view text) {
  if (options_.stop != nullptr)
    options_.stop->push(text, delta_->content);
  else
    delta_->content += text;
}

void ToolCallOutput::begin(std::string_view name) {
  if (options_.stop != nullptr)
    options_.stop->flush(delta_->content);  // no stop string spans a call
  delta_->tool_calls.push_back({.index = calls_++, .id = make_id(), .name = std::string(name)});
}

void ToolCallOutput::arguments(std::string_view text) {
  if (text.empty()) return;
  auto& pieces = delta_->tool_calls;
  if (pieces.empty() || pieces.back().index != calls_ - 1) pieces.push_back({.index = calls_ - 1});
  pieces.back().arguments += text;
}

bool MarkerSearch::may_begin() const {
  return std::any_of(markers_.begin(), markers_.end(),
                     [this](std::string_view marker) { return marker.starts_with(begun_); });
}

int MarkerSearch::push(char c, std::string& text) {
  if (begun_.empty() && is_call_space(c)) {
    space_ += c;
    return -1;
  }
  begun_ += c;
  const auto found = std::find(markers_.begin(), markers_.end(), begun_);
  if (found != markers_.end()) return static_cast<int>(found - markers_.begin());
  if (may_begin()) return -1;
  // What is held is no marker; one may still begin inside it.
  const std::string rest = begun_.substr(1);
  text += space_;
  text += begun_.front();
  space_.clear();
  begun_.clear();
  expected_ = false;
  for (const char again : rest) push(again, text);
  return -1;
}

void MarkerSearch::flush(std::string& text) {
  const bool half = std::any_of(markers_.begin(), markers_.end(), [this](std::string_view marker) {
    return marker.starts_with(begun_) && 2 * begun_.size() >= marker.size();
  });
  const std::string held = take();
  if (!expected_ && !half) text += held;
}

std::string MarkerSearch::take() {
  std::string taken = space_ + begun_;
  space_.clear();
  begun_.clear();
  return taken;
}

}  // namespace sis::tasks
