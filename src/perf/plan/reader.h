// Reads one mapping of a plan key by key, so that every complaint names the file, the line and the
// path of the value, what was wanted and what was found.
//
// Keys may be written as in k6 (startTime) or with underscores (start_time). Every key must be
// asked for: finish() complains about what nobody wanted. After the first error the getters return
// their defaults and the error stays, so that a whole mapping is read in one straight line of code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/yaml_tree.h"

namespace sis::perf {

// "plan.yaml line 7: scenarios.load.vus: want a whole number 1..20000, got 'many'"
Error plan_error(std::string_view origin, const YamlTree& at, std::string_view path,
                 std::string_view what);
// "a list of 3 values", "'text'", "nothing"
std::string found_text(const YamlTree& tree);

// "10", "10s", "1m30s", "2h", "500ms": k6's and our own way to write a time; a bare number is
// seconds.
std::optional<Duration> parse_plan_time(std::string_view text);

class PlanReader {
 public:
  // `tree` and `origin` must outlive the reader.
  PlanReader(std::string_view origin, const YamlTree& tree, std::string path);

  // `key` is given with underscores. nullptr when absent or null.
  const YamlTree* find(std::string_view key);
  bool has(std::string_view key) { return find(key) != nullptr; }

  std::string text(std::string_view key, std::string fallback = {});
  int64_t integer(std::string_view key, int64_t fallback, int64_t low, int64_t high);
  double number(std::string_view key, double fallback, double low, double high);
  bool flag(std::string_view key, bool fallback);
  Duration time(std::string_view key, Duration fallback, Duration low, Duration high);
  std::string choice(std::string_view key, std::string fallback,
                     const std::vector<std::string>& choices);
  // Name -> scalar, in file order.
  std::vector<std::pair<std::string, std::string>> pairs(std::string_view key, size_t most);
  // A scalar or a list of them.
  std::vector<std::string> texts(std::string_view key, size_t most);

  void require(std::string_view key);
  // The first complaint, or that of a key nobody asked for.
  Status finish();

  std::string path_of(std::string_view key) const;
  const std::string& path() const { return path_; }
  std::string_view origin() const { return origin_; }
  const YamlTree& tree() const { return tree_; }
  bool failed() const { return !status_.ok(); }
  void fail(std::string_view key, std::string_view what);  // at the value of `key`
  void fail(Error error);

 private:
  const YamlTree* scalar(std::string_view key, std::string_view wanted);

  std::string_view origin_;
  const YamlTree& tree_;
  std::string path_;
  std::vector<std::string> known_;  // keys that were asked for
  Status status_;
};

}  // namespace sis::perf
