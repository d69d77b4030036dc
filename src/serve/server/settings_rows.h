// The rows of the settings table, group by group; read through settings_table.h.
#pragma once

#include <vector>

#include "base/settings.h"

namespace sis::server {

std::vector<SettingDef> settings_rows();

}  // namespace sis::server
