#include "serve/server/chat_loader.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "infer/engine/scheduler.h"
#include "infer/models/registry.h"
#include "infer/weights/json_file.h"
#include "serve/server/embed_loader.h"
#include "serve/server/text_loader.h"

namespace sis::server {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The file's object, or an empty one where there is none.
Result<json> read_if_there(const std::string& file) {
  if (!fs::exists(file)) return json::object();
  SIS_ASSIGN(json value, weights::read_json_file(file));
  if (!value.is_object()) return Error{Code::kInvalidArgument, concat(file, ": want an object")};
  return value;
}

void add_id(std::vector<int32_t>& ids, int32_t id) {
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

// eos_token_id: a number or a list of them.
Status add_eos_ids(const json& config, const std::string& file, int32_t vocab,
                   std::vector<int32_t>& ids) {
  const auto it = config.find("eos_token_id");
  if (it == config.end() || it->is_null()) return {};
  const json list = it->is_array() ? *it : json::array({*it});
  for (const auto& id : list) {
    if (!id.is_number_integer() || id < 0 || id >= vocab)
      return Error{Code::kInvalidArgument, concat(file, ": eos_token_id: want ids 0..", vocab - 1,
                                                  ", got ", in_quotes(it->dump()))};
    add_id(ids, id.get<int32_t>());
  }
  return {};
}

template <class T>
Status read_number(const json& config, const std::string& file, const char* key, double min,
                   double max, std::optional<T>& out) {
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return {};
  if (!it->is_number() || !(it->get<double>() >= min) || !(it->get<double>() <= max))
    return Error{Code::kInvalidArgument, concat(file, ": ", key, ": want a number ", min, "..", max,
                                                ", got ", in_quotes(it->dump()))};
  out = static_cast<T>(it->get<double>());
  return {};
}

Result<DType> choose_kv_dtype(const std::string& word, DType compute) {
  if (compute == DType::kF32) {
    if (word == "auto" || word == "f32") return DType::kF32;
    return Error{Code::kInvalidArgument,
                 concat("kv_dtype: with dtype f32 want auto or f32, got ", in_quotes(word))};
  }
  if (word == "auto" || word == "bf16") return DType::kBf16;
  if (word == "int8") return DType::kI8;
  return Error{Code::kInvalidArgument, concat("kv_dtype: with dtype ", dtype_name(compute),
                                              " want auto, bf16 or int8, got ", in_quotes(word))};
}

}  // namespace

Result<tasks::GenerationConfig> read_generation_config(const std::string& folder,
                                                       const text::Tokenizer& tokenizer) {
  tasks::GenerationConfig out;
  const int32_t vocab = 1 << 24;  // ids are compared with sampled ones only
  const std::string file = folder + "/generation_config.json";
  SIS_ASSIGN(const json generation, read_if_there(file));
  SIS_TRY(add_eos_ids(generation, file, vocab, out.eos_ids));
  if (generation.value("do_sample", json(true)) != json(false)) {
    SIS_TRY(read_number(generation, file, "temperature", 0, 100, out.temperature));
    SIS_TRY(read_number(generation, file, "top_p", 0, 1, out.top_p));
    SIS_TRY(read_number(generation, file, "min_p", 0, 1, out.min_p));
    SIS_TRY(read_number(generation, file, "top_k", 0, 1 << 24, out.top_k));
  }
  SIS_TRY(read_number(generation, file, "repetition_penalty", 1e-3, 1e3, out.repetition_penalty));

  const std::string config_file = folder + "/config.json";
  SIS_ASSIGN(const json config, read_if_there(config_file));
  if (out.eos_ids.empty()) {
    SIS_TRY(add_eos_ids(config, config_file, vocab, out.eos_ids));
    if (const auto text = config.find("text_config"); text != config.end() && text->is_object())
      SIS_TRY(add_eos_ids(*text, config_file, vocab, out.eos_ids));
  }
  // The token that closes a turn is often named here alone.
  SIS_ASSIGN(const json words, read_if_there(folder + "/tokenizer_config.json"));
  if (const auto eos = words.find("eos_token"); eos != words.end()) {
    const json& text = eos->is_object() && eos->contains("content") ? (*eos)["content"] : *eos;
    if (text.is_string())
      if (const auto id = tokenizer.token_to_id(text.get<std::string>())) add_id(out.eos_ids, *id);
  }
  return out;
}

Result<std::unique_ptr<nn::Decoder>> load_decoder(const ChatLoadOptions& options,
                                                  engine::DeviceExecutor& executor) {
  SIS_ASSIGN(const DType compute, choose_dtype(options.dtype, executor.isa()));
  const auto kv = choose_kv_dtype(options.kv_dtype, compute);
  if (!kv.ok()) return prefixed(concat("model ", options.name), Error(kv.error()));
  std::unique_ptr<nn::Decoder> decoder;
  SIS_TRY(executor.try_call([&](ops::Context& context) -> Status {
    SIS_ASSIGN(decoder, models::load_decoder(options.folder,
                                             {.compute = compute, .kv = *kv, .isa = context.isa},
                                             context.team));
    return {};
  }));
  return decoder;
}

Result<tasks::ChatModel> load_chat_model(const ChatLoadOptions& options,
                                         engine::DeviceExecutor& executor) {
  if (!fs::is_directory(options.folder))
    return Error{Code::kNotFound,
                 concat("model ", options.name, ": no folder ", in_quotes(options.folder))};
  tasks::ChatModel model;
  model.name = options.name;
  SIS_ASSIGN(model.tokenizer, text::Tokenizer::from_folder(options.folder));
  SIS_ASSIGN(model.templates, load_templates(options.folder));
  SIS_ASSIGN(model.generation, read_generation_config(options.folder, *model.tokenizer));
  SIS_ASSIGN(model.decoder, load_decoder(options, executor));
  return model;
}

Result<KvPlan> plan_kv_cache(const nn::Decoder& decoder, const KvPlanOptions& options) {
  const auto layout = decoder.kv_layout();
  const auto blocks_of = [](int64_t tokens) {
    return (tokens + kernels::kKvBlockTokens - 1) / kernels::kKvBlockTokens;
  };
  KvPlan plan;
  plan.context = options.context > 0 ? std::min(options.context, decoder.info().tokens_max)
                                     : std::min(options.context_default, decoder.info().tokens_max);
  const int64_t one = blocks_of(plan.context) * layout.block_bytes();
  int64_t bytes = options.memory_mb << 20;
  if (options.memory_mb == 0) {
    // The last of all sequences is admitted beside what admissions leave free.
    int64_t all = blocks_of(plan.context) * options.sequences;
    if (options.sequences > 1) all = engine::with_admission_reserve(all);
    bytes = std::min(all * layout.block_bytes(), std::max(one, options.memory_free_bytes / 4));
  }
  if (bytes < one)
    return Error{Code::kInvalidArgument,
                 concat("kv_memory_mb: a context of ", plan.context, " tokens needs ",
                        (one + (1 << 20) - 1) >> 20, " MiB, got ", bytes >> 20,
                        "; raise it, lower context, or choose kv_dtype int8")};
  if (options.memory_free_bytes > 0 && bytes > std::max(one, options.memory_free_bytes))
    return Error{Code::kInvalidArgument,
                 concat("kv_memory_mb: want at most the ", options.memory_free_bytes >> 20,
                        " MiB that are free, got ", bytes >> 20)};
  const int64_t blocks = bytes / layout.block_bytes();
  plan.bytes = blocks * layout.block_bytes();
  plan.tokens = blocks * kernels::kKvBlockTokens;
  return plan;
}

int64_t memory_available_bytes() {
  int64_t available = 0;
  std::ifstream info("/proc/meminfo");
  for (std::string key; info >> key;) {
    int64_t kib = 0;
    if (key == "MemAvailable:" && info >> kib) available = kib << 10;
    info.ignore(1000, '\n');
  }
  // A container's own bound, where there is one.
  int64_t limit = 0, used = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0 &&
      std::ifstream("/sys/fs/cgroup/memory.current") >> used)
    available = std::min(available, std::max<int64_t>(0, limit - used));
  return available;
}

}  // namespace sis::server
