#include "serve/server/catalog.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/settings.h"
#include "base/strings.h"
#include "base/yaml_tree.h"

namespace sis::server {
namespace {

constexpr size_t kModelsMax = 1000;
constexpr size_t kNameBytesMax = 256;

struct Handler {
  const char* path;  // as catalogs of the reference server spell it
  const char* word;  // ours
  ModelKind kind;
  bool mock = false;
};
constexpr Handler kHandlers[] = {
    {"app.models.hf_embedding.HFEmbeddingModel", "embedding", ModelKind::kEmbedding},
    {"app.models.text_chat.TextChatModel", "chat", ModelKind::kChat},
    {"app.models.qwen_vl.QwenVLChat", "vision", ModelKind::kVision},
    {"app.models.whisper.WhisperASR", "audio", ModelKind::kAudio},
    {"app.models.rerank.RerankHandler", "rerank", ModelKind::kRerank},
    {"app.models.classification.ClassificationHandler", "classification",
     ModelKind::kClassification},
    {"app.models.openai_proxy.OpenAIChatProxyModel", "openai_chat", ModelKind::kOpenAiChat},
    {"app.models.openai_proxy.OpenAIEmbeddingProxyModel", "openai_embedding",
     ModelKind::kOpenAiEmbedding},
    {"app.models.vllm_proxy.VLLMChatProxyModel", "vllm_chat", ModelKind::kVllmChat},
    {"app.models.vllm_proxy.VLLMEmbeddingProxyModel", "vllm_embedding", ModelKind::kVllmEmbedding},
    {"mock.chat", "mock_chat", ModelKind::kChat, true},
    {"mock.embedding", "mock_embedding", ModelKind::kEmbedding, true},
};

constexpr const char* kKnownFields[] = {"name",
                                        "hf_repo_id",
                                        "handler",
                                        "path",
                                        "dtype",
                                        "pooling",
                                        "dimensions",
                                        "matryoshka",
                                        "kv_dtype",
                                        "context",
                                        "kv_memory_mb",
                                        "supports_structured_outputs",
                                        "skip_download",
                                        "defaults",
                                        "mock",
                                        "upstream_base_url",
                                        "upstream_timeout_sec",
                                        "upstream_api_key_env",
                                        "upstream_api_key",
                                        "upstream_headers"};

const char* kind_of_tree(const YamlTree& tree) {
  switch (tree.kind) {
    case YamlTree::Kind::kNull:
      return "nothing";
    case YamlTree::Kind::kScalar:
      return "a single value";
    case YamlTree::Kind::kList:
      return "a list";
    case YamlTree::Kind::kMap:
      return "a mapping";
  }
  return "nothing";
}

// The text of a scalar member; empty when absent, null or not a scalar.
std::string_view scalar_or_empty(const YamlTree& map, std::string_view key) {
  const YamlTree* member = map.find(key);
  return member && member->kind == YamlTree::Kind::kScalar ? trim(member->scalar)
                                                           : std::string_view();
}

// API name of an unchecked item, for matching overlays.
std::string_view name_of(const YamlTree& item) {
  const auto name = scalar_or_empty(item, "name");
  return name.empty() ? scalar_or_empty(item, "hf_repo_id") : name;
}

// Reads one entry's fields; the first fault is kept and names entry and field.
class EntryReader {
 public:
  EntryReader(const YamlTree& item, std::string place) : item_(item), place_(std::move(place)) {}

  // nullptr when the field is absent or null.
  const YamlTree* field(std::string_view key) const {
    const YamlTree* member = item_.find(key);
    return member && member->kind != YamlTree::Kind::kNull ? member : nullptr;
  }
  std::optional<std::string> text(std::string_view key) {
    const YamlTree* member = field(key);
    if (!member) return std::nullopt;
    if (member->kind != YamlTree::Kind::kScalar) {
      fault(concat(key, ": want text, got ", kind_of_tree(*member)));
      return std::nullopt;
    }
    return std::string(trim(member->scalar));
  }
  // `secret` keeps the value out of messages.
  template <class T, class Parse>
  std::optional<T> parsed(std::string_view key, const char* want, Parse parse) {
    const auto value = text(key);
    if (!value) return std::nullopt;
    const std::optional<T> result = parse(*value);
    if (!result) fault(concat(key, ": want ", want, ", got ", in_quotes(*value)));
    return result;
  }
  bool flag(std::string_view key) {
    return parsed<bool>(key, "true or false",
                        [](const std::string& t) { return parse_bool_word(t); })
        .value_or(false);
  }
  void fault(const std::string& what) {
    if (!fault_) fault_ = Error{Code::kInvalidArgument, concat(place_, ": ", what)};
  }
  const std::optional<Error>& first_fault() const { return fault_; }
  const std::string& place() const { return place_; }

 private:
  const YamlTree& item_;
  std::string place_;
  std::optional<Error> fault_;
};

bool is_http_url(std::string_view url) {
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  return scheme > 0 && url.size() > scheme && url[scheme] != '/' &&
         std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

void read_kind(EntryReader& in, ModelEntry& entry) {
  entry.handler = in.text("handler").value_or("");
  if (entry.handler.empty()) return in.fault("handler is missing");
  for (const Handler& handler : kHandlers)
    if (entry.handler == handler.path || entry.handler == handler.word) {
      entry.kind = handler.kind;
      if (handler.mock) entry.mock.emplace();
      return;
    }
  std::string known;
  for (const Handler& handler : kHandlers) known += concat(known.empty() ? "" : ", ", handler.word);
  in.fault(concat("handler: no engine for ", in_quotes(entry.handler), "; known: ", known,
                  " and the dotted names they stand for"));
}

void read_dimensions(EntryReader& in, ModelEntry& entry) {
  entry.matryoshka = in.flag("matryoshka");
  const YamlTree* list = in.field("dimensions");
  if (!list) return;
  const auto bad = [&] { in.fault("dimensions: want a list of integers from 1 to 65536"); };
  if (list->kind != YamlTree::Kind::kList) return bad();
  for (const YamlTree& item : list->items) {
    const auto value = item.kind == YamlTree::Kind::kScalar ? parse_int(item.scalar) : std::nullopt;
    if (!value || *value < 1 || *value > 65536) return bad();
    entry.dimensions.push_back(static_cast<int>(*value));
  }
}

void read_kv_cache(EntryReader& in, ModelEntry& entry) {
  const auto whole_from_1 = [](int64_t most) {
    return [most](const std::string& text) {
      const auto value = parse_int(text);
      return value && *value >= 1 && *value <= most ? value : std::nullopt;
    };
  };
  entry.kv_dtype =
      in.parsed<std::string>("kv_dtype", "one of auto, f32, bf16, int8", [](const std::string& t) {
          const auto dtype = parse_model_dtype(t);
          return dtype && *dtype != ModelDtype::kInt4 ? std::optional(t) : std::nullopt;
        }).value_or("");
  entry.context = static_cast<int32_t>(
      in.parsed<int64_t>("context", "an integer from 1 to 16777216", whole_from_1(1 << 24))
          .value_or(0));
  entry.kv_memory_mb = in.parsed<int64_t>("kv_memory_mb", "an integer from 1 to 1000000000",
                                          whole_from_1(1'000'000'000))
                           .value_or(0);
}

void read_mock(EntryReader& in, ModelEntry& entry) {
  const YamlTree* map = in.field("mock");
  if (!map) return;
  if (!entry.mock)
    return in.fault(concat("mock: only for the handlers mock_chat and mock_embedding, not ",
                           in_quotes(entry.handler)));
  if (map->kind != YamlTree::Kind::kMap)
    return in.fault(concat("mock: want a mapping, got ", kind_of_tree(*map)));
  std::string known;
  for (const MockField& field : mock_fields())
    known += concat(known.empty() ? "" : ", ", field.name);
  for (const auto& member : map->members) {
    const MockField* found = nullptr;
    for (const MockField& field : mock_fields())
      if (member.key == field.name) found = &field;
    // A load test with a misspelt delay would measure something else.
    if (!found)
      return in.fault(concat("mock: no field ", in_quotes(member.key), "; known: ", known));
    const auto value = member.value.kind == YamlTree::Kind::kScalar
                           ? parse_double(trim(member.value.scalar))
                           : std::nullopt;
    if (!value || *value < found->least || *value > found->most)
      return in.fault(concat("mock: ", found->name, ": want a number from ", found->least, " to ",
                             found->most, ", got ",
                             member.value.kind == YamlTree::Kind::kScalar
                                 ? in_quotes(member.value.scalar)
                                 : kind_of_tree(member.value)));
    (*entry.mock)[found->name] = *value;
  }
}

void read_defaults(EntryReader& in, ModelEntry& entry, std::vector<std::string>& warnings) {
  const YamlTree* map = in.field("defaults");
  if (!map) return;
  if (map->kind != YamlTree::Kind::kMap)
    return in.fault(concat("defaults: want a mapping, got ", kind_of_tree(*map)));
  EntryReader defaults(*map, concat(in.place(), ": defaults"));
  const auto number_in = [](double least, double most) {
    return [=](const std::string& text) {
      const auto value = parse_double(text);
      return value && *value >= least && *value <= most ? value : std::nullopt;
    };
  };
  entry.defaults.temperature =
      defaults.parsed<double>("temperature", "a number from 0 to 2", number_in(0, 2));
  entry.defaults.top_p = defaults.parsed<double>("top_p", "a number from 0 to 1", number_in(0, 1));
  entry.defaults.max_tokens = defaults.parsed<int64_t>(
      "max_tokens", "an integer of at least 1", [](const std::string& text) {
        const auto value = parse_int(text);
        return value && *value >= 1 ? value : std::nullopt;
      });
  if (defaults.first_fault())
    in.fault(defaults.first_fault()->message.substr(in.place().size() + 2));
  for (const auto& member : map->members)
    if (member.key != "temperature" && member.key != "top_p" && member.key != "max_tokens")
      warnings.push_back(
          concat(in.place(), ": defaults: field ", in_quotes(member.key), " is unknown"));
}

void read_upstream(EntryReader& in, ModelEntry& entry) {
  auto& upstream = entry.upstream;
  upstream.base_url =
      in.parsed<std::string>("upstream_base_url", "an http(s) URL", [](const std::string& text) {
          return is_http_url(text) ? std::optional(text) : std::nullopt;
        }).value_or("");
  upstream.timeout_sec =
      in.parsed<double>("upstream_timeout_sec", "seconds above 0", [](const std::string& text) {
        const auto value = parse_double(text);
        return value && *value > 0 && *value <= 1e8 ? value : std::nullopt;
      });
  upstream.api_key_env = in.text("upstream_api_key_env");
  upstream.api_key = in.text("upstream_api_key");
  if (const YamlTree* headers = in.field("upstream_headers")) {
    if (headers->kind != YamlTree::Kind::kMap)
      return in.fault(concat("upstream_headers: want a mapping, got ", kind_of_tree(*headers)));
    for (const auto& [name, line, value] : headers->members) {
      // Neither part may break out of its header line.
      const bool name_ok = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::strchr("!#$%&'*+-.^_`|~", c) != nullptr;
      });
      const bool value_ok = value.kind == YamlTree::Kind::kScalar &&
                            std::none_of(value.scalar.begin(), value.scalar.end(), [](char c) {
                              return (c >= 0 && c < ' ' && c != '\t') || c == 0x7F;
                            });
      if (!name_ok || !value_ok)
        return in.fault(concat("upstream_headers: ", in_quotes(name), " is no header"));
      upstream.headers.emplace_back(name, std::string(trim(value.scalar)));
    }
  }
}

Result<ModelEntry> read_entry(const YamlTree& item, const std::string& place,
                              const std::string& folder, std::vector<std::string>& warnings) {
  EntryReader in(item, place);
  ModelEntry entry;
  entry.hf_repo_id = in.text("hf_repo_id").value_or("");
  entry.name = in.text("name").value_or("");
  if (entry.name.empty()) entry.name = entry.hf_repo_id;
  read_kind(in, entry);
  if (const auto path = in.text("path"); path && !path->empty()) {
    const std::filesystem::path given(*path);
    entry.path =
        given.is_absolute() ? given.string() : (std::filesystem::path(folder) / given).string();
  }
  if (entry.hf_repo_id.empty() && entry.path.empty() && !entry.mock)
    in.fault("hf_repo_id is missing");
  if (entry.name.empty()) in.fault("name is missing (hf_repo_id would stand in)");
  if (entry.name.size() > kNameBytesMax || entry.name.find(',') != std::string::npos ||
      std::any_of(entry.name.begin(), entry.name.end(), [](char c) { return c >= 0 && c < ' '; }))
    in.fault(concat("name: want at most ", kNameBytesMax,
                    " bytes without commas and control characters, got ", in_quotes(entry.name)));
  entry.dtype = in.parsed<ModelDtype>("dtype", "one of auto, f32, bf16, int8, int4",
                                      [](const std::string& t) { return parse_model_dtype(t); })
                    .value_or(ModelDtype::kAuto);
  entry.pooling = in.parsed<ModelPooling>(
      "pooling", "one of cls, mean, last_token, max", [](const std::string& text) {
        for (const auto pooling : {ModelPooling::kCls, ModelPooling::kMean,
                                   ModelPooling::kLastToken, ModelPooling::kMax})
          if (text == model_pooling_name(pooling)) return std::optional(pooling);
        return std::optional<ModelPooling>();
      });
  read_dimensions(in, entry);
  read_kv_cache(in, entry);
  entry.supports_structured_outputs =
      in.flag("supports_structured_outputs") || is_proxy(entry.kind);
  entry.skip_download = in.flag("skip_download");
  read_mock(in, entry);
  read_defaults(in, entry, warnings);
  read_upstream(in, entry);
  if (in.first_fault()) return *in.first_fault();
  if (entry.pooling && entry.kind != ModelKind::kEmbedding)
    warnings.push_back(concat(place, ": pooling has no meaning for ", model_kind_name(entry.kind)));
  if ((!entry.kv_dtype.empty() || entry.context > 0 || entry.kv_memory_mb > 0) &&
      entry.kind != ModelKind::kChat && entry.kind != ModelKind::kVision)
    warnings.push_back(concat(place, ": kv_dtype, context and kv_memory_mb have no meaning for ",
                              model_kind_name(entry.kind)));
  for (const auto& member : item.members)
    if (std::find(std::begin(kKnownFields), std::end(kKnownFields), member.key) ==
        std::end(kKnownFields))
      warnings.push_back(concat(place, ": field ", in_quotes(member.key), " is unknown"));
  return entry;
}

Result<std::string> read_file(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0)
    return Error{Code::kNotFound, concat(path, ": ", std::strerror(errno))};
  if (!S_ISREG(info.st_mode)) return Error{Code::kInvalidArgument, concat(path, ": want a file")};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             std::fclose);
  if (!file)
    return Error{Code::kInvalidArgument, concat(path, ": cannot be read: ", std::strerror(errno))};
  std::string text(YamlLimits{}.file_bytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return text;
}

// The items under `models:`, each a mapping.
Result<std::vector<YamlTree>> read_items(const std::string& path) {
  SIS_ASSIGN(const std::string text, read_file(path));
  SIS_ASSIGN(YamlTree tree, parse_yaml(text, path));
  const auto wrong = [&](std::string what) {
    return Error{Code::kInvalidArgument, concat(path, ": ", what)};
  };
  if (tree.kind != YamlTree::Kind::kMap)
    return wrong(concat("want a mapping with the key 'models', got ", kind_of_tree(tree)));
  const YamlTree* models = tree.find("models");
  if (!models) return wrong("the key 'models' is missing");
  if (models->kind != YamlTree::Kind::kList)
    return wrong(concat("models: want a list, got ", kind_of_tree(*models)));
  if (models->items.size() > kModelsMax)
    return wrong(concat("models: ", models->items.size(), " entries, want at most ", kModelsMax));
  for (size_t i = 0; i < models->items.size(); ++i)
    if (models->items[i].kind != YamlTree::Kind::kMap)
      return wrong(concat("models: entry ", i + 1, ": want a mapping, got ",
                          kind_of_tree(models->items[i])));
  return models->items;
}

// "" when there is none. The suffix of `path` is tried first.
std::string overlay_path(const std::string& path) {
  const std::filesystem::path given(path);
  std::vector<std::string> suffixes = {".yaml", ".yml"};
  if (given.extension() == ".yml") std::swap(suffixes[0], suffixes[1]);
  for (const auto& suffix : suffixes) {
    const auto candidate = given.parent_path() / (given.stem().string() + ".local" + suffix);
    std::error_code error;
    if (std::filesystem::exists(candidate, error)) return candidate.string();
  }
  return "";
}

void lay_over(std::vector<YamlTree>& items, const std::vector<YamlTree>& overlay) {
  // Entries of the overlay match the catalog's, never each other.
  const size_t base_count = items.size();
  for (const YamlTree& entry : overlay) {
    const auto base_end = items.begin() + static_cast<int64_t>(base_count);
    const auto name = scalar_or_empty(entry, "name");
    const auto repo = scalar_or_empty(entry, "hf_repo_id");
    auto match = std::find_if(items.begin(), base_end, [&](const YamlTree& item) {
      return !name.empty() && name_of(item) == name;
    });
    if (match == base_end)
      match = std::find_if(items.begin(), base_end, [&](const YamlTree& item) {
        return !repo.empty() && scalar_or_empty(item, "hf_repo_id") == repo;
      });
    if (match == base_end)
      items.push_back(entry);
    else
      merge_yaml(*match, entry);
  }
}

ModelKind demo_kind(std::string_view name) {
  if (name == kDemoChatName) return ModelKind::kChat;
  if (name == kDemoSentimentName) return ModelKind::kClassification;
  if (name == kDemoRerankName) return ModelKind::kRerank;
  return ModelKind::kEmbedding;
}

void add_demo_models(Catalog& catalog) {
  for (const char* name : kDemoNames) {
    if (catalog.find(name)) continue;
    ModelEntry entry;
    entry.name = entry.hf_repo_id = name;
    entry.kind = demo_kind(entry.name);
    entry.handler = model_kind_name(entry.kind);
    entry.supports_structured_outputs = true;
    entry.skip_download = true;
    catalog.models.push_back(std::move(entry));
  }
}

}  // namespace

const char* model_kind_name(ModelKind kind) {
  for (const Handler& handler : kHandlers)
    if (handler.kind == kind) return handler.word;
  return "unknown";
}

bool is_proxy(ModelKind kind) { return kind >= ModelKind::kOpenAiChat; }

const char* owned_by(ModelKind kind) {
  switch (kind) {
    case ModelKind::kOpenAiChat:
    case ModelKind::kOpenAiEmbedding:
      return "openai";
    case ModelKind::kVllmChat:
    case ModelKind::kVllmEmbedding:
      return "vllm";
    default:
      return "local";
  }
}

std::vector<std::string> capabilities(ModelKind kind) {
  switch (kind) {
    case ModelKind::kEmbedding:
    case ModelKind::kOpenAiEmbedding:
    case ModelKind::kVllmEmbedding:
      return {"text-embedding"};
    case ModelKind::kChat:
    case ModelKind::kOpenAiChat:
    case ModelKind::kVllmChat:
      return {"chat-completion"};
    case ModelKind::kVision:
      return {"chat-completion", "vision"};
    case ModelKind::kAudio:
      return {"audio-transcription", "audio-translation"};
    case ModelKind::kRerank:
      return {"rerank"};
    case ModelKind::kClassification:
      return {"text-classification"};
  }
  return {};
}

const char* model_dtype_name(ModelDtype dtype) {
  switch (dtype) {
    case ModelDtype::kAuto:
      return "auto";
    case ModelDtype::kF32:
      return "f32";
    case ModelDtype::kBf16:
      return "bf16";
    case ModelDtype::kInt8:
      return "int8";
    case ModelDtype::kInt4:
      return "int4";
  }
  return "auto";
}

std::optional<ModelDtype> parse_model_dtype(std::string_view name) {
  for (const auto dtype : {ModelDtype::kAuto, ModelDtype::kF32, ModelDtype::kBf16,
                           ModelDtype::kInt8, ModelDtype::kInt4})
    if (iequals(name, model_dtype_name(dtype))) return dtype;
  return std::nullopt;
}

const char* model_pooling_name(ModelPooling pooling) {
  switch (pooling) {
    case ModelPooling::kCls:
      return "cls";
    case ModelPooling::kMean:
      return "mean";
    case ModelPooling::kLastToken:
      return "last_token";
    case ModelPooling::kMax:
      return "max";
  }
  return "mean";
}

ModelPooling default_pooling(const ModelEntry& entry) {
  if (entry.pooling) return *entry.pooling;
  return to_lower(entry.hf_repo_id).find("qwen3-embedding") != std::string::npos
             ? ModelPooling::kLastToken
             : ModelPooling::kMean;
}

const std::vector<MockField>& mock_fields() {
  constexpr double kUsMax = 60e6;
  using Options = models::MockOptions;
  static const std::vector<MockField> fields = {
      {"prefill_us_per_token", "MOCK_PREFILL_US_PER_TOKEN", &Options::prefill_us_per_token, 0,
       kUsMax},
      {"decode_us_per_step", "MOCK_DECODE_US_PER_STEP", &Options::decode_us_per_step, 0, kUsMax},
      {"decode_us_per_row", "MOCK_DECODE_US_PER_ROW", &Options::decode_us_per_row, 0, kUsMax},
      {"embed_us_per_batch", "MOCK_EMBED_US_PER_BATCH", &Options::embed_us_per_batch, 0, kUsMax},
      {"embed_us_per_token", "MOCK_EMBED_US_PER_TOKEN", &Options::embed_us_per_token, 0, kUsMax},
      {"jitter", "MOCK_JITTER", &Options::jitter, 0, 1},
      {"failure_rate", "MOCK_FAILURE_RATE", &Options::failure_rate, 0, 1},
      {"memory_mb", "MOCK_MEMORY_MB", &Options::memory_mb, 0, 1 << 20},
      {"seed", "MOCK_SEED", &Options::seed, 0, 9e15},
  };
  return fields;
}

std::vector<ModelEntry> mock_models() {
  std::vector<ModelEntry> models;
  for (const auto& [name, kind] :
       {std::pair("mock-chat", ModelKind::kChat), std::pair("mock-embed", ModelKind::kEmbedding)}) {
    ModelEntry entry;
    entry.name = entry.hf_repo_id = name;
    entry.kind = kind;
    entry.handler = kind == ModelKind::kChat ? "mock_chat" : "mock_embedding";
    entry.mock.emplace();
    entry.matryoshka = true;
    entry.supports_structured_outputs = true;
    entry.skip_download = true;
    models.push_back(std::move(entry));
  }
  return models;
}

const ModelEntry* Catalog::find(std::string_view name) const {
  for (const auto& model : models)
    if (model.name == name) return &model;
  return nullptr;
}

Result<Catalog> load_catalog(const std::string& path, bool missing_ok) {
  Catalog catalog;
  catalog.source = path;
  auto items = read_items(path);
  if (!items.ok()) {
    if (items.error().code != Code::kNotFound) return std::move(items).error();
    if (!missing_ok) return prefixed("MODEL_CONFIG_PATH", std::move(items).error());
    catalog.source = concat("no ", path);
    add_demo_models(catalog);
    return catalog;
  }
  if (const std::string overlay = overlay_path(path); !overlay.empty()) {
    SIS_ASSIGN(const auto extra, read_items(overlay));
    lay_over(*items, extra);
    catalog.source += " and " + overlay;
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  for (size_t i = 0; i < items->size(); ++i) {
    const YamlTree& item = (*items)[i];
    const auto name = name_of(item);
    const std::string place = name.empty()
                                  ? concat(path, ": entry ", i + 1)
                                  : concat(path, ": entry ", i + 1, " (", in_quotes(name), ")");
    SIS_ASSIGN(ModelEntry entry, read_entry(item, place, folder, catalog.warnings));
    if (catalog.find(entry.name))
      return Error{Code::kInvalidArgument, concat(place, ": another entry has this name")};
    catalog.models.push_back(std::move(entry));
  }
  add_demo_models(catalog);
  return catalog;
}

Result<std::vector<ModelEntry>> select_models(const Catalog& catalog,
                                              const std::vector<std::string>& names) {
  const std::vector<std::string> wanted =
      names.empty() ? std::vector<std::string>(std::begin(kDemoNames), std::end(kDemoNames))
                    : names;
  for (const auto& name : wanted)
    if (!catalog.find(name)) {
      // A fault in the case or in the part before the slash is the usual one.
      std::string near;
      const std::string low = to_lower(name), tail = low.substr(low.rfind('/') + 1);
      for (const auto& model : catalog.models)
        if (to_lower(model.name).find(tail) != std::string::npos)
          near += concat(near.empty() ? "; did you mean " : ", ", model.name);
      return Error{Code::kNotFound, concat("MODELS: no model ", in_quotes(name),
                                           " in the catalog (", catalog.source, ")", near)};
    }
  std::vector<ModelEntry> selected;
  for (const auto& model : catalog.models)
    if (std::find(wanted.begin(), wanted.end(), model.name) != wanted.end())
      selected.push_back(model);
  return selected;
}

}  // namespace sis::server
