#include "serve/server/score_models.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "serve/tasks/classify.h"

namespace sis::server {
namespace {

constexpr std::streamsize kVersionBytesMax = 1 << 20;  // of each file

bool is_reranker(const ModelPool::EmbedEntry& entry) {
  return entry.kind == ModelKind::kRerank ||
         (entry.kind == ModelKind::kClassification && entry.service->model().dimensions() == 1);
}

bool is_classifier(const ModelPool::EmbedEntry& entry) {
  return entry.kind == ModelKind::kClassification;
}

}  // namespace

api::ScoreModel score_model(const ModelPool::EmbedEntry& entry) {
  const nn::HeadConfig& head = entry.service->model().head.config();
  return {.name = entry.name,
          .service = entry.service.get(),
          .classifies = is_classifier(entry),
          .ranks = is_reranker(entry),
          .embeds = entry.kind == ModelKind::kEmbedding,
          .rule = tasks::score_rule(head),
          .labels = head.labels,
          .version = entry.version,
          .uri = entry.uri,
          .loaded_at = entry.loaded_at};
}

std::vector<std::string> score_capabilities(const ModelPool::EmbedEntry& entry) {
  std::vector<std::string> words;
  if (is_reranker(entry)) words.push_back("rerank");
  if (is_classifier(entry)) words.push_back("text-classification");
  return words;
}

std::string weights_version(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".safetensors" || it->path().filename() == "config.json")
      files.push_back(it->path());
  std::sort(files.begin(), files.end());
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto mix = [&hash](std::string_view text) {
    for (const unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3u;
    hash = (hash ^ 0xff) * 0x100000001b3u;
  };
  // A file's beginning and size: reading all of a large model again would cost its loading time.
  std::string bytes;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    bytes.resize(static_cast<size_t>(kVersionBytesMax));
    file.read(bytes.data(), kVersionBytesMax);
    bytes.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    mix(path.filename().string());
    mix(concat(std::filesystem::file_size(path, error)));
    mix(bytes);
  }
  return fmt::format("{:012x}", hash & 0xffffffffffffu);
}

}  // namespace sis::server
