// Files of NAME=VALUE lines, as `.env` files are written for shells and containers.
//
//   # comment                    whole line
//   export NAME=value # comment  `export` is dropped; a comment after an unquoted value wants a
//   blank before '#' NAME='as it stands'          escapes: \\ and \' only NAME="a\tb" escapes: \n
//   \r \t \\ \" \' \$ ; anything else stays as written
// Quoted values may run over several lines. Nothing is expanded. A name alone on its line sets
// nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis {

struct DotenvEntry {
  std::string name;
  std::string value;
  int line = 0;  // of the name, from 1
};

inline constexpr int64_t kDotenvBytesMax = 1 << 20;

// In file order, repeated names included. `origin` ("env") starts the message of an error: "env
// line 3: ...".
Result<std::vector<DotenvEntry>> parse_dotenv(std::string_view text, std::string_view origin);

// The same from a file. A path where no regular file is (a folder called `env`, say) has no
// entries.
Result<std::vector<DotenvEntry>> read_dotenv(const std::string& path, std::string_view origin);

}  // namespace sis
