#include "serve/server/text_loader.h"

#include "base/strings.h"
#include "infer/text/selftest.h"

namespace sis::server {

Result<std::optional<text::ChatTemplates>> load_templates(const std::string& folder) {
  auto templates = text::ChatTemplates::from_folder(folder);
  if (templates.ok()) return std::optional(std::move(*templates));
  if (templates.error().code == Code::kNotFound) return std::optional<text::ChatTemplates>();
  return prefixed(folder, std::move(templates).error());
}

Status check_selftest(const std::string& mode, const std::string& model, const std::string& folder,
                      const text::Tokenizer& tokenizer, const text::ChatTemplates* templates,
                      const telemetry::Logger& log) {
  if (mode == "off") return {};
  SIS_ASSIGN(const auto report, text::run_selftest(folder, tokenizer, templates));
  if (!report) return {};
  if (report->failed == 0) {
    log.info(
        "selftest_ok",
        {{"model", model}, {"texts", report->texts}, {"conversations", report->conversations}});
    return {};
  }
  for (const auto& failure : report->failures)
    log.error("selftest_failed", {{"model", model}, {"reason", failure}});
  const std::string summary =
      concat("model ", in_quotes(model), ": self-test: ", report->failed, " of ",
             report->texts + report->conversations, " differ from ", folder,
             "/sis-selftest.json, first ", report->failures.front());
  if (mode == "warn") {
    log.warning("selftest", {{"model", model}, {"summary", summary}});
    return {};
  }
  return Error{Code::kInvalidArgument, concat(summary, " (SELFTEST=warn serves it nevertheless)")};
}

}  // namespace sis::server
