// Whole `sis bench audio` and `smoke` commands against a scripted server.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "perf/bench/bench_fixture.h"
#include "perf/bench/scripted_json_server.h"
#include "perf/load/audio_file.h"

namespace sis::perf {
namespace {

using Json = nlohmann::json;
using net::plain_answer;

std::string field(const Asked& asked, const std::string& name) {
  const std::string mark = "name=\"" + name + "\"";
  size_t at = asked.body.find(mark);
  if (at == std::string::npos) return "(none)";
  at = asked.body.find("\r\n\r\n", at) + 4;
  return asked.body.substr(at, asked.body.find("\r\n--", at) - at);
}

TEST(BenchAudio, SilenceIsMadeWhenThereIsNoSample) {
  ASSERT_FALSE(std::filesystem::exists("sample.wav"));
  ScriptedJsonServer server([](const Asked&) { return plain_answer(R"({"text":""})"); });
  const Output output = bench_with({"audio", "--base-url", server.url(), "--", "--n-requests", "8",
                                    "--concurrency", "4", "--json", "-"});
  ASSERT_EQ(output.exit_code, 0) << output.messages;
  const Json run = Json::parse(output.out)["runs"][0];
  EXPECT_EQ(run["successes"], 8);
  EXPECT_EQ(run["connections"], 4);
  EXPECT_EQ(run["audio_seconds"], 8.0);
  EXPECT_NEAR(run["audio_seconds_per_s"].get<double>(), run["requests_per_s"].get<double>(), 1e-6);
  const Asked asked = server.asked()[0];
  EXPECT_EQ(asked.path, "/v1/audio/transcriptions");
  EXPECT_EQ(field(asked, "model"), "openai/whisper-tiny");
  EXPECT_EQ(field(asked, "response_format"), "json");
  EXPECT_EQ(field(asked, "file"), silent_wav(1, "sample.wav").bytes);
  EXPECT_FALSE(std::filesystem::exists("sample.wav"));
}

TEST(BenchAudio, FoldersTakeTurnsAndTheirLengthsCount) {
  const std::string folder = testing::TempDir() + "audio_test_folder";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/a.wav") << silent_wav(0.5, "a.wav").bytes;
  std::ofstream(folder + "/b.wav") << silent_wav(2, "b.wav").bytes;
  ScriptedJsonServer server([](const Asked&) { return plain_answer("WEBVTT\n\n"); });
  const Output output =
      bench_with({"audio", "--base-url", server.url(), "--audio-file", folder, "--response-format",
                  "vtt", "--language", "en", "--translate", "--n-requests", "4", "--json", "-"},
                 {{"MODEL_NAME", "w"}});
  ASSERT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(Json::parse(output.out)["runs"][0]["audio_seconds"], 5.0);
  EXPECT_EQ(server.asked()[0].path, "/v1/audio/translations");
  EXPECT_EQ(field(server.asked()[0], "language"), "en");
  EXPECT_EQ(field(server.asked()[0], "model"), "w");
  std::filesystem::remove_all(folder);
}

TEST(BenchAudio, WrongAnswersAndFlagsAreNamed) {
  ScriptedJsonServer server([](const Asked&) { return plain_answer(R"({"text":"x"})"); });
  const Output output = bench_with({"audio", "--base-url", server.url(), "--n-requests", "1"},
                                   {{"RESPONSE_FORMAT", "srt"}});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_NE(output.out.find("srt: want the number 1"), std::string::npos) << output.out;
  const Output missing = bench_with({"audio", "--audio-file", "/no/such.wav"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_NE(missing.messages.find("--audio-file: /no/such.wav"), std::string::npos)
      << missing.messages;
  EXPECT_EQ(bench_with({"audio", "--response-format", "xml"}).exit_code, 2);
}

TEST(BenchSmoke, CallsEachOnceAndTellsWhatFailed) {
  ScriptedJsonServer server([](const Asked& asked) {
    if (asked.path == "/v1/models")
      return plain_answer(
          R"({"data":[{"id":"e","embedding_dimensions":3},{"id":"whisper"},{"id":"c"}]})");
    if (asked.path == "/v1/embeddings")
      return plain_answer(R"({"data":[{"index":0,"embedding":[1,2,3]}]})");
    if (asked.path == "/v1/chat/completions")
      return plain_answer(R"({"choices":[{"message":{"content":")" + std::string(100, 'a') +
                          R"("}}]})");
    return plain_answer(R"({"error":{"message":"no ears"}})", 400);
  });
  const Output output = bench_with({"smoke", "--base-url", server.url()});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_NE(output.out.find("embeddings e: vector of 3 in "), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("chat       c: '" + std::string(60, 'a') + "...'"), std::string::npos)
      << output.out;
  EXPECT_NE(output.out.find("audio      whisper: FAILED: status 400: 'no ears'"), std::string::npos)
      << output.out;
  EXPECT_EQ(server.asked().size(), 4u);
}

}  // namespace
}  // namespace sis::perf
