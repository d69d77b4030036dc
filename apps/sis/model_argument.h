// What the offline commands' --model and --isa mean.
#pragma once

#include <string>

#include "base/result.h"
#include "infer/kernels/isa.h"

namespace sis::apps {

// A checkpoint folder, or the name of a demo model.
Result<std::string> folder_of_model(const std::string& model);
// "auto" or a level that this machine has.
Result<Isa> isa_of_argument(const std::string& word);

}  // namespace sis::apps
