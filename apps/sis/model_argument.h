// What --model means to the offline commands: a checkpoint folder, or the name of a demo model.
#pragma once

#include <string>

#include "base/result.h"

namespace sis::apps {

Result<std::string> folder_of_model(const std::string& model);

}  // namespace sis::apps
