#include "serve/server/model_choice.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"

namespace sis::server {
namespace {

namespace fs = std::filesystem;

// The model of /predict, served beside the others.
Status add_predict_model(const Catalog& catalog, const std::string& uri,
                         std::vector<ModelEntry>& entries) {
  const ModelEntry* listed = catalog.find(uri);
  if (listed && listed->kind != ModelKind::kClassification)
    return Error{Code::kInvalidArgument,
                 concat("MODEL_URI: ", in_quotes(uri), " is a ", model_kind_name(listed->kind),
                        " model, want a classification model")};
  if (listed) {
    if (std::none_of(entries.begin(), entries.end(),
                     [&](const ModelEntry& entry) { return entry.name == uri; }))
      entries.push_back(*listed);
    return {};
  }
  constexpr std::string_view kScheme = "file://";
  fs::path folder = uri.starts_with(kScheme) ? uri.substr(kScheme.size()) : uri;
  folder = folder.lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  std::error_code ignored;
  if (!fs::is_regular_file(folder / "config.json", ignored))
    return Error{Code::kNotFound,
                 concat("MODEL_URI: ", in_quotes(uri), " is neither a model of the catalog (",
                        catalog.source, ") nor a folder with a config.json")};
  ModelEntry entry;
  entry.name = folder.filename().string();
  entry.hf_repo_id = uri;
  entry.path = folder.string();
  entry.kind = ModelKind::kClassification;
  entry.handler = model_kind_name(entry.kind);
  for (const auto& other : entries)
    if (other.name == entry.name)
      return Error{Code::kInvalidArgument,
                   concat("MODEL_URI: another model is called ", in_quotes(entry.name))};
  entries.push_back(std::move(entry));
  return {};
}

}  // namespace

ModelPlaces model_places(const Settings& settings) {
  return {.hf_home = settings.text("HF_HOME"),
          .data_dir = settings.text("SIS_DATA_DIR"),
          .executable_dir = executable_dir()};
}

Result<ModelChoice> choose_models(const Catalog& catalog, const Settings& settings) {
  ModelChoice choice;
  const auto& names = settings.list("MODELS");
  SIS_ASSIGN(choice.entries, select_models(catalog, names));
  if (names.empty()) {
    const auto places = model_places(settings);
    const auto is_absent = [&](const ModelEntry& entry) {
      const auto folder = resolve_model_folder(entry, places);
      return !folder.ok() && folder.error().code == Code::kNotFound;
    };
    if (!std::all_of(choice.entries.begin(), choice.entries.end(), is_absent))
      std::erase_if(choice.entries, [&](const ModelEntry& entry) {
        if (!is_absent(entry)) return false;
        choice.absent.push_back(entry.name);
        return true;
      });
  }
  if (const auto& uri = settings.text("MODEL_URI"); !uri.empty())
    SIS_TRY(add_predict_model(catalog, uri, choice.entries));
  return choice;
}

}  // namespace sis::server
