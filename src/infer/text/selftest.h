// The check a checkpoint folder may carry: texts with their token ids and conversations with their
// prompts, as the original tokenizer made them (tools/make_selftest.py writes the file).
//
//   sis-selftest.json
//     {"now": [year, month, day, hour, minute, second],
//      "texts": [{"text", "ids", "offsets", "ids_plain", "decoded"}],
//      "pairs": [{"first", "second", "ids"}],
//      "conversations": [{"messages", "tools", "variables", "add_generation_prompt",
//                         "continue_final_message", "prompt"}]}
//
// "ids" hold the special tokens, "ids_plain" do not; "offsets" are the bytes [begin, end, begin,
// ...] of "ids"; "decoded" is the text of "ids" without special tokens. "now" is the clock that
// templates see. All lists and all fields beside the inputs are optional; a conversation with
// "error": true must be refused.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "infer/text/chat_template/chat_template_files.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace sis::text {

struct SelftestReport {
  int texts = 0, conversations = 0;   // compared
  int failed = 0;                     // of them
  std::vector<std::string> failures;  // the first few, each with input, expected and found
};

// Nothing when the folder has no such file; kInvalidArgument when it cannot be read as one.
// `templates` may be null; conversations then fail.
Result<std::optional<SelftestReport>> run_selftest(const std::string& folder,
                                                   const Tokenizer& tokenizer,
                                                   const ChatTemplates* templates);

}  // namespace sis::text
