// The settings that `/health` and the start-up log show, under the names clients of the reference
// server know.
#pragma once

#include <nlohmann/json.hpp>

#include "base/settings.h"

namespace sis::server {

nlohmann::json runtime_config(const Settings& settings);

}  // namespace sis::server
