#include "base/settings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sis {
namespace {

const SettingTable& table() {
  static const SettingTable rows({
      {.name = "SIZE", .type = SettingType::kInt, .initial = "4", .least = 1, .most = 1000},
      {.name = "QUEUE_SIZE", .type = SettingType::kInt, .fallbacks = {{"SIZE"}}, .floor = 2},
      {.name = "DEEP_SIZE", .type = SettingType::kInt, .fallbacks = {{"QUEUE_SIZE"}}},
      {.name = "WINDOW_MS",
       .type = SettingType::kMillis,
       .initial = "6",
       .aliases = {"OLD_WINDOW_MS", "ANCIENT_MS"},
       .least = 0},
      {.name = "TIMEOUT_SEC", .type = SettingType::kSeconds, .initial = "2.5", .least = 0},
      {.name = "ENABLE_IT", .type = SettingType::kBool, .initial = "1"},
      {.name = "NAMES", .type = SettingType::kList},
      {.name = "FORMAT",
       .type = SettingType::kEnum,
       .initial = "json",
       .choices = {"json", "text"}},
      {.name = "MODEL_DEVICE", .initial = "auto", .flags = {"device"}},
      {.name = "TOKEN", .initial = "changeme", .secret = true},
      {.name = "PIN", .type = SettingType::kInt, .secret = true},
  });
  return rows;
}

class SettingsFiles : public testing::Test {
 protected:
  SettingsFiles()
      : folder_(std::filesystem::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    sources_.folder = folder_;
  }
  ~SettingsFiles() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, const char* text) { std::ofstream(folder_ / name) << text; }
  Settings load() {
    auto settings = Settings::load(table(), sources_);
    EXPECT_TRUE(settings.ok()) << (settings.ok() ? "" : settings.error().message);
    return *std::move(settings);
  }
  std::string error() {
    const auto settings = Settings::load(table(), sources_);
    return settings.ok() ? "no error" : settings.error().message;
  }

  std::filesystem::path folder_;
  SettingSources sources_;
};

// Each source in turn covers the one below; an empty value lets the one below through.
TEST_F(SettingsFiles, Precedence) {
  EXPECT_EQ(load().integer("SIZE"), 4);
  EXPECT_EQ(load().source_of("SIZE"), "default");
  write("env", "# profile\nSIZE=10\n");
  EXPECT_EQ(load().integer("SIZE"), 10);
  EXPECT_EQ(load().source_of("SIZE"), "env line 2");
  write(".env", "size='11'\n");
  EXPECT_EQ(load().integer("SIZE"), 11);
  sources_.environment = {{"SIZE", "12"}, {"size", "99"}};
  EXPECT_EQ(load().integer("SIZE"), 12);  // the exact spelling beats another case
  sources_.command_line = {{"SIZE", "13", "command line"}};
  EXPECT_EQ(load().integer("SIZE"), 13);
  EXPECT_EQ(load().source_of("SIZE"), "command line");
  sources_.command_line[0].value = "";
  sources_.environment = {{"SIZE", "  "}};
  EXPECT_EQ(load().integer("SIZE"), 11);
  write(".env", "SIZE=\nUNKNOWN_NAME=whatever\n");
  EXPECT_EQ(load().integer("SIZE"), 10);
}

// The first name that is set wins inside a source; an older name in a stronger source beats a newer
// in a weaker.
TEST_F(SettingsFiles, Aliases) {
  sources_.environment = {{"ancient_ms", "1"}, {"OLD_WINDOW_MS", "2"}};
  EXPECT_EQ(load().number("WINDOW_MS"), 2);
  EXPECT_EQ(load().source_of("WINDOW_MS"), "environment, as OLD_WINDOW_MS");
  write(".env", "WINDOW_MS=3\n");
  EXPECT_EQ(load().number("WINDOW_MS"), 2);
  EXPECT_EQ(load().duration("WINDOW_MS"), from_ms(2));
  sources_.environment.push_back({"WINDOW_MS", "4"});
  EXPECT_EQ(load().number("WINDOW_MS"), 4);
}

TEST_F(SettingsFiles, FallbackChainAndFloor) {
  EXPECT_EQ(load().integer("DEEP_SIZE"), 4);
  EXPECT_EQ(load().source_of("DEEP_SIZE"), "QUEUE_SIZE (SIZE (default))");
  sources_.environment = {{"SIZE", "7"}};
  EXPECT_EQ(load().integer("DEEP_SIZE"), 7);
  EXPECT_EQ(load().source_of("QUEUE_SIZE"), "SIZE (environment)");
  EXPECT_FALSE(load().is_set("QUEUE_SIZE"));
  sources_.environment.push_back({"QUEUE_SIZE", "0"});
  EXPECT_EQ(load().integer("DEEP_SIZE"), 2);
  EXPECT_TRUE(load().is_set("QUEUE_SIZE"));
}

TEST_F(SettingsFiles, Values) {
  for (const char* yes : {"1", "TRUE", "Yes", "on", "t", "Y"}) {
    sources_.environment = {{"ENABLE_IT", yes}};
    EXPECT_TRUE(load().flag("ENABLE_IT")) << yes;
  }
  for (const char* no : {"0", "False", "NO", "off", "F", "n"}) {
    sources_.environment = {{"ENABLE_IT", no}};
    EXPECT_FALSE(load().flag("ENABLE_IT")) << no;
  }
  sources_.environment = {
      {"NAMES", " a/b , ,c,"}, {"FORMAT", "TEXT"}, {"SIZE", " 5.0 "}, {"TIMEOUT_SEC", "0.25"}};
  const Settings settings = load();
  EXPECT_EQ(settings.list("NAMES"), (std::vector<std::string>{"a/b", "c"}));
  EXPECT_EQ(settings.text("FORMAT"), "text");
  EXPECT_EQ(settings.integer("SIZE"), 5);
  EXPECT_EQ(settings.duration("TIMEOUT_SEC"), from_ms(250));
}

// One line: name, source, expectation, value.
TEST_F(SettingsFiles, WrongValues) {
  sources_.environment = {{"size", "four"}};
  EXPECT_EQ(error(), "SIZE (environment): want an integer from 1 to 1000, got 'four'");
  for (const char* bad : {"0", "1001", "4.5", "0x10", "1e2", "99999999999999999999", "+-4", "4."}) {
    sources_.environment = {{"SIZE", bad}};
    EXPECT_NE(error(), "no error") << bad;
  }
  sources_.environment = {};
  write(".env", "\n\nENABLE_IT=maybe\n");
  EXPECT_EQ(
      error(),
      "ENABLE_IT (.env line 3): want a boolean (1/0, true/false, yes/no, on/off), got 'maybe'");
  write(".env", "FORMAT=xml");
  EXPECT_EQ(error(), "FORMAT (.env line 1): want one of json, text, got 'xml'");
  write(".env", "TIMEOUT_SEC=1e300");
  EXPECT_EQ(error(), "TIMEOUT_SEC (.env line 1): want seconds of at least 0, got '1e300'");
  write(".env", "OLD_WINDOW_MS=\"a\\nb\"");
  EXPECT_EQ(error(), "OLD_WINDOW_MS (.env line 1): want milliseconds of at least 0, got 'a\\x0ab'");
  // What a stronger source covers is not looked at.
  sources_.environment = {{"WINDOW_MS", "1"}};
  EXPECT_EQ(error(), "no error");
}

TEST_F(SettingsFiles, SecretsAreNeverShown) {
  sources_.environment = {{"TOKEN", "hunter2"}};
  EXPECT_EQ(load().shown("TOKEN"), "***");
  EXPECT_EQ(load().text("TOKEN"), "hunter2");
  EXPECT_EQ(load().shown("PIN"), "");
  sources_.environment = {{"PIN", "hunter2"}};
  EXPECT_EQ(error(), "PIN (environment): want an integer, got ***");
}

TEST_F(SettingsFiles, MisuseStopsTheProcess) {
  const Settings settings = load();
  EXPECT_DEATH((void)settings.integer("NO_SUCH"), "no setting NO_SUCH");
  EXPECT_DEATH((void)settings.integer("FORMAT"), "another type");
  EXPECT_DEATH((void)settings.number("OLD_WINDOW_MS"), "no setting");
}

ParsedFlags parse(const std::vector<std::string>& arguments) {
  auto parsed = parse_setting_flags(table(), arguments, {"--help", "--out="});
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? *std::move(parsed) : ParsedFlags{};
}
std::string parse_error(const std::vector<std::string>& arguments) {
  const auto parsed = parse_setting_flags(table(), arguments, {"--help", "--out="});
  return parsed.ok() ? "no error" : parsed.error().message;
}
std::string joined(const ParsedFlags& parsed) {
  std::string out;
  for (const auto& a : parsed.assignments) out += a.name + "=" + a.value + ";";
  for (const auto& rest : parsed.rest) out += rest + "|";
  return out;
}

TEST(SettingFlags, EverySpelling) {
  EXPECT_EQ(
      joined(parse({"--size", "4", "--queue-size=5", "--Old_Window_Ms", "-1", "--device", "cpu"})),
      "SIZE=4;QUEUE_SIZE=5;WINDOW_MS=-1;MODEL_DEVICE=cpu;");
  EXPECT_EQ(joined(parse({"--enable-it", "--size=1"})), "ENABLE_IT=1;SIZE=1;");
  EXPECT_EQ(joined(parse({"--enable-it", "off", "x"})), "ENABLE_IT=off;x|");
  EXPECT_EQ(joined(parse({"--no-enable-it", "x"})), "ENABLE_IT=0;x|");
  EXPECT_EQ(joined(parse({"--set", "size=9", "--set=names=a=b,c"})), "SIZE=9;NAMES=a=b,c;");
  EXPECT_EQ(joined(parse({"--help", "--out", "f", "--", "--size"})), "--help|--out=f|--size|");
}

TEST(SettingFlags, ErrorsSuggest) {
  EXPECT_EQ(parse_error({"--siez", "4"}), "no flag '--siez'; did you mean --size?");
  EXPECT_EQ(parse_error({"--enable-itt"}), "no flag '--enable-itt'; did you mean --enable-it?");
  EXPECT_EQ(parse_error({"--hepl"}), "no flag '--hepl'; did you mean --help?");
  EXPECT_EQ(parse_error({"--xyzzyxyzzy"}),
            "no flag '--xyzzyxyzzy'; `sis settings` lists all settings");
  EXPECT_EQ(parse_error({"--set", "SIZ=1"}), "no flag '--set SIZ'; did you mean --size?");
  EXPECT_EQ(parse_error({"--set", "SIZE"}), "--set: want NAME=VALUE, got 'SIZE'");
  EXPECT_EQ(parse_error({"--size"}), "--size: wants a value");
  EXPECT_EQ(parse_error({"--size", "--enable-it"}), "--size: wants a value");
  EXPECT_EQ(parse_error({"--no-size", "1"}).substr(0, 19), "no flag '--no-size'");
  EXPECT_EQ(parse_error({"-v"}), "no flag '-v'; flags start with two dashes");
  EXPECT_NE(parse_error({"--" + std::string(100000, 'x')}), "no error");  // and ends soon
}

}  // namespace
}  // namespace sis
