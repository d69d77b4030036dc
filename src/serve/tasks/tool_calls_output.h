// What the parsers of all forms of tool calls share: the calls as they are reported, and the search
// for the beginning of one in running text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "serve/tasks/tool_calls.h"

namespace sis::tasks {

// Calls on their way into a delta.
class ToolCallOutput {
 public:
  ToolCallOutput(const ToolCallOptions& options, const std::vector<Tool>& tools)
      : options_(options), tools_(tools), rng_(options.id_seed) {}

  void fill(Delta& delta) { delta_ = &delta; }  // what follows goes there

  const Tool* find(std::string_view name) const;  // null: no tool of the request
  void content(std::string_view text);
  void begin(std::string_view name);
  void arguments(std::string_view text);
  void end() { done_ = !options_.parallel; }

  int32_t calls() const { return calls_; }
  bool done() const { return done_ || (options_.stop != nullptr && options_.stop->stopped()); }

 private:
  std::string make_id();

  const ToolCallOptions options_;
  const std::vector<Tool>& tools_;
  Rng rng_;
  Delta* delta_ = nullptr;
  int32_t calls_ = 0;
  bool done_ = false;
};

// Looks for the first of some markers, byte by byte, and holds back what may be the beginning of
// one, together with the white space in front of it.
class MarkerSearch {
 public:
  MarkerSearch(std::vector<std::string_view> markers, bool expected)
      : markers_(std::move(markers)), expected_(expected) {}

  // Behind a call, and where the answer must be calls, what looks like a marker is one.
  void expect(bool expected) { expected_ = expected; }
  bool expected() const { return expected_; }  // and there was no other text since

  // The index of the marker that `c` completes, or -1. What is no part of one goes to `text`.
  int push(char c, std::string& text);
  // The end of the text: what is held is text, too, unless a marker is expected or half of one is
  // there.
  void flush(std::string& text);
  // After a marker was found: the white space and the marker. Held no longer.
  std::string take();
  size_t held() const { return space_.size() + begun_.size(); }

 private:
  bool may_begin() const;

  const std::vector<std::string_view> markers_;
  std::string space_, begun_;
  bool expected_;
};

bool is_call_space(char c);  // the white space of JSON

std::unique_ptr<ToolCallParser> make_json_calls(const ToolCallOptions& options,
                                                const std::vector<Tool>& tools);
std::unique_ptr<ToolCallParser> make_python_calls(const ToolCallOptions& options,
                                                  const std::vector<Tool>& tools);
std::unique_ptr<ToolCallParser> make_xml_calls(const ToolCallOptions& options,
                                               const std::vector<Tool>& tools);

}  // namespace sis::tasks
