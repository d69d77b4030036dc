#include "perf/plan/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "perf/bench/flags.h"

namespace sis::perf {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// startTime, preAllocatedVUs -> start_time, pre_allocated_vus
std::string with_underscores(std::string_view key) {
  std::string out;
  for (size_t i = 0; i < key.size(); ++i) {
    if (!is_upper(key[i])) {
      out += key[i];
      continue;
    }
    if (i > 0 && !is_upper(key[i - 1]) && key[i - 1] != '_') out += '_';
    out += static_cast<char>(key[i] - 'A' + 'a');
  }
  return out;
}

std::string shown_time(Duration time) { return duration_text(time); }

}  // namespace

Error plan_error(std::string_view origin, const YamlTree& at, std::string_view path,
                 std::string_view what) {
  std::string message(origin);
  if (at.line > 0) message += concat(" line ", at.line);
  message += ": ";
  if (!path.empty()) message += concat(path, ": ");
  message += what;
  return Error{Code::kInvalidArgument, std::move(message)};
}

std::string found_text(const YamlTree& tree) {
  switch (tree.kind) {
    case YamlTree::Kind::kNull:
      return "nothing";
    case YamlTree::Kind::kScalar:
      return in_quotes(tree.scalar);
    case YamlTree::Kind::kList:
      return concat("a list of ", tree.items.size(), tree.items.size() == 1 ? " value" : " values");
    case YamlTree::Kind::kMap:
      return concat("a mapping of ", tree.members.size(),
                    tree.members.size() == 1 ? " key" : " keys");
  }
  return "something else";
}

std::optional<Duration> parse_plan_time(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Duration sum{};
  while (!text.empty()) {
    size_t i = 0;
    while (i < text.size() && ((text[i] >= '0' && text[i] <= '9') || text[i] == '.')) ++i;
    size_t end = i;
    while (end < text.size() && text[end] >= 'a' && text[end] <= 'z') ++end;
    if (i == 0) return std::nullopt;
    const auto part = parse_duration(text.substr(0, end));
    // parse_duration takes a bare number for seconds; behind another part it means nothing.
    if (!part || (end == i && (sum > Duration{} || end != text.size()))) return std::nullopt;
    sum += *part;
    text.remove_prefix(end);
    if (sum > from_seconds(1e8)) return std::nullopt;
  }
  return sum;
}

PlanReader::PlanReader(std::string_view origin, const YamlTree& tree, std::string path)
    : origin_(origin), tree_(tree), path_(std::move(path)) {
  if (tree_.kind != YamlTree::Kind::kMap && tree_.kind != YamlTree::Kind::kNull)
    fail(plan_error(origin_, tree_, path_, concat("want a mapping, got ", found_text(tree_))));
}

std::string PlanReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : concat(path_, ".", key);
}

const YamlTree* PlanReader::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  const YamlTree* found = nullptr;
  for (const auto& member : tree_.members) {
    if (with_underscores(member.key) != key) continue;
    if (found != nullptr)
      fail(plan_error(origin_, member.value, path_of(member.key), "the same key came before"));
    found = &member.value;
  }
  return found != nullptr && found->kind != YamlTree::Kind::kNull ? found : nullptr;
}

void PlanReader::fail(Error error) {
  if (status_.ok()) status_ = std::move(error);
}

void PlanReader::fail(std::string_view key, std::string_view what) {
  const YamlTree* value = find(key);
  fail(plan_error(origin_, value != nullptr ? *value : tree_, path_of(key), what));
}

const YamlTree* PlanReader::scalar(std::string_view key, std::string_view wanted) {
  const YamlTree* value = find(key);
  if (value == nullptr || failed()) return nullptr;
  if (value->kind == YamlTree::Kind::kScalar) return value;
  fail(key, concat("want ", wanted, ", got ", found_text(*value)));
  return nullptr;
}

std::string PlanReader::text(std::string_view key, std::string fallback) {
  const YamlTree* value = scalar(key, "text");
  return value != nullptr ? value->scalar : std::move(fallback);
}

int64_t PlanReader::integer(std::string_view key, int64_t fallback, int64_t low, int64_t high) {
  const std::string wanted = concat("a whole number ", low, "..", high);
  const YamlTree* value = scalar(key, wanted);
  if (value == nullptr) return fallback;
  const auto parsed = parse_int(value->scalar);
  if (parsed && *parsed >= low && *parsed <= high) return *parsed;
  fail(key, concat("want ", wanted, ", got ", found_text(*value)));
  return fallback;
}

double PlanReader::number(std::string_view key, double fallback, double low, double high) {
  const std::string wanted = fmt::format("a number {}..{}", low, high);
  const YamlTree* value = scalar(key, wanted);
  if (value == nullptr) return fallback;
  const auto parsed = parse_double(value->scalar);
  if (parsed && *parsed >= low && *parsed <= high) return *parsed;
  fail(key, concat("want ", wanted, ", got ", found_text(*value)));
  return fallback;
}

bool PlanReader::flag(std::string_view key, bool fallback) {
  const YamlTree* value = scalar(key, "true or false");
  if (value == nullptr) return fallback;
  const auto parsed = parse_bool(value->scalar);
  if (!parsed) fail(key, concat("want true or false, got ", found_text(*value)));
  return parsed.value_or(fallback);
}

Duration PlanReader::time(std::string_view key, Duration fallback, Duration low, Duration high) {
  const std::string wanted = concat("a time ", shown_time(low), "..", shown_time(high),
                                    " like 30, 1.5s, 200ms, 2m or 1m30s");
  const YamlTree* value = scalar(key, wanted);
  if (value == nullptr) return fallback;
  const auto parsed = parse_plan_time(value->scalar);
  if (parsed && *parsed >= low && *parsed <= high) return *parsed;
  fail(key, concat("want ", wanted, ", got ", found_text(*value)));
  return fallback;
}

std::string PlanReader::choice(std::string_view key, std::string fallback,
                               const std::vector<std::string>& choices) {
  const std::string wanted = fmt::format("{}", fmt::join(choices, " or "));
  const YamlTree* value = scalar(key, wanted);
  if (value == nullptr) return fallback;
  if (std::find(choices.begin(), choices.end(), value->scalar) != choices.end())
    return value->scalar;
  fail(key, concat("want ", wanted, ", got ", found_text(*value)));
  return fallback;
}

std::vector<std::pair<std::string, std::string>> PlanReader::pairs(std::string_view key,
                                                                   size_t most) {
  std::vector<std::pair<std::string, std::string>> out;
  const YamlTree* value = find(key);
  if (value == nullptr || failed()) return out;
  if (value->kind != YamlTree::Kind::kMap || value->members.size() > most) {
    fail(key,
         concat("want a mapping of at most ", most, " names to texts, got ", found_text(*value)));
    return out;
  }
  for (const auto& member : value->members) {
    if (member.value.kind != YamlTree::Kind::kScalar) {
      fail(plan_error(origin_, member.value, concat(path_of(key), ".", member.key),
                      concat("want text, got ", found_text(member.value))));
      return out;
    }
    out.emplace_back(member.key, member.value.scalar);
  }
  return out;
}

std::vector<std::string> PlanReader::texts(std::string_view key, size_t most) {
  std::vector<std::string> out;
  const YamlTree* value = find(key);
  if (value == nullptr || failed()) return out;
  if (value->kind == YamlTree::Kind::kScalar) return {value->scalar};
  if (value->kind != YamlTree::Kind::kList || value->items.empty() || value->items.size() > most) {
    fail(key, concat("want a text or a list of 1..", most, " texts, got ", found_text(*value)));
    return out;
  }
  for (size_t i = 0; i < value->items.size(); ++i) {
    const YamlTree& item = value->items[i];
    if (item.kind != YamlTree::Kind::kScalar) {
      fail(plan_error(origin_, item, concat(path_of(key), "[", i, "]"),
                      concat("want text, got ", found_text(item))));
      return out;
    }
    out.push_back(item.scalar);
  }
  return out;
}

void PlanReader::require(std::string_view key) {
  if (!has(key))
    fail(plan_error(origin_, tree_, path_, concat("want a key ", in_quotes(key), " here")));
}

Status PlanReader::finish() {
  if (!status_.ok()) return status_;
  for (const auto& member : tree_.members) {
    const std::string key = with_underscores(member.key);
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    YamlTree at;
    at.line = member.line;
    return plan_error(origin_, at, path_of(member.key),
                      concat("unknown key; want one of ", join_list(known_)));
  }
  return {};
}

}  // namespace sis::perf
