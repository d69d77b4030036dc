#include "perf/plan/task_parts.h"

#include <filesystem>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr size_t kTextsMax = 100000;

}  // namespace

std::string file_beside(std::string_view origin, const std::string& file) {
  const std::filesystem::path path(file);
  if (path.is_absolute()) return file;
  return (std::filesystem::path(origin).parent_path() / path).string();
}

Error need_model(const std::string& task) {
  return Error{
      Code::kInvalidArgument,
      concat("task ", in_quotes(task), ": want a model, here or as the environment's `model`")};
}

std::string api_prefix(const net::Url& url) {
  std::string_view path = std::string_view(url.target).substr(0, url.target.find('?'));
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.ends_with("/v1") ? "" : "/v1";
}

net::Url without_v1(net::Url url) {
  if (api_prefix(url).empty())
    url.target.resize(url.target.substr(0, url.target.find('?')).rfind("/v1"));
  return url;
}

TaskTexts read_texts(PlanReader& reader, const std::string& noun, const std::string& fallback) {
  TaskTexts out;
  const std::string plural =
      noun.ends_with('y') ? noun.substr(0, noun.size() - 1) + "ies" : noun + "s";
  out.texts = reader.texts(noun, kTextsMax);
  if (auto more = reader.texts(plural, kTextsMax); !more.empty()) out.texts = std::move(more);
  const std::string file = reader.text("file"), lengths = reader.text("lengths");
  out.distinct = reader.flag("distinct", false);
  const int sources = (reader.has(noun) ? 1 : 0) + (reader.has(plural) ? 1 : 0) +
                      (file.empty() ? 0 : 1) + (lengths.empty() ? 0 : 1);
  if (sources > 1)
    reader.fail(noun, concat("want only one of ", noun, ", ", plural, ", file and lengths"));
  if (reader.failed()) return out;
  if (!file.empty()) {
    auto lines = read_lines(file_beside(reader.origin(), file));
    if (lines.ok())
      out.texts = std::move(*lines);
    else
      reader.fail("file", lines.error().message);
  } else if (!lengths.empty()) {
    auto spec = LengthSpec::parse(lengths);
    if (spec.ok())
      out.lengths = *spec;
    else
      reader.fail("lengths", spec.error().message);
  }
  if (out.texts.empty() && !out.lengths) out.texts = {fallback};
  return out;
}

}  // namespace sis::perf
