// Where the weights of a catalog entry lie on this machine.
#pragma once

#include <string>

#include "base/result.h"
#include "serve/server/catalog.h"

namespace sis::server {

struct ModelPlaces {
  std::string hf_home = "./models";  // HF_HOME
  std::string data_dir;              // SIS_DATA_DIR; empty: not set
  std::string executable_dir;        // folder of this program; see executable_dir()
};

// The folder with the entry's config.json, the first of
//   its `path`;
//   for a demo model: models/NAME under $SIS_DATA_DIR, ./demo, <program>/../../demo,
//   <program>/../share/sis/demo; $HF_HOME/hub/models--org--name/snapshots/<commit of refs/main>,
//   the same without hub/; $HF_HOME/org/name.
// kNotFound lists every place looked at.
Result<std::string> resolve_model_folder(const ModelEntry& entry, const ModelPlaces& places);

// Twelve hexadecimal digits that change with the checkpoint's weights, configuration, tokenizer or
// template and are the same on every machine. Of large files some places are read, not all.
std::string folder_version(const std::string& folder);

// Folder of the running program; empty when /proc does not tell.
std::string executable_dir();

}  // namespace sis::server
