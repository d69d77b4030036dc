#include "infer/text/selftest.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "infer/text/chat_template/chat_request.h"
#include "infer/text/chat_template/json_text.h"

namespace sis::text {
namespace {

using tmpl::Kind;
using tmpl::Value;

constexpr const char* kFileName = "sis-selftest.json";
constexpr uintmax_t kFileBytesMax = 64u << 20;
constexpr size_t kFailuresKept = 5;
constexpr size_t kShownBytes = 120;

Error wrong(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

std::string shown(std::string_view text) {
  if (text.size() <= kShownBytes) return in_quotes(text);
  size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return concat(in_quotes(text.substr(0, end)), "... (", text.size(), " bytes)");
}

std::string shown(const std::vector<int32_t>& ids) {
  std::string out = "[";
  for (size_t i = 0; i < ids.size() && out.size() < kShownBytes; ++i)
    out += concat(i > 0 ? " " : "", ids[i]);
  return concat(out, out.size() < kShownBytes ? "]" : " ...]", " (", ids.size(), ")");
}

// The first place where two texts part, with a little of what is there.
std::string first_difference(std::string_view want, std::string_view got) {
  size_t at = 0;
  while (at < want.size() && at < got.size() && want[at] == got[at]) ++at;
  while (at > 0 && at < want.size() && (static_cast<unsigned char>(want[at]) & 0xC0) == 0x80) --at;
  const size_t from = std::min({at, want.size(), got.size()});
  return concat("from byte ", from, " want ", shown(want.substr(from)), ", got ",
                shown(got.substr(from)));
}

class Checker {
 public:
  Checker(const Tokenizer& tokenizer, const ChatTemplates* templates)
      : tokenizer_(tokenizer), templates_(templates) {}

  Status run(const Value& document) {
    if (!document.is(Kind::kDict)) return wrong("want a JSON object");
    SIS_TRY(read_clock(document));
    SIS_TRY(each(document, "texts", [&](const Value& item) { return text(item); }));
    SIS_TRY(each(document, "pairs", [&](const Value& item) { return pair(item); }));
    return each(document, "conversations", [&](const Value& item) { return conversation(item); });
  }
  SelftestReport report;

 private:
  template <class Fn>
  Status each(const Value& document, const char* key, Fn&& fn) {
    const Value* list = document.as_dict().find(key);
    if (list == nullptr || list->is(Kind::kNone)) return {};
    if (!list->is(Kind::kList)) return wrong(concat(key, ": want an array"));
    for (size_t i = 0; i < list->items().size(); ++i) {
      at_ = concat(key, "[", i, "]");
      if (!list->items()[i].is(Kind::kDict)) return wrong(concat(at_, ": want an object"));
      good_ = true;
      SIS_TRY(fn(list->items()[i]));
      if (!good_) ++report.failed;
    }
    return {};
  }

  Status read_clock(const Value& document) {
    SIS_ASSIGN(const auto now, ids_of(document, "now"));
    if (!now) return {};
    constexpr int32_t kEnds[] = {10'000, 13, 32, 24, 60, 61};
    if (now->size() != 6) return wrong("now: want [year, month, day, hour, minute, second]");
    for (size_t i = 0; i < 6; ++i)
      if ((*now)[i] >= kEnds[i]) return wrong(concat("now[", i, "]: ", (*now)[i], " is too much"));
    tmpl::LocalTime clock;
    clock.time = {.tm_sec = (*now)[5],
                  .tm_min = (*now)[4],
                  .tm_hour = (*now)[3],
                  .tm_mday = (*now)[2],
                  .tm_mon = (*now)[1] - 1,
                  .tm_year = (*now)[0] - 1900,
                  .tm_isdst = -1};
    std::mktime(&clock.time);  // the day of the week
    options_.now = [clock] { return clock; };
    return {};
  }

  void fail(std::string message) {
    good_ = false;
    if (report.failures.size() < kFailuresKept)
      report.failures.push_back(concat(at_, ": ", message));
  }

  Result<std::string> string_of(const Value& item, const char* key) const {
    const Value* value = item.as_dict().find(key);
    if (value == nullptr || !value->is_string())
      return wrong(concat(at_, ".", key, ": want a string"));
    return std::string(value->text());
  }

  // Nothing when the member is absent.
  Result<std::optional<std::vector<int32_t>>> ids_of(const Value& item, const char* key) const {
    const Value* value = item.as_dict().find(key);
    if (value == nullptr) return std::optional<std::vector<int32_t>>();
    if (!value->is(Kind::kList)) return wrong(concat(at_, ".", key, ": want an array of ids"));
    std::vector<int32_t> ids;
    for (const Value& id : value->items()) {
      if (!id.is(Kind::kInt) || id.as_int() < 0 || id.as_int() > INT32_MAX)
        return wrong(concat(at_, ".", key, ": want whole numbers from 0"));
      ids.push_back(static_cast<int32_t>(id.as_int()));
    }
    return std::optional(std::move(ids));
  }

  void compare(const char* key, std::string_view input, const std::vector<int32_t>& want,
               const std::vector<int32_t>& got) {
    if (got != want)
      fail(concat(key, " of ", shown(input), ": want ", shown(want), ", got ", shown(got)));
  }

  Status text(const Value& item) {
    ++report.texts;
    SIS_ASSIGN(const std::string input, string_of(item, "text"));
    SIS_ASSIGN(const auto ids, ids_of(item, "ids"));
    SIS_ASSIGN(const auto plain, ids_of(item, "ids_plain"));
    SIS_ASSIGN(const auto offsets, ids_of(item, "offsets"));
    if (ids) {
      const Encoding got = tokenizer_.encode(input, {.with_offsets = offsets.has_value()});
      compare("ids", input, *ids, got.ids);
      if (offsets) {
        std::vector<int32_t> flat;
        for (const auto& [begin, end] : got.offsets) flat.insert(flat.end(), {begin, end});
        compare("offsets", input, *offsets, flat);
      }
    }
    if (plain)
      compare("ids_plain", input, *plain,
              tokenizer_.encode(input, {.add_special_tokens = false}).ids);
    if (ids && item.as_dict().find("decoded") != nullptr) {
      SIS_ASSIGN(const std::string decoded, string_of(item, "decoded"));
      const std::string got = tokenizer_.decode(*ids, /*skip_special_tokens=*/true);
      if (got != decoded)
        fail(concat("decoded of ", shown(*ids), ": ", first_difference(decoded, got)));
    }
    return {};
  }

  Status pair(const Value& item) {
    ++report.texts;
    SIS_ASSIGN(const std::string first, string_of(item, "first"));
    SIS_ASSIGN(const std::string second, string_of(item, "second"));
    SIS_ASSIGN(const auto ids, ids_of(item, "ids"));
    if (ids)
      compare("ids", concat(first, " + ", second), *ids,
              tokenizer_.encode_pair(first, second, {}).ids);
    return {};
  }

  Status conversation(const Value& item) {
    ++report.conversations;
    ChatRequest request;
    const auto& fields = item.as_dict();
    const auto take = [&](const char* key, Value& to) {
      if (const Value* value = fields.find(key); value != nullptr) to = *value;
    };
    take("messages", request.messages);
    take("tools", request.tools);
    take("documents", request.documents);
    take("variables", request.variables);
    if (!request.messages.is(Kind::kList) || !request.variables.is(Kind::kDict))
      return wrong(concat(at_, ": want messages (an array) and variables (an object)"));
    const auto flag = [&](const char* key) {
      const Value* value = fields.find(key);
      return value != nullptr && value->is(Kind::kBool) && value->as_bool();
    };
    request.add_generation_prompt = flag("add_generation_prompt");
    if (flag("continue_final_message")) request.continue_final_message = "content";
    if (templates_ == nullptr) {
      fail("the checkpoint has no chat template");
      return {};
    }
    const auto prompt = apply_chat_template(*templates_, request, options_);
    if (flag("error")) {
      if (prompt.ok()) fail(concat("want an error, got ", shown(*prompt)));
      return {};
    }
    SIS_ASSIGN(const std::string want, string_of(item, "prompt"));
    if (!prompt.ok())
      fail(concat("the template ended with: ", prompt.error().message));
    else if (*prompt != want)
      fail(concat("prompt ", first_difference(want, *prompt)));
    return {};
  }

  const Tokenizer& tokenizer_;
  const ChatTemplates* templates_;
  RenderOptions options_;
  std::string at_;  // the item being compared
  bool good_ = true;
};

}  // namespace

Result<std::optional<SelftestReport>> run_selftest(const std::string& folder,
                                                   const Tokenizer& tokenizer,
                                                   const ChatTemplates* templates) {
  const auto path = std::filesystem::path(folder) / kFileName;
  const auto content = read_file(path, kFileBytesMax);
  if (!content.ok()) {
    if (content.error().code == Code::kNotFound) return std::optional<SelftestReport>();
    return content.error();
  }
  auto document = tmpl::from_json(*content, path.string());
  if (!document.ok()) return std::move(document).error();
  Checker checker(tokenizer, templates);
  if (auto status = checker.run(*document); !status.ok())
    return prefixed(path.string(), std::move(status).error());
  return std::optional(std::move(checker.report));
}

}  // namespace sis::text
