// Files that are either whole or not there.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::perf {

// Puts `content` at `path`: into a new file beside it that then takes its name, so that a reader
// never sees half of it and what was there stays when the disk is full. A link keeps pointing where
// it points; what is no regular file (a pipe, /dev/stdout) is written to directly. The message
// names the path and the reason.
Status write_file(const std::string& path, std::string_view content);

// Whether write_file() could begin now, with its message if not: for commands that have a long way
// to go before they write. Leaves no file and changes none; what is no regular file is not opened,
// because a reader of a pipe would take that for the end.
Status check_writable(const std::string& path);

}  // namespace sis::perf
