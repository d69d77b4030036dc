#include "serve/server/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/strings.h"

namespace sis::server {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// One part of a repository id or a commit: a plain name that cannot lead out of its folder.
bool is_plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text[0] != '.' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
         });
}

// The snapshot refs/main points at, or the only one there; empty without a usable one.
fs::path snapshot_of(const fs::path& repository) {
  std::string commit(200, '\0');
  std::ifstream file(repository / "refs" / "main", std::ios::binary);
  file.read(commit.data(), static_cast<std::streamsize>(commit.size()));
  commit.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (const auto name = trim(commit); is_plain_name(name)) return repository / "snapshots" / name;
  std::error_code error;
  std::vector<fs::path> snapshots;
  for (fs::directory_iterator it(repository / "snapshots", error), end; !error && it != end;
       it.increment(error))
    if (snapshots.emplace_back(it->path()); snapshots.size() > 1) return {};
  return snapshots.empty() ? fs::path() : snapshots.front();
}

}  // namespace

std::string folder_version(const std::string& folder) {
  constexpr int64_t kPieceBytes = 16 << 10, kPieces = 64;
  constexpr std::string_view kExtensions[] = {".safetensors", ".json", ".jinja", ".txt", ".model"};
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (std::find(std::begin(kExtensions), std::end(kExtensions), it->path().extension()) !=
        std::end(kExtensions))
      files.push_back(it->path());
  std::sort(files.begin(), files.end());
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto mix = [&hash](std::string_view text) {
    for (const unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3u;
    hash = (hash ^ 0xff) * 0x100000001b3u;
  };
  std::string piece;
  for (const auto& path : files) {
    const auto bytes = static_cast<int64_t>(fs::file_size(path, error));
    mix(path.filename().string());
    mix(concat(bytes));
    std::ifstream file(path, std::ios::binary);
    const int64_t pieces = std::min(kPieces, bytes / kPieceBytes + 1);
    for (int64_t i = 0; file && i < pieces; ++i) {
      file.seekg(i * (bytes / pieces));
      piece.resize(static_cast<size_t>(kPieceBytes));
      file.read(piece.data(), kPieceBytes);
      piece.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
      file.clear();
      mix(piece);
    }
  }
  return fmt::format("{:012x}", hash & 0xffffffffffffu);
}

std::string executable_dir() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? "" : program.parent_path().string();
}

Result<std::string> resolve_model_folder(const ModelEntry& entry, const ModelPlaces& places) {
  std::vector<std::string> tried;
  const auto has_config = [&](const fs::path& folder) {
    tried.push_back(folder.string());
    return is_file(folder / "config.json");
  };
  const auto missing = [&](std::string_view hint) {
    std::string list;
    for (const auto& place : tried) list += (list.empty() ? "" : ", ") + place;
    return Error{Code::kNotFound,
                 concat("model ", in_quotes(entry.name), ": no config.json in ", list, hint)};
  };

  if (!entry.path.empty()) {
    if (has_config(entry.path)) return entry.path;
    return missing(" (the entry's path)");
  }
  if (std::find(std::begin(kDemoNames), std::end(kDemoNames), entry.name) != std::end(kDemoNames)) {
    const std::string name = entry.name.substr(entry.name.find('/') + 1);
    std::vector<fs::path> roots;
    if (!places.data_dir.empty())
      roots.insert(roots.end(), {places.data_dir, fs::path(places.data_dir) / "demo"});
    roots.push_back("demo");
    if (!places.executable_dir.empty()) {
      const fs::path program(places.executable_dir);
      roots.insert(roots.end(), {(program / "../../demo").lexically_normal(),
                                 (program / "../share/sis/demo").lexically_normal()});
    }
    for (const auto& root : roots)
      if (const fs::path folder = root / "models" / name; has_config(folder))
        return folder.string();
    return missing("; set SIS_DATA_DIR to the folder that holds the demo models");
  }

  const auto parts = split(entry.hf_repo_id, '/');
  if (parts.size() > 2 || !std::all_of(parts.begin(), parts.end(), is_plain_name))
    return Error{Code::kInvalidArgument,
                 concat("model ", in_quotes(entry.name),
                        ": hf_repo_id: want organisation/name, got ", in_quotes(entry.hf_repo_id))};
  std::string cache_name = "models";
  for (const auto& part : parts) cache_name += "--" + part;
  const fs::path home(places.hf_home);
  for (const fs::path& repository : {home / "hub" / cache_name, home / cache_name}) {
    const fs::path snapshot = snapshot_of(repository);
    if (has_config(snapshot.empty() ? repository / "snapshots" / "*" : snapshot))
      return snapshot.string();
  }
  fs::path plain = home;
  for (const auto& part : parts) plain /= part;
  if (has_config(plain)) return plain.string();
  return missing(
      "; this version does not download weights: put the checkpoint in one of these"
      " folders, or give the entry a path");
}

}  // namespace sis::server
