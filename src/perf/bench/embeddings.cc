#include "perf/load/embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/bench/commands.h"

namespace sis::perf {
namespace {

struct EmbeddingsFlags {
  LoadFlags load;
  std::string base_url = "http://localhost:8000";
  std::vector<std::string> models;
  std::string text = "hello world", text_file, lengths, encoding, api_key;
  int64_t batch = 1, check_every = 64;
  bool distinct = false, shuffle = false;
};

void add_flags(FlagSet& flags, EmbeddingsFlags& values) {
  flags.section("Server");
  flags.text({{"base-url"}, {"BASE_URL"}}, &values.base_url, "URL", "where the server is");
  flags.custom(
      {{"models", "model-name", "model"}, {"MODEL_NAME", "MODELS"}}, "A,B", "",
      "models to measure, one after the other; default: the first that /v1/models lists",
      [&values](std::string_view text) -> Status {
        values.models = split_list(text);
        if (values.models.empty())
          return Error{Code::kInvalidArgument, concat("want model names, got ", in_quotes(text))};
        return {};
      });
  flags.text({{"api-key"}, {"API_KEY"}}, &values.api_key, "KEY", "sent as bearer token");
  flags.section("Texts");
  flags.text({{"text"}, {"TEXT"}}, &values.text, "TEXT", "the text to embed");
  flags.text({{"text-file"}, {"TEXT_FILE"}}, &values.text_file, "FILE",
             "one text per line, used in turn");
  flags.toggle({{"shuffle"}, {}}, &values.shuffle,
               "put the file's lines in random order first (--seed)");
  flags.text({{"lengths"}, {"LENGTHS"}}, &values.lengths, "SPEC",
             "made-up texts of so many words: 16,128,512 or uniform:10:200 or lognormal:180");
  flags.integer({{"batch"}, {"BATCH"}}, &values.batch, 1, 10000, "texts per request");
  flags.toggle({{"distinct"}, {}}, &values.distinct,
               "make every text unique, so that no cache of texts helps");
  flags.choice({{"encoding-format"}, {"ENCODING_FORMAT"}}, &values.encoding, {"float", "base64"},
               "of the vectors; default: the server's");
  flags.integer({{"check-every"}, {}}, &values.check_every, 1, 1'000'000'000,
                "parse every N-th answer whole, and always the first 100");
  values.load.add_to(flags);
}

// The first model of the server's list; one with a vector size, if the list tells sizes.
Result<std::string> first_model(const net::Url& url, const std::string& path,
                                const EmbeddingsFlags& flags) {
  net::FetchRequest request{.target = net::join_target(url, path),
                            .timeout = flags.load.timeout,
                            .verify_tls = flags.load.verify_ssl};
  request.headers = {{"Accept", "application/json"}, {"User-Agent", "sis-bench"}};
  if (!flags.api_key.empty())
    request.headers.emplace_back("Authorization", concat("Bearer ", flags.api_key));
  SIS_ASSIGN(const net::FetchResponse response, net::fetch(url, request));
  const auto hint = concat("GET ", request.target, ": ");
  if (response.status != 200)
    return Error{Code::kUnavailable,
                 concat(hint, "status ", response.status, " (", error_message(response.body),
                        "); name the model with --models")};
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  const auto data = json.is_object() ? json.find("data") : json.end();
  if (!json.is_object() || data == json.end() || !data->is_array())
    return Error{Code::kUnavailable,
                 concat(hint, "want {\"data\": [...]}, got ", in_quotes(response.body),
                        "; name the model with --models")};
  std::string first;
  for (const auto& model : *data) {
    if (!model.is_object() || !model.contains("id") || !model["id"].is_string()) continue;
    const auto id = model["id"].get<std::string>();
    if (first.empty()) first = id;
    if (const auto size = model.find("embedding_dimensions");
        size != model.end() && size->is_number())
      return id;
  }
  if (first.empty())
    return Error{Code::kUnavailable,
                 concat(hint, "the server lists no model; name one with --models")};
  return first;
}

std::string load_text(const EmbeddingsFlags& flags, size_t texts) {
  std::string what;
  if (!flags.lengths.empty())
    what = concat("made-up, ", flags.lengths, " words");
  else if (!flags.text_file.empty())
    what = concat(texts, " lines of ", flags.text_file, flags.shuffle ? ", shuffled" : "");
  else
    what = in_quotes(flags.text, 40);
  std::string out =
      concat(flags.batch, flags.batch == 1 ? " text" : " texts", " per request: ", what);
  out += flags.distinct ? ", every text unique" : ", repeated";
  if (!flags.encoding.empty()) out += concat(", vectors as ", flags.encoding);
  return out;
}

void shuffle(std::vector<std::string>& items, uint64_t seed) {
  Rng rng(seed);
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.below(i)]);
}

// Where --text, --text-file and --lengths are all given, by flag or environment, the flag decides.
Status choose_texts(const FlagSet& flags, EmbeddingsFlags& values) {
  int by_flag = 0;
  for (const char* name : {"text", "text-file", "lengths"})
    by_flag += flags.source(name) == FlagSource::kFlag;
  if (by_flag > 1)
    return Error{Code::kInvalidArgument, "--text, --text-file, --lengths: want only one of them"};
  if (flags.source("text") == FlagSource::kFlag) values.text_file.clear(), values.lengths.clear();
  if (flags.source("text-file") == FlagSource::kFlag) values.lengths.clear();
  if (flags.source("lengths") == FlagSource::kFlag) values.text_file.clear();
  if (!values.text_file.empty() && !values.lengths.empty())
    return Error{Code::kInvalidArgument, "TEXT_FILE, LENGTHS: want only one of them"};
  if (values.shuffle && values.text_file.empty())
    return Error{Code::kInvalidArgument, "--shuffle: wants --text-file as well"};
  if (!is_utf8(values.text)) return Error{Code::kInvalidArgument, "--text: want UTF-8"};
  for (const auto& model : values.models)
    if (!is_utf8(model))
      return Error{Code::kInvalidArgument, concat("--models: ", in_quotes(model), " is not UTF-8")};
  return {};
}

}  // namespace

int bench_embeddings(const BenchContext& context, const std::vector<std::string>& arguments) {
  EmbeddingsFlags values;
  FlagSet flags(
      "sis bench embeddings [flags]",
      "Sends texts to POST /v1/embeddings and tells latency, throughput, token rate and errors.");
  add_flags(flags, values);
  const auto others = flags.parse(arguments, context.environment);
  if (!others.ok()) return complain(context, others.error(), kExitUsage);
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return kExitOk;
  }
  if (!others->empty())
    return complain(
        context,
        Error{Code::kInvalidArgument, concat("want flags only, got ", in_quotes(others->front()))},
        kExitUsage);
  if (Status status = choose_texts(flags, values); !status.ok())
    return complain(context, status.error(), kExitUsage);
  const char* url_name =
      flags.source("base-url") == FlagSource::kEnvironment ? "BASE_URL" : "--base-url";
  const auto url = net::parse_url(values.base_url);
  if (!url.ok()) return complain(context, prefixed(url_name, url.error()), kExitUsage);
  const auto options = values.load.resolve(flags, *url);
  if (!options.ok()) return complain(context, options.error(), kExitUsage);

  // OpenAI clients are given URLs that end in /v1; both forms mean the same server.
  std::string_view base_path = std::string_view(url->target).substr(0, url->target.find('?'));
  while (base_path.ends_with('/')) base_path.remove_suffix(1);
  const std::string prefix = base_path.ends_with("/v1") ? "" : "/v1";

  EmbeddingsOptions embeddings{
      .url = *url, .path = prefix + "/embeddings", .api_key = values.api_key, .text = values.text};
  if (!values.text_file.empty()) {
    auto lines = read_lines(values.text_file);
    if (!lines.ok()) return complain(context, lines.error(), kExitUsage);
    embeddings.texts = std::move(*lines);
    if (values.shuffle) shuffle(embeddings.texts, options->seed);
  }
  if (!values.lengths.empty()) {
    const auto lengths = LengthSpec::parse(values.lengths);
    if (!lengths.ok()) return complain(context, lengths.error(), kExitUsage);
    embeddings.lengths = *lengths;
  }
  embeddings.batch = static_cast<int>(values.batch);
  if (!values.encoding.empty())
    embeddings.encoding =
        values.encoding == "float" ? VectorEncoding::kFloat : VectorEncoding::kBase64;
  embeddings.distinct = values.distinct;
  // A run must not find the texts of the run before it in a cache, so the numbers begin at the time
  // of day.
  embeddings.salt = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                          std::chrono::milliseconds(1))
                    << 16;
  embeddings.seed = options->seed;
  embeddings.keep_alive = options->keep_alive;
  embeddings.requests = options->requests;
  embeddings.check_every = static_cast<uint64_t>(values.check_every);

  const std::string started = utc_now();
  if (values.models.empty()) {
    const auto model = first_model(*url, prefix + "/models", values);
    if (!model.ok()) return complain(context, model.error(), kExitFailed);
    values.models = {*model};
  }
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  int exit_code = kExitOk;
  for (const auto& model : values.models) {
    embeddings.model = model;
    const auto workload = EmbeddingsWorkload::create(embeddings);
    if (!workload.ok()) return complain(context, workload.error(), kExitUsage);
    RunLabel label{.what = "embeddings",
                   .model = model,
                   .load = load_text(values, embeddings.texts.size()),
                   .items_name = "texts",
                   .counts_tokens = true};
    if (!runs.empty()) fmt::print(values.load.json == "-" ? context.messages : context.out, "\n");
    exit_code = std::max(exit_code,
                         run_and_report(context, values.load, *options, label, **workload, runs));
    if (context.stop != nullptr && context.stop->load()) break;
  }
  return std::max(exit_code, write_json(context, values.load, started, runs));
}

}  // namespace sis::perf
