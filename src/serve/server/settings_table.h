// THE table of all settings of `sis`: what docs/settings.md, `sis settings` and the flags of `sis
// serve` are made of.
//
// A feature reads its settings once when it is built and gets them as a struct; nothing below this
// folder looks a setting up by name. A setting whose feature is not there yet is listed with
// SettingUse::kNotYet.
#pragma once

#include <string>

#include "base/settings.h"

namespace sis::server {

const SettingTable& settings_table();

// Whether the token of the inference API opens its routes: a usable TRUTHGPT_API_TOKEN is set, or
// ENVIRONMENT=development. Then BATCH_MAX_SIZE is their batch size; otherwise it is an old name of
// EMBEDDING_BATCH_WINDOW_MAX_SIZE.
bool infer_token_on(const Settings& settings);

// Whether the routes under /v1/infer are on: for that token, or for the API_KEYS that allow them.
bool infer_routes_on(const Settings& settings);

// A secret that is one of the published placeholders ("changeme") protects nothing and counts as
// none.
bool is_placeholder_secret(const std::string& secret);

// The help text of every setting's flag, for `sis serve --help`.
std::string settings_flags_help();

}  // namespace sis::server
