// Command-line arguments to setting assignments; the other half of settings.h.
#include <algorithm>

#include "base/settings.h"
#include "base/strings.h"

namespace sis {
namespace {

// Least number of inserted, deleted, replaced or swapped neighbouring bytes (optimal string
// alignment).
int edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> cost(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = static_cast<int>(i + j);
        continue;
      }
      cost[i][j] = std::min(
          {cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

Error wrong(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }

class FlagParser {
 public:
  FlagParser(const SettingTable& table, const std::vector<std::string>& arguments,
             const std::vector<std::string_view>& own_flags)
      : table_(table), arguments_(arguments), own_flags_(own_flags) {}

  Result<ParsedFlags> run() {
    for (; at_ < arguments_.size(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument == "--") {
        out_.rest.insert(out_.rest.end(), arguments_.begin() + static_cast<int64_t>(at_) + 1,
                         arguments_.end());
        break;
      }
      if (argument.size() < 2 || argument[0] != '-') {
        out_.rest.push_back(argument);
        continue;
      }
      SIS_TRY(take_flag(argument));
    }
    return std::move(out_);
  }

 private:
  Status take_flag(const std::string& argument) {
    const size_t equals = argument.find('=');
    const std::string head = argument.substr(0, equals);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = argument.substr(equals + 1);

    for (const auto own : own_flags_) {
      if (own == head && !value) {
        out_.rest.push_back(head);
        return {};
      }
      if (own.back() == '=' && own.substr(0, own.size() - 1) == head) {
        SIS_ASSIGN(const std::string text, value_of(head, value));
        out_.rest.push_back(concat(head, "=", text));
        return {};
      }
    }
    if (head.size() < 3 || head[1] != '-')
      return wrong(concat("no flag ", in_quotes(head), "; flags start with two dashes"));
    const std::string_view name = std::string_view(head).substr(2);
    if (name == "set") return take_set(value);

    if (const int row = table_.find_flag(name); row >= 0) return take_setting(row, head, value);
    if (name.starts_with("no-") || name.starts_with("no_"))
      if (const int row = table_.find_flag(name.substr(3));
          row >= 0 && table_.rows()[row].type == SettingType::kBool) {
        if (value) return wrong(concat(head, ": takes no value"));
        out_.assignments.push_back({table_.rows()[row].name, "0", "command line"});
        return {};
      }
    return unknown(head, name);
  }

  Status take_setting(int row, const std::string& head, std::optional<std::string> value) {
    const SettingDef& def = table_.rows()[row];
    // A bool may stand alone; a boolean word after it is its value.
    if (!value && def.type == SettingType::kBool) {
      const bool word_follows =
          at_ + 1 < arguments_.size() && parse_bool_word(arguments_[at_ + 1]).has_value();
      value = word_follows ? arguments_[++at_] : std::string("1");
    }
    SIS_ASSIGN(std::string text, value_of(head, value));
    out_.assignments.push_back({def.name, std::move(text), "command line"});
    return {};
  }

  Status take_set(const std::optional<std::string>& value) {
    SIS_ASSIGN(const std::string text, value_of("--set", value));
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return wrong(concat("--set: want NAME=VALUE, got ", in_quotes(text)));
    const std::string name(trim(std::string_view(text).substr(0, equals)));
    const int row = table_.find(name);
    if (row < 0) return unknown("--set " + name, name);
    out_.assignments.push_back({table_.rows()[row].name, text.substr(equals + 1), "command line"});
    return {};
  }

  Result<std::string> value_of(const std::string& head, const std::optional<std::string>& value) {
    if (value) return *value;
    // "-1" is a value, "--other" is not.
    if (at_ + 1 >= arguments_.size() || arguments_[at_ + 1].starts_with("--"))
      return wrong(concat(head, ": wants a value"));
    return arguments_[++at_];
  }

  Error unknown(const std::string& shown, std::string_view name) const {
    std::string nearest = table_.nearest_flag(name);
    if (!nearest.empty()) nearest = "--" + nearest;
    for (const auto own : own_flags_) {
      const auto bare = own.substr(0, own.find('='));
      if (nearest.empty() && edit_distance(bare, concat("--", name.substr(0, 64))) <= 2)
        nearest = bare;
    }
    return wrong(concat("no flag ", in_quotes(shown),
                        nearest.empty() ? std::string("; `sis settings` lists all settings")
                                        : concat("; did you mean ", nearest, "?")));
  }

  const SettingTable& table_;
  const std::vector<std::string>& arguments_;
  const std::vector<std::string_view>& own_flags_;
  size_t at_ = 0;
  ParsedFlags out_;
};

}  // namespace

std::string SettingTable::nearest_flag(std::string_view flag) const {
  const std::string wanted = setting_flag(flag.substr(0, 64));
  // Also "batch-window" for "embedding-batch-window-ms" style slips: one edit per four bytes, at
  // least two.
  int best = std::max<int>(2, static_cast<int>(wanted.size()) / 4) + 1;
  std::string nearest;
  for (const auto& [known, row] : by_flag_)
    if (const int distance = edit_distance(wanted, known); distance < best) {
      best = distance;
      nearest = known;
    }
  return nearest;
}

Result<ParsedFlags> parse_setting_flags(const SettingTable& table,
                                        const std::vector<std::string>& arguments,
                                        const std::vector<std::string_view>& own_flags) {
  return FlagParser(table, arguments, own_flags).run();
}

}  // namespace sis
