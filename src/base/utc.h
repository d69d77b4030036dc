// Wall-clock time as people and files write it.
#pragma once

#include <cstdint>
#include <string>

namespace sis {

std::string utc_text(int64_t unix_seconds);  // "2026-01-31T12:00:00Z"
std::string utc_now();

}  // namespace sis
