#include "model_argument.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "serve/server/catalog.h"
#include "serve/server/model_folder.h"

namespace sis::apps {

Result<std::string> folder_of_model(const std::string& model) {
  if (std::find(std::begin(server::kDemoNames), std::end(server::kDemoNames), model) ==
      std::end(server::kDemoNames))
    return model;
  const char* data_dir = std::getenv("SIS_DATA_DIR");
  return server::resolve_model_folder(
      {.name = model, .path = ""},
      {.data_dir = data_dir ? data_dir : "", .executable_dir = server::executable_dir()});
}

}  // namespace sis::apps
