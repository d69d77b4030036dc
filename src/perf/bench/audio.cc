#include "perf/load/audio.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/each_model.h"
#include "perf/bench/server_flags.h"

namespace sis::perf {
namespace {

constexpr const char* kDefaultModel = "openai/whisper-tiny";

struct AudioFlags {
  LoadFlags load;
  ServerFlags server;
  std::string file = "sample.wav", format = "json", language, prompt, temperature;
  std::vector<std::string> granularities;
  bool translate = false;
};

void add_flags(FlagSet& flags, AudioFlags& values) {
  values.server.add_to(flags, kDefaultModel);
  flags.section("Recordings");
  flags.text({{"audio-file"}, {"AUDIO_FILE"}}, &values.file, "PATH",
             "a recording, or a folder of them, used in turn; if sample.wav is missing, a second "
             "of silence");
  flags.choice({{"response-format"}, {"RESPONSE_FORMAT"}}, &values.format,
               {"json", "text", "verbose_json", "srt", "vtt"}, "of the transcriptions");
  flags.text({{"language"}, {"LANGUAGE"}}, &values.language, "CODE",
             "of the recordings, like en; default: the server finds out");
  flags.text({{"prompt"}, {"PROMPT"}}, &values.prompt, "TEXT", "to guide the transcription");
  flags.custom(
      {{"temperature"}, {"TEMPERATURE"}}, "X", "", "of sampling",
      [&values](std::string_view text) -> Status {
        const auto number = parse_double(text);
        if (!number || *number < 0 || *number > 2)
          return Error{Code::kInvalidArgument, concat("want a number 0..2, got ", in_quotes(text))};
        values.temperature = text;
        return {};
      });
  flags.custom({{"timestamp-granularities"}, {}}, "word,segment", "",
               "times wanted in verbose_json", [&values](std::string_view text) -> Status {
                 values.granularities = split_list(text);
                 for (const auto& word : values.granularities)
                   if (word != "word" && word != "segment")
                     return Error{Code::kInvalidArgument,
                                  concat("want word or segment, got ", in_quotes(word))};
                 return {};
               });
  flags.toggle({{"translate"}, {}}, &values.translate,
               "post to /v1/audio/translations: English text of any language");
  values.load.requests = 10;
  values.load.concurrencies = {.values = {2}};
  values.load.timeout = from_seconds(60);
  values.load.add_to(flags);
}

Result<std::vector<AudioFile>> load_audio(const AudioFlags& values, const FlagSet& flags) {
  std::error_code error;
  if (flags.source("audio-file") == FlagSource::kDefault &&
      !std::filesystem::exists(values.file, error))
    return std::vector<AudioFile>{silent_wav(1.0, values.file)};
  auto files = read_audio(values.file);
  return files.ok() ? std::move(files) : prefixed("--audio-file", files.error());
}

std::string load_text(const AudioFlags& values, const std::vector<AudioFile>& files) {
  double seconds = 0;
  size_t bytes = 0, unknown = 0;
  for (const AudioFile& file : files) {
    seconds += file.seconds.value_or(0);
    bytes += file.bytes.size();
    unknown += file.seconds ? 0 : 1;
  }
  std::string out =
      files.size() == 1 ? files.front().name : concat(files.size(), " recordings of ", values.file);
  out += fmt::format(", {:.1f} s and {} bytes in all", seconds, bytes);
  if (unknown > 0) out += concat(" (", unknown, " of unknown length)");
  return out + concat(", answers as ", values.format);
}

}  // namespace

int bench_audio(const BenchContext& context, const std::vector<std::string>& arguments) {
  AudioFlags values;
  FlagSet flags("sis bench audio [flags]",
                "Uploads recordings to POST /v1/audio/transcriptions and tells latency, seconds of "
                "audio per\nsecond (the real-time factor) and errors.");
  add_flags(flags, values);
  if (const auto exit_code = parse_flags(context, flags, arguments)) return *exit_code;
  for (const auto* text : {&values.language, &values.prompt})
    if (!is_utf8(*text))
      return complain(context, Error{Code::kInvalidArgument, "--language, --prompt: want UTF-8"},
                      kExitUsage);
  const auto server = values.server.resolve(flags);
  if (!server.ok()) return complain(context, server.error(), kExitUsage);
  const auto options = values.load.resolve(flags, server->url);
  if (!options.ok()) return complain(context, options.error(), kExitUsage);
  const auto files = load_audio(values, flags);
  if (!files.ok()) return complain(context, files.error(), kExitUsage);
  if (values.server.models.empty()) values.server.models = {kDefaultModel};

  return run_each_model(
      context, values.load, *options, values.server.models,
      [&](const std::string& model, RunLabel& label) -> Result<std::unique_ptr<Workload>> {
        const char* path = values.translate ? "/audio/translations" : "/audio/transcriptions";
        SIS_ASSIGN(auto workload,
                   AudioWorkload::create({.url = server->url,
                                          .path = server->prefix + path,
                                          .model = model,
                                          .api_key = values.server.api_key,
                                          .files = &*files,
                                          .format = *find_audio_format(values.format),
                                          .language = values.language,
                                          .prompt = values.prompt,
                                          .temperature = values.temperature,
                                          .granularities = values.granularities,
                                          .keep_alive = options->keep_alive}));
        label.what = "audio";
        label.load = load_text(values, *files);
        label.amount_name = "audio_seconds";
        return std::unique_ptr<Workload>(std::move(workload));
      });
}

}  // namespace sis::perf
