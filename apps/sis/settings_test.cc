#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/dotenv.h"
#include "commands.h"
#include "serve/server/settings_table.h"

namespace sis::apps {
namespace {

struct Outcome {
  int code;
  std::string out, err;
};

Outcome run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "sis settings");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = settings_main(static_cast<int>(argv.size()), argv.data());
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

// In a folder of its own, so that no env file of the checkout is read.
class SettingsCommand : public testing::Test {
 protected:
  SettingsCommand() : here_(std::filesystem::current_path()) {
    const auto folder = std::filesystem::path(testing::TempDir()) / "sis_settings_command";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    std::filesystem::current_path(folder);
  }
  ~SettingsCommand() override { std::filesystem::current_path(here_); }
  std::filesystem::path here_;
};

TEST_F(SettingsCommand, TableAndFilter) {
  const auto all = run({"--max-queue-size", "77"});
  EXPECT_EQ(all.code, 0);
  const std::string row = all.out.substr(all.out.find("\nMAX_QUEUE_SIZE ") + 1);
  EXPECT_TRUE(std::regex_search(row, std::regex("^MAX_QUEUE_SIZE +77 +command line +64 +"))) << row;
  EXPECT_NE(all.out.find("MAX_QUEUE_SIZE (command line)"), std::string::npos);
  EXPECT_NE(all.out.find("not used yet"), std::string::npos);
  const auto some = run({"cpu_"});
  EXPECT_NE(some.out.find("CPU_ISA"), std::string::npos);
  EXPECT_EQ(some.out.find("MODELS"), std::string::npos);
}

TEST_F(SettingsCommand, ExitCodesAndOneLineErrors) {
  EXPECT_EQ(run({"--help"}).code, 0);
  const auto typo = run({"--max-qeue-size", "3"});
  EXPECT_EQ(typo.code, 2);
  EXPECT_EQ(typo.err, "sis settings: no flag '--max-qeue-size'; did you mean --max-queue-size?\n");
  std::ofstream(".env") << "\n\nMAX_CONCURRENT=many\n";
  const auto wrong = run({});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_EQ(wrong.out, "");
  EXPECT_EQ(wrong.err,
            "sis settings: MAX_CONCURRENT (.env line 3): want an integer from 1 to 1048576, got "
            "'many'\n");
  EXPECT_EQ(run({"--max-concurrent", "2"}).code, 0);
  EXPECT_EQ(run({"--json", "--env"}).code, 2);
  EXPECT_EQ(run({"zzz"}).code, 2);
}

TEST_F(SettingsCommand, SecretsNeverAppear) {
  for (const char* format : {"--json", "--env", "--set=PORT=1"}) {
    const auto got =
        run({format, "--openai-api-key", "hunter2", "--redis-url", "redis://:hunter2@host"});
    EXPECT_EQ(got.code, 0);
    EXPECT_EQ(got.out.find("hunter2"), std::string::npos);
  }
}

TEST_F(SettingsCommand, JsonIsComplete) {
  const auto got = run({"--json", "--device", "c\xFFpu"});
  const auto rows = nlohmann::json::parse(got.out);
  ASSERT_EQ(rows.size(), server::settings_table().rows().size());
  const auto row = [&](const char* name) -> const nlohmann::json& {
    return *std::find_if(rows.begin(), rows.end(),
                         [&](const auto& r) { return r["name"] == name; });
  };
  EXPECT_EQ(row("MODEL_DEVICE")["source"], "command line");
  EXPECT_EQ(row("EMBEDDING_BATCH_WINDOW_MS")["aliases"][0], "BATCH_WINDOW_MS");
  EXPECT_EQ(row("OPENAI_API_KEY")["secret"], true);
  EXPECT_EQ(row("MODELS")["default"], nullptr);
  EXPECT_EQ(row("CHAT_MAX_CONCURRENT")["default"], "-> MAX_CONCURRENT");
}

// What --env prints, read back, gives the same settings.
TEST_F(SettingsCommand, EnvFileRoundTrips) {
  const std::vector<std::string> odd = {"--models", "a b,c#d", "--host", "it's \"x\" \\ y",
                                        "--no-enable-metrics"};
  auto arguments = odd;
  arguments.push_back("--env");
  const auto first = run(arguments);
  ASSERT_EQ(first.code, 0);
  std::ofstream("env") << first.out;
  const auto settings = Settings::load(server::settings_table(), {});
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_EQ(settings->list("MODELS"), (std::vector<std::string>{"a b", "c#d"}));
  EXPECT_EQ(settings->text("HOST"), "it's \"x\" \\ y");
  EXPECT_FALSE(settings->flag("ENABLE_METRICS"));
  EXPECT_FALSE(settings->is_set("PORT"));
  EXPECT_EQ(run({"--env"}).out, first.out);
}

// docs/settings.md is what the program prints: `./build/release/sis settings --markdown >
// docs/settings.md`.
TEST(SettingsDocument, IsCurrent) {
  std::ifstream file("docs/settings.md");
  const std::string committed((std::istreambuf_iterator<char>(file)),
                              std::istreambuf_iterator<char>());
  EXPECT_EQ(committed, run({"--markdown"}).out);
}

}  // namespace
}  // namespace sis::apps
