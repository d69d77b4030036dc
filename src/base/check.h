// For what only our own mistake can cause: stops the process and says where and with which values.
#pragma once

#include <string>

#include "base/strings.h"

namespace sis {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& details);

}  // namespace sis

// SIS_CHECK(rows == y.rows, "rows=", rows, " y.rows=", y.rows);
#define SIS_CHECK(condition, ...)                                                      \
  do {                                                                                 \
    if (!(condition)) [[unlikely]]                                                     \
      ::sis::check_failed(__FILE__, __LINE__, #condition, ::sis::concat(__VA_ARGS__)); \
  } while (0)
