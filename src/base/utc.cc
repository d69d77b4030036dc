#include "base/utc.h"

#include <ctime>

namespace sis {

std::string utc_text(int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm parts = {};
  gmtime_r(&time, &parts);
  char text[40];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

std::string utc_now() { return utc_text(std::time(nullptr)); }

}  // namespace sis
