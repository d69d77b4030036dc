// Post-processors: special tokens around the text, and offsets without white space.
//
// One class and one row in post_processor.cc each. Const after making; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "infer/text/tokenizer/registry.h"

namespace sis::text::tok {

// Tokens of one sequence, or a few special ones, on the way to an Encoding.
struct TokenRun {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;
  // Empty unless asked for.
  std::vector<std::pair<int32_t, int32_t>> offsets;
  // The text of each token and the input the offsets point into, when a post-processor wants them.
  std::vector<std::string> values;
  std::string input;
};

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  // Special tokens that process() will add for one sequence or two.
  virtual int32_t added_tokens(bool pair) const = 0;
  // Changes the runs, one per sequence at first; in the end all runs are put one after another.
  virtual void process(std::vector<TokenRun>& runs, bool add_special_tokens,
                       bool with_offsets) const = 0;
  // True when process() reads TokenRun::values.
  virtual bool needs_values() const { return false; }
};

// From the object under "post_processor".
Result<std::unique_ptr<PostProcessor>> make_post_processor(const JsonObject& config);

Result<std::unique_ptr<PostProcessor>> make_template_processing(const JsonObject& config);

// Takes white space (and byte-level's U+0120) at the ends of tokens out of their offsets. A single
// leading space of the first token stays when it is the one that `add_prefix_space` put there.
void trim_offsets(TokenRun& run, bool add_prefix_space);

}  // namespace sis::text::tok
