// Which catalog entries this process serves: MODELS, or the demo models that are there, and
// MODEL_URI.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/settings.h"
#include "serve/server/catalog.h"
#include "serve/server/model_folder.h"

namespace sis::server {

ModelPlaces model_places(const Settings& settings);

struct ModelChoice {
  std::vector<ModelEntry> entries;  // catalog order, the one of MODEL_URI last
  std::vector<std::string> absent;  // demo models whose folder is not there
};

// An unknown name is an error, and so is a MODEL_URI that is neither a catalog name of a
// classification model nor a folder (or file:// URL) with a config.json. Without MODELS, demo
// models that are not there are left out while one is.
Result<ModelChoice> choose_models(const Catalog& catalog, const Settings& settings);

}  // namespace sis::server
