#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/bench/commands.h"
#include "perf/bench/server_flags.h"
#include "perf/load/audio.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownBytes = 60;

struct SmokeFlags {
  ServerFlags server;
  std::string embed_model, chat_model, audio_model, text = "hello world", audio_file = "sample.wav";
  Duration timeout = from_seconds(60);
  bool verify_ssl = false;
};

void add_flags(FlagSet& flags, SmokeFlags& values) {
  flags.section("Server");
  flags.text({{"base-url", "url"}, {"BASE_URL"}}, &values.server.base_url, "URL",
             "where the server is");
  flags.text({{"api-key", "token"}, {"API_KEY", "API_TOKEN"}}, &values.server.api_key, "KEY",
             "sent as bearer token");
  flags.section("Calls");
  flags.text({{"embed-model"}, {"EMBED_MODEL"}}, &values.embed_model, "NAME",
             "default: the first of /v1/models with vectors");
  flags.text({{"chat-model"}, {"CHAT_MODEL"}}, &values.chat_model, "NAME",
             "default: the first that is neither for vectors, audio nor ranking");
  flags.text({{"audio-model"}, {"AUDIO_MODEL"}}, &values.audio_model, "NAME",
             "default: the first with 'whisper' in its name; none: no audio call");
  flags.text({{"text"}, {"TEXT"}}, &values.text, "TEXT", "to embed and to answer");
  flags.text({{"audio-file"}, {"AUDIO_FILE"}}, &values.audio_file, "FILE",
             "to transcribe; if sample.wav is missing, a second of silence");
  flags.duration({{"timeout"}, {"TIMEOUT"}}, &values.timeout, from_ms(1), from_seconds(86400),
                 "of one call");
  flags.toggle({{"verify-ssl"}, {"VERIFY_SSL"}}, &values.verify_ssl,
               "check the server's certificate (https)");
}

bool has_word(const std::string& model, const char* word) {
  return to_lower(model).find(word) != std::string::npos;
}

// Fills in the models that were not named.
Status choose_models(SmokeFlags& values, const Server& server) {
  if (!values.embed_model.empty() && !values.chat_model.empty() && !values.audio_model.empty())
    return {};
  SIS_ASSIGN(const auto listed,
             values.server.list_models(server, values.timeout, values.verify_ssl));
  for (const ListedModel& model : listed) {
    const bool audio = has_word(model.id, "whisper");
    const bool other = audio || has_word(model.id, "rerank") || has_word(model.id, "sentiment");
    std::string& name = model.embeds ? values.embed_model
                        : audio      ? values.audio_model
                                     : values.chat_model;
    if (name.empty() && (audio || model.embeds || !other)) name = model.id;
  }
  return {};
}

class Smoke {
 public:
  Smoke(const SmokeFlags& values, const Server& server) : values_(values), server_(server) {}

  Result<std::string> embeddings() const {
    const Json body = {{"model", values_.embed_model}, {"input", values_.text}};
    SIS_ASSIGN(const Json answer, post("/embeddings", body.dump(), "application/json"));
    try {
      const Json& vector = answer.at("data").at(0).at("embedding");
      if (!vector.is_array() || vector.empty()) return wrong("data[0].embedding: want numbers");
      return concat("vector of ", vector.size());
    } catch (const nlohmann::json::exception&) {
      return wrong("want data[0].embedding");
    }
  }

  Result<std::string> chat() const {
    const Json body = {{"model", values_.chat_model},
                       {"messages", Json::array({{{"role", "user"}, {"content", values_.text}}})},
                       {"max_tokens", 32}};
    SIS_ASSIGN(const Json answer, post("/chat/completions", body.dump(), "application/json"));
    try {
      const Json& content = answer.at("choices").at(0).at("message").at("content");
      return shown(content);
    } catch (const nlohmann::json::exception&) {
      return wrong("want choices[0].message.content");
    }
  }

  Result<std::string> audio(const AudioFile& file) const {
    const std::vector<AudioFile> files{file};
    SIS_ASSIGN(const auto workload,
               AudioWorkload::create({.url = server_.url,
                                      .path = server_.prefix + "/audio/transcriptions",
                                      .model = values_.audio_model,
                                      .files = &files}));
    // The same form as under load, with a head of its own.
    std::string scratch;
    const std::string_view bytes = workload->request(0, scratch);
    const size_t head = bytes.find("\r\n\r\n");
    static constexpr std::string_view kType = "Content-Type: ";
    const size_t type = bytes.find(kType) + kType.size();
    SIS_ASSIGN(const Json answer,
               post("/audio/transcriptions", std::string(bytes.substr(head + 4)),
                    std::string(bytes.substr(type, bytes.find("\r\n", type) - type))));
    return answer.contains("text") ? shown(answer["text"]) : wrong("want text");
  }

 private:
  static Error wrong(std::string_view want) {
    return Error{Code::kUnavailable, concat("answer: ", want)};
  }
  static Result<std::string> shown(const Json& text) {
    if (!text.is_string()) return wrong("want a text");
    return in_quotes(text.get_ref<const std::string&>(), kShownBytes);
  }

  Result<Json> post(const std::string& path, std::string body, const std::string& type) const {
    net::FetchRequest request{.method = "POST",
                              .target = net::join_target(server_.url, server_.prefix + path),
                              .body = std::move(body),
                              .timeout = values_.timeout,
                              .verify_tls = values_.verify_ssl};
    request.headers = {{"Content-Type", type}, {"User-Agent", "sis-bench"}};
    if (!values_.server.api_key.empty())
      request.headers.emplace_back("Authorization", concat("Bearer ", values_.server.api_key));
    SIS_ASSIGN(const net::FetchResponse response, net::fetch(server_.url, request));
    if (response.status != 200)
      return Error{Code::kUnavailable,
                   concat("status ", response.status, ": ", error_message(response.body))};
    Json answer = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    if (!answer.is_object()) return wrong("want a JSON object");
    return answer;
  }

  const SmokeFlags& values_;
  const Server& server_;
};

}  // namespace

int bench_smoke(const BenchContext& context, const std::vector<std::string>& arguments) {
  SmokeFlags values;
  FlagSet flags("sis bench smoke [flags]",
                "One call each to embeddings, chat and audio: prints the vector's size and the "
                "first 60 bytes\nof the texts. Exit code 1 when a call failed.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  if (!is_utf8(values.text))
    return complain(context, Error{Code::kInvalidArgument, "--text: want UTF-8"}, kExitUsage);
  const auto server = values.server.resolve(flags);
  if (!server.ok()) return complain(context, server.error(), kExitUsage);
  AudioFile recording = silent_wav(1.0, "sample.wav");
  std::error_code error;
  if (flags.source("audio-file") != FlagSource::kDefault ||
      std::filesystem::exists(values.audio_file, error)) {
    auto read = read_audio(values.audio_file);
    if (!read.ok()) return complain(context, prefixed("--audio-file", read.error()), kExitUsage);
    recording = std::move(read->front());
  }
  if (Status status = choose_models(values, *server); !status.ok())
    return complain(context, status.error(), kExitFailed);

  const Smoke smoke(values, *server);
  int exit_code = kExitOk, calls = 0;
  const auto call = [&](const char* what, const std::string& model, const auto& ask) {
    if (model.empty()) {
      fmt::print(context.out, "{:<11}no model, not called\n", what);
      return;
    }
    ++calls;
    const TimePoint begin = std::chrono::steady_clock::now();
    const Result<std::string> answer = ask();
    const double ms = to_ms(std::chrono::steady_clock::now() - begin);
    if (answer.ok()) {
      fmt::print(context.out, "{:<11}{}: {} in {:.1f} ms\n", what, model, *answer, ms);
    } else {
      exit_code = kExitFailed;
      fmt::print(context.out, "{:<11}{}: FAILED: {}\n", what, model, answer.error().message);
    }
  };
  call("embeddings", values.embed_model, [&] { return smoke.embeddings(); });
  call("chat", values.chat_model, [&] { return smoke.chat(); });
  call("audio", values.audio_model, [&] { return smoke.audio(recording); });
  return calls == 0 ? kExitFailed : exit_code;
}

}  // namespace sis::perf
