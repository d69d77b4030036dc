// The catalog: which models there are (models.yaml with models.local.yaml laid over it), as typed
// entries.
//
// Everything an entry says is checked when the file is read; what its weights are is found out when
// it is loaded. Fields nobody knows are warnings. The demo models are always there under
// their own names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "infer/models/mock/options.h"

namespace sis::server {

// In the box: demo/NAME lies in the folder models/NAME of the demo folder.
inline constexpr const char* kDemoEmbedName = "demo/embed";
inline constexpr const char* kDemoChatName = "demo/chat";
inline constexpr const char* kDemoSentimentName = "demo/sentiment";
inline constexpr const char* kDemoRerankName = "demo/rerank";
inline constexpr const char* kDemoNames[] = {kDemoEmbedName, kDemoChatName, kDemoSentimentName,
                                             kDemoRerankName};

enum class ModelKind : uint8_t {
  kEmbedding,
  kChat,
  kVision,
  kAudio,
  kRerank,
  kClassification,
  kOpenAiChat,  // passed on to an OpenAI-compatible upstream
  kOpenAiEmbedding,
  kVllmChat,
  kVllmEmbedding,
};
const char* model_kind_name(ModelKind kind);  // "embedding", "openai_chat", ...
bool is_proxy(ModelKind kind);
const char* owned_by(ModelKind kind);  // "local", "openai", "vllm"
// Of text-embedding, chat-completion, vision, audio-transcription, audio-translation, rerank,
// text-classification.
std::vector<std::string> capabilities(ModelKind kind);

enum class ModelDtype : uint8_t { kAuto, kF32, kBf16, kInt8, kInt4 };
const char* model_dtype_name(ModelDtype dtype);  // "auto", "f32", "bf16", "int8", "int4"
std::optional<ModelDtype> parse_model_dtype(std::string_view name);

enum class ModelPooling : uint8_t { kCls, kMean, kLastToken, kMax };
const char* model_pooling_name(ModelPooling pooling);  // "cls", "mean", "last_token", "max"

struct ModelEntry {
  std::string name;        // in MODELS and in requests
  std::string hf_repo_id;  // weights repository; of proxies the model id sent upstream. May be
                           // empty with `path`
  std::string handler;     // as the catalog spells it
  ModelKind kind = ModelKind::kEmbedding;
  std::string
      path;  // local folder, absolute or relative to the working directory; empty: by hf_repo_id
  ModelDtype dtype = ModelDtype::kAuto;
  std::optional<ModelPooling> pooling;  // overrides the checkpoint's own
  std::vector<int> dimensions;          // values a request may ask for; empty: see `matryoshka`
  bool matryoshka = false;              // any number of dimensions up to the model's
  std::string kv_dtype;  // chat: "auto", "f32", "bf16", "int8"; empty: the CHAT_KV_DTYPE setting
  int32_t context = 0;   // chat: tokens per sequence; 0: the CHAT_CONTEXT setting
  int64_t kv_memory_mb = 0;  // chat: of the cache; 0: the CHAT_KV_MEMORY_MB setting
  // Made in memory instead of loaded: what differs from the MOCK_* settings, by the names of
  // mock_fields().
  std::optional<std::map<std::string, double>> mock;
  bool supports_structured_outputs = false;
  bool skip_download = false;
  struct Defaults {
    std::optional<double> temperature, top_p;
    std::optional<int64_t> max_tokens;
  } defaults;
  struct Upstream {
    std::string base_url;  // empty: the provider's setting
    std::optional<double> timeout_sec;
    std::optional<std::string> api_key_env;  // set: this variable only, even if it is empty
    std::optional<std::string> api_key;      // secret: never log it
    std::vector<std::pair<std::string, std::string>> headers;  // may hold secrets too
  } upstream;
};

// When neither the entry nor the checkpoint says: last_token for Qwen3 embedding models, else mean.
ModelPooling default_pooling(const ModelEntry& entry);

struct Catalog {
  std::vector<ModelEntry> models;
  std::vector<std::string> warnings;  // for the startup log
  std::string source;                 // files read, for messages
  const ModelEntry* find(std::string_view name) const;
};

// Reads `path` and the overlay beside it, <stem>.local.yaml or .yml (the suffix of `path` is tried
// first, one file is used). A missing `path` is an error unless `missing_ok`: then only the demo
// model is there.
Result<Catalog> load_catalog(const std::string& path, bool missing_ok = false);

// What a mock's entry may set under `mock:`, each with the setting that stands in and its range.
struct MockField {
  const char* name;     // "decode_us_per_step"
  const char* setting;  // "MOCK_DECODE_US_PER_STEP"
  double models::MockOptions::*value;
  double least, most;
};
const std::vector<MockField>& mock_fields();
// mock-chat and mock-embed: what `sis serve --mock` serves.
std::vector<ModelEntry> mock_models();

// The entries with these API names, in catalog order, each once; no names: the demo models. An
// unknown name is an error that lists the nearest ones.
Result<std::vector<ModelEntry>> select_models(const Catalog& catalog,
                                              const std::vector<std::string>& names);

}  // namespace sis::server
