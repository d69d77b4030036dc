// The text side of a checkpoint: its chat templates, and the self-test that proves tokenizer and
// templates right before they serve anybody.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "infer/text/chat_template/chat_template_files.h"
#include "infer/text/tokenizer/tokenizer.h"
#include "telemetry/log.h"

namespace sis::server {

// Nothing where the folder has no template.
Result<std::optional<text::ChatTemplates>> load_templates(const std::string& folder);

// Runs the folder's sis-selftest.json, if there is one, by `mode`: "strict" refuses a model that
// differs from it (kInvalidArgument with the first difference), "warn" logs, "off" does not look.
Status check_selftest(const std::string& mode, const std::string& model, const std::string& folder,
                      const text::Tokenizer& tokenizer, const text::ChatTemplates* templates,
                      const telemetry::Logger& log);

}  // namespace sis::server
