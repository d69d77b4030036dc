#include "serve/server/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/strings.h"
#include "serve/server/model_folder.h"

namespace sis::server {
namespace {

namespace fs = std::filesystem;

class CatalogFiles : public testing::Test {
 protected:
  CatalogFiles()
      : folder_(
            fs::path(testing::TempDir()) /
            (std::string("sis_") + testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~CatalogFiles() override { fs::remove_all(folder_); }
  void write(const fs::path& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  Catalog load() {
    auto catalog = load_catalog(folder_ / "models.yaml");
    EXPECT_TRUE(catalog.ok()) << (catalog.ok() ? "" : catalog.error().message);
    return catalog.ok() ? *std::move(catalog) : Catalog{};
  }
  // The message without the folder.
  std::string error(const std::string& text) {
    write("models.yaml", text);
    const auto catalog = load_catalog(folder_ / "models.yaml");
    if (catalog.ok()) return "no error";
    std::string message = catalog.error().message;
    for (size_t at; (at = message.find(folder_.string() + "/")) != std::string::npos;)
      message.erase(at, folder_.string().size() + 1);
    return message;
  }

  fs::path folder_;
};

TEST_F(CatalogFiles, EveryField) {
  write("models.yaml", R"(
models:
  - hf_repo_id: BAAI/bge-m3
    handler: app.models.hf_embedding.HFEmbeddingModel
  - name: mini
    hf_repo_id: org/mini
    handler: embedding
    path: weights/mini
    dtype: int8
    pooling: cls
    dimensions: [64, 128]
  - name: gpt
    hf_repo_id: gpt-x
    handler: app.models.openai_proxy.OpenAIChatProxyModel
    upstream_base_url: https://api.example.com/v1
    upstream_timeout_sec: 2.5
    upstream_api_key_env: KEY
    upstream_headers: {X-Team: "a b"}
  - hf_repo_id: Qwen/Qwen3-4B-Instruct-2507
    handler: app.models.text_chat.TextChatModel
    supports_structured_outputs: yes
    defaults: {temperature: 0.7, top_p: 0.9, max_tokens: 512}
    kv_dtype: int8
    context: 16384
    kv_memory_mb: 2048
)");
  const Catalog catalog = load();
  EXPECT_TRUE(catalog.warnings.empty());
  ASSERT_EQ(catalog.models.size(), 4 + std::size(kDemoNames));
  EXPECT_EQ(catalog.models[0].name, "BAAI/bge-m3");
  EXPECT_EQ(catalog.models[0].kind, ModelKind::kEmbedding);
  EXPECT_EQ(default_pooling(catalog.models[0]), ModelPooling::kMean);
  const ModelEntry& mini = *catalog.find("mini");
  EXPECT_EQ(mini.path, (folder_ / "weights/mini").string());
  EXPECT_EQ(mini.dtype, ModelDtype::kInt8);
  EXPECT_EQ(mini.pooling, ModelPooling::kCls);
  EXPECT_EQ(mini.dimensions, (std::vector<int>{64, 128}));
  const ModelEntry& proxy = *catalog.find("gpt");
  EXPECT_TRUE(is_proxy(proxy.kind));
  EXPECT_STREQ(owned_by(proxy.kind), "openai");
  EXPECT_EQ(proxy.upstream.timeout_sec, 2.5);
  EXPECT_EQ(proxy.upstream.api_key_env, "KEY");
  EXPECT_EQ(proxy.upstream.headers.at(0).second, "a b");
  EXPECT_TRUE(proxy.supports_structured_outputs);
  const ModelEntry& chat = *catalog.find("Qwen/Qwen3-4B-Instruct-2507");
  EXPECT_EQ(chat.defaults.temperature, 0.7);
  EXPECT_EQ(chat.defaults.max_tokens, 512);
  EXPECT_EQ(chat.kv_dtype, "int8");
  EXPECT_EQ(chat.context, 16384);
  EXPECT_EQ(chat.kv_memory_mb, 2048);
  EXPECT_NE(catalog.find(kDemoEmbedName), nullptr);
  ASSERT_NE(catalog.find(kDemoChatName), nullptr);
  EXPECT_EQ(catalog.find(kDemoChatName)->kind, ModelKind::kChat);
}

// Overlay entries match by name, else by repository; maps merge, the rest is replaced or appended.
TEST_F(CatalogFiles, Overlay) {
  write("models.yaml", R"(
models:
  - {name: a, hf_repo_id: org/a, handler: chat, defaults: {temperature: 0.7, max_tokens: 5}}
  - {hf_repo_id: org/b, handler: embedding}
)");
  write("models.local.yml", "models: [{name: never, hf_repo_id: org/never, handler: chat}]");
  write("models.local.yaml", R"(
models:
  - {name: a, defaults: {temperature: 0.1}}
  - {hf_repo_id: org/b, path: /weights/b, name: renamed}
  - {name: c, hf_repo_id: org/c, handler: audio}
)");
  const Catalog catalog = load();
  ASSERT_EQ(catalog.models.size(), 3 + std::size(kDemoNames));
  EXPECT_EQ(catalog.models[0].defaults.temperature, 0.1);
  EXPECT_EQ(catalog.models[0].defaults.max_tokens, 5);
  EXPECT_EQ(catalog.models[1].name, "renamed");
  EXPECT_EQ(catalog.models[1].path, "/weights/b");
  EXPECT_EQ(catalog.models[2].kind, ModelKind::kAudio);
  EXPECT_EQ(catalog.find("never"), nullptr);
  fs::remove(folder_ / "models.local.yaml");
  EXPECT_NE(load().find("never"), nullptr);
}

TEST_F(CatalogFiles, ErrorsNameTheEntry) {
  EXPECT_EQ(error("models: {}"), "models.yaml: models: want a list, got a mapping");
  EXPECT_EQ(error("- a"), "models.yaml: want a mapping with the key 'models', got a list");
  EXPECT_EQ(error(""), "models.yaml: want a mapping with the key 'models', got nothing");
  EXPECT_EQ(error("other: 1"), "models.yaml: the key 'models' is missing");
  EXPECT_EQ(error("models: [a]"),
            "models.yaml: models: entry 1: want a mapping, got a single value");
  EXPECT_EQ(error("models:\n  - {hf_repo_id: x/y, handler: app.models.nope.Nope}").substr(0, 81),
            "models.yaml: entry 1 ('x/y'): handler: no engine for 'app.models.nope.Nope'; know");
  EXPECT_EQ(error("models: [{hf_repo_id: x/y}]"),
            "models.yaml: entry 1 ('x/y'): handler is missing");
  EXPECT_EQ(error("models: [{handler: chat}]"), "models.yaml: entry 1: hf_repo_id is missing");
  EXPECT_EQ(
      error("models: [{hf_repo_id: x/y, handler: embedding, pooling: sum}]"),
      "models.yaml: entry 1 ('x/y'): pooling: want one of cls, mean, last_token, max, got 'sum'");
  EXPECT_EQ(error("models: [{hf_repo_id: x/y, handler: embedding, dimensions: [0]}]"),
            "models.yaml: entry 1 ('x/y'): dimensions: want a list of integers from 1 to 65536");
  EXPECT_EQ(error("models: [{hf_repo_id: x/y, handler: chat, defaults: {top_p: 2}}]"),
            "models.yaml: entry 1 ('x/y'): defaults: top_p: want a number from 0 to 1, got '2'");
  EXPECT_EQ(error("models: [{hf_repo_id: m, handler: vllm_chat, upstream_base_url: 'ftp://x'}]"),
            "models.yaml: entry 1 ('m'): upstream_base_url: want an http(s) URL, got 'ftp://x'");
  EXPECT_EQ(error("models: [{hf_repo_id: m, handler: vllm_chat, upstream_timeout_sec: 0}]"),
            "models.yaml: entry 1 ('m'): upstream_timeout_sec: want seconds above 0, got '0'");
  EXPECT_EQ(
      error(
          "models: [{hf_repo_id: m, handler: vllm_chat, upstream_headers: {\"a\": \"b\\r\\nc\"}}]"),
      "models.yaml: entry 1 ('m'): upstream_headers: 'a' is no header");
  EXPECT_EQ(error("models:\n  - {hf_repo_id: x/y, handler: chat}\n  - {name: x/y, hf_repo_id: z, "
                  "handler: chat}"),
            "models.yaml: entry 2 ('x/y'): another entry has this name");
  EXPECT_EQ(error("models: [{hf_repo_id: x, hf_repo_id: y}]"),
            "models.yaml line 1: key 'hf_repo_id' appears twice in one mapping");
  EXPECT_EQ(error("models:\n\t- x").substr(0, 19), "models.yaml line 2:");
  EXPECT_EQ(load_catalog(folder_ / "absent.yaml").error().code, Code::kNotFound);
  EXPECT_EQ(load_catalog(folder_ / "absent.yaml", /*missing_ok=*/true)->models.size(),
            std::size(kDemoNames));
  EXPECT_FALSE(load_catalog(folder_, true).ok());
}

TEST_F(CatalogFiles, UnknownFieldsAreWarnings) {
  write("models.yaml",
        "models: [{hf_repo_id: x/y, handler: chat, polling: mean, defaults: {top_k: 3}, pooling: "
        "mean}]");
  const auto warnings = load().warnings;
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_NE(warnings[0].find("defaults: field 'top_k' is unknown"), std::string::npos);
  EXPECT_NE(warnings[1].find("pooling has no meaning for chat"), std::string::npos);
  EXPECT_NE(warnings[2].find("field 'polling' is unknown"), std::string::npos);
  write("models.yaml", "models: [{hf_repo_id: x/y, handler: audio, context: 5}]");
  ASSERT_EQ(load().warnings.size(), 1u);
  EXPECT_NE(error("models: [{hf_repo_id: x/y, handler: chat, context: 0}]").find("context: want"),
            std::string::npos);
  EXPECT_NE(
      error("models: [{hf_repo_id: x/y, handler: chat, kv_dtype: f8}]").find("kv_dtype: want"),
      std::string::npos);
}

// A small file must not stand for a huge or endless document.
TEST_F(CatalogFiles, HostileYaml) {
  std::string bomb = "a: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "b" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ",*a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(error(bomb + "models: *a8").find("more than 50000 values"), std::string::npos);
  EXPECT_NE(error("models: &a [*a]").find("nested deeper than 16"), std::string::npos);
  EXPECT_NE(error("models: " + std::string(100000, '[')), "no error");
  std::string wide = "big: &b " + std::string(900000, 'x') + "\nmodels: [";
  for (int i = 0; i < 1000; ++i) wide += "*b,";
  EXPECT_NE(error(wide + "]").find("bytes of text once aliases"), std::string::npos);
  EXPECT_NE(error(std::string(2 << 20, '#')).find("want at most 1048576"), std::string::npos);
  EXPECT_NE(error("models: \xFF\xFE").find("want UTF-8"), std::string::npos);
}

TEST_F(CatalogFiles, Selection) {
  write("models.yaml",
        "models: [{hf_repo_id: org/b, handler: chat}, {hf_repo_id: org/Model-A, handler: chat}]");
  const Catalog catalog = load();
  EXPECT_EQ(select_models(catalog, {})->at(0).name, kDemoEmbedName);
  EXPECT_EQ(select_models(catalog, {})->at(1).name, kDemoChatName);
  const auto both = select_models(catalog, {"org/Model-A", "org/b", "org/b"});
  ASSERT_EQ(both->size(), 2u);
  EXPECT_EQ(both->at(0).name, "org/b");  // catalog order
  const auto unknown = select_models(catalog, {"model-a"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("MODELS: no model 'model-a'"), std::string::npos);
  EXPECT_NE(unknown.error().message.find("did you mean org/Model-A"), std::string::npos);
}

TEST_F(CatalogFiles, WeightsAreFoundWhereTheHubPutsThem) {
  const ModelEntry entry{.name = "n", .hf_repo_id = "org/name"};
  const ModelPlaces places{.hf_home = (folder_ / "hf").string()};
  const auto missing = resolve_model_folder(entry, places);
  ASSERT_FALSE(missing.ok());
  for (const char* part : {"hf/hub/models--org--name/snapshots", "hf/models--org--name/snapshots",
                           "hf/org/name", "does not download"})
    EXPECT_NE(missing.error().message.find(part), std::string::npos) << missing.error().message;

  write("hf/org/name/config.json", "{}");
  EXPECT_EQ(*resolve_model_folder(entry, places), (folder_ / "hf/org/name").string());
  const std::string cache = "hf/hub/models--org--name/";
  write(cache + "snapshots/abc123/config.json", "{}");
  EXPECT_EQ(*resolve_model_folder(entry, places), (folder_ / cache / "snapshots/abc123").string());
  write(cache + "snapshots/def456/config.json", "{}");
  EXPECT_EQ(*resolve_model_folder(entry, places),
            (folder_ / "hf/org/name").string());  // which one is unclear
  write(cache + "refs/main", "def456\n");
  EXPECT_EQ(*resolve_model_folder(entry, places), (folder_ / cache / "snapshots/def456").string());
  // A reference must not lead anywhere else.
  write("evil/config.json", "{}");
  write(cache + "refs/main", "../../../../../evil");
  EXPECT_EQ(*resolve_model_folder(entry, places), (folder_ / "hf/org/name").string());
  EXPECT_FALSE(resolve_model_folder({.name = "n", .hf_repo_id = "../evil"}, places).ok());

  write("own/config.json", "{}");
  EXPECT_EQ(*resolve_model_folder({.name = "n", .path = (folder_ / "own").string()}, places),
            (folder_ / "own").string());
  EXPECT_FALSE(
      resolve_model_folder({.name = "n", .path = (folder_ / "nothing").string()}, places).ok());
}

TEST_F(CatalogFiles, DemoModelIsFoundInTheDataFolder) {
  const ModelEntry demo{.name = kDemoEmbedName, .hf_repo_id = kDemoEmbedName};
  write("data/models/embed/config.json", "{}");
  EXPECT_EQ(*resolve_model_folder(demo, {.data_dir = (folder_ / "data").string()}),
            (folder_ / "data/models/embed").string());
  write("installed/demo/models/embed/config.json", "{}");
  fs::create_directories(folder_ / "installed/build/release");
  // From a working directory without ./demo, the folder beside the program counts.
  const fs::path here = fs::current_path();
  fs::current_path(folder_);
  const auto found = resolve_model_folder(
      demo, {.executable_dir = (folder_ / "installed/build/release").string()});
  fs::current_path(here);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(*found, (folder_ / "installed/demo/models/embed").string());
}

TEST_F(CatalogFiles, Mocks) {
  write("models.yaml",
        "models:\n"
        "  - {name: a, handler: mock_chat, mock: {decode_us_per_step: 1.5, failure_rate: 1}}\n"
        "  - {name: b, handler: mock_embedding}\n");
  const Catalog catalog = load();
  EXPECT_TRUE(catalog.warnings.empty());
  const ModelEntry *a = catalog.find("a"), *b = catalog.find("b");
  ASSERT_TRUE(a && b && a->mock && b->mock);
  EXPECT_EQ(a->kind, ModelKind::kChat);
  EXPECT_EQ(*a->mock,
            (std::map<std::string, double>{{"decode_us_per_step", 1.5}, {"failure_rate", 1}}));
  EXPECT_EQ(b->kind, ModelKind::kEmbedding);
  EXPECT_TRUE(b->mock->empty());
  EXPECT_FALSE(catalog.find(kDemoChatName)->mock);
  for (const auto& [entry, words] :
       {std::pair("{name: a, handler: mock_chat, mock: {failure_rate: 1.1}}",
                  "mock: failure_rate: want a number from 0 to 1, got '1.1'"),
        std::pair("{name: a, handler: mock_chat, mock: {jitter: [1]}}", "got a list"),
        std::pair("{name: a, handler: mock_chat, mock: {delay: 1}}", "mock: no field 'delay'"),
        std::pair("{name: a, handler: mock_chat, mock: 7}", "mock: want a mapping"),
        std::pair("{name: a, hf_repo_id: b/c, handler: chat, mock: {}}", "only for the handlers"),
        std::pair("{handler: mock_chat}", "name is missing")}) {
    const std::string message = error(concat("models:\n  - ", entry, "\n"));
    EXPECT_NE(message.find(words), std::string::npos) << message;
  }
}

TEST(CommittedCatalog, LoadsWithoutWarnings) {
  const auto catalog = load_catalog("models.yaml");
  ASSERT_TRUE(catalog.ok()) << catalog.error().message;
  EXPECT_TRUE(catalog->warnings.empty());
  for (const char* name :
       {"BAAI/bge-m3", "Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen3-4B-Instruct-2507-FP8",
        "Qwen/Qwen3-VL-2B-Instruct", "openai/whisper-tiny", "openai/whisper-tiny.en",
        "Qwen/Qwen3-Embedding-0.6B", "google/embeddinggemma-300m", kDemoEmbedName})
    EXPECT_NE(catalog->find(name), nullptr) << name;
}

}  // namespace
}  // namespace sis::server
