#include "telemetry/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "telemetry/json_text.h"

namespace sis::telemetry {
namespace {

using nlohmann::json;

// A log into a file, read back line by line.
class LogFile {
 public:
  LogFile() : path_(testing::TempDir() + "sis_log_test_" + std::to_string(getpid())) {
    fd_ = open(path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  }
  ~LogFile() {
    close(fd_);
    unlink(path_.c_str());
  }
  int fd() const { return fd_; }
  std::vector<std::string> lines() const {
    std::ifstream file(path_);
    std::vector<std::string> out;
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
  }

 private:
  std::string path_;
  int fd_;
};

TEST(Log, OneObjectPerLineWithTypedExtras) {
  LogFile file;
  {
    const Logger log = open_log({.fd = file.fd()}).named("sis.embedding");
    log.debug("hidden");
    log.log(Level::kInfo, "embedding_request", "abc",
            {{"model", "bge-m3"},
             {"latency_ms", 12.5},
             {"status", 200},
             {"cached", true},
             {"nothing", nullptr},
             {"inf", std::numeric_limits<double>::infinity()},
             {"big", uint64_t{1} << 40}});
    log.warning("plain");
  }
  const auto lines = file.lines();
  ASSERT_EQ(lines.size(), 2u);
  const json first = json::parse(lines[0]);
  EXPECT_EQ(first["level"], "INFO");
  EXPECT_EQ(first["logger"], "sis.embedding");
  EXPECT_EQ(first["message"], "embedding_request");
  EXPECT_EQ(first["request_id"], "abc");
  EXPECT_EQ(first["latency_ms"], 12.5);
  EXPECT_EQ(first["status"], 200);
  EXPECT_EQ(first["cached"], true);
  EXPECT_TRUE(first["nothing"].is_null());
  EXPECT_TRUE(first["inf"].is_null());
  EXPECT_EQ(first["big"], int64_t{1} << 40);
  const std::string stamp = first["timestamp"];  // 2026-01-31T12:00:00+01:00
  ASSERT_EQ(stamp.size(), 25u) << stamp;
  EXPECT_EQ(stamp[10], 'T');
  EXPECT_EQ(stamp[22], ':');
  const json second = json::parse(lines[1]);
  EXPECT_EQ(second["level"], "WARNING");
  EXPECT_TRUE(second["request_id"].is_null());
}

// Whatever the bytes, a strict parser reads the line back, and well-formed text comes back
// unchanged.
TEST(Log, AnyBytesMakeValidJson) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (const std::string& text :
       {all, std::string("\xE2\x82"), std::string("a\xED\xA0\x80z"),
        std::string("\xF4\x90\x80\x80"), std::string("\xC0\x80\xFF\"\\\n")}) {
    std::string out;
    append_json_string(out, text);
    EXPECT_TRUE(json::parse(out).is_string());
    EXPECT_EQ(out.find('\n'), std::string::npos);
  }
  const std::string fine = "tab\t quote\" \xE2\x82\xAC \xF0\x9F\x98\x80 \x01 end";
  std::string out;
  append_json_string(out, fine);
  EXPECT_EQ(json::parse(out), fine);
}

TEST(Log, LinesOfManyThreadsStayWhole) {
  LogFile file;
  constexpr int kThreads = 4, kLines = 2000;
  {
    const Logger log = open_log({.fd = file.fd(), .flush_every = from_ms(1)});
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < kLines; ++i)
          log.log(Level::kInfo, "line", std::to_string(t),
                  {{"i", i}, {"pad", std::string(i % 97, 'x')}});
      });
    for (auto& thread : threads) thread.join();
    log.flush();
    EXPECT_EQ(file.lines().size(), static_cast<size_t>(kThreads) * kLines);
  }
  std::vector<int> next(kThreads, 0);
  for (const auto& line : file.lines()) {
    const json parsed = json::parse(line);
    EXPECT_EQ(parsed["i"], next[std::stoi(parsed["request_id"].get<std::string>())]++);
  }
}

// Nobody reads the pipe: logging must return, lose lines beyond its buffer, and say how many once
// there is room.
TEST(Log, AStalledReaderCostsLinesNotTime) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::string text;
  {
    const Logger log =
        open_log({.fd = ends[1], .flush_every = from_ms(1), .buffer_bytes_max = 4096});
    const std::string pad(1000, 'x');
    for (int i = 0; i < 2000; ++i) log.warning("line", {{"pad", pad}});
    std::thread reader([&] {
      char buffer[65536];
      while (const ssize_t count = read(ends[0], buffer, sizeof buffer)) {
        if (count < 0) break;
        text.append(buffer, count);
      }
    });
    log.flush();
    log.warning("after");
    log.flush();
    close(ends[1]);
    reader.join();
  }
  close(ends[0]);
  std::istringstream stream(text);
  int kept = 0, lost = 0;
  for (std::string line; std::getline(stream, line);) {
    const json parsed = json::parse(line);
    if (parsed["message"] == "line") ++kept;
    if (parsed["message"] == "log_lines_dropped") lost += parsed["lines"].get<int>();
  }
  EXPECT_GT(lost, 0);
  EXPECT_EQ(kept + lost, 2000);
}

TEST(Log, TextFormatKeepsOneLine) {
  LogFile file;
  {
    const Logger log = open_log({.format = LogFormat::kText, .fd = file.fd()});
    log.log(Level::kError, "a\nb", "r1", {{"plain", "x"}, {"spaced", "x y"}, {"n", 3}});
  }
  const auto lines = file.lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("ERROR    sis: a\\x0ab request_id=r1 plain=x spaced=\"x y\" n=3"),
            std::string::npos)
      << lines[0];
}

// A new level holds at once for every Logger of the log, however it was copied.
TEST(Log, TheLevelMayChange) {
  LogFile file;
  {
    const Logger log = open_log({.level = Level::kWarning, .fd = file.fd()});
    const Logger other = log.named("other");
    other.info("hidden");
    log.set_level(Level::kDebug);
    EXPECT_TRUE(other.enabled(Level::kDebug));
    other.debug("shown");
    other.set_level(Level::kOff);
    log.error("hidden");
  }
  const auto lines = file.lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("shown"), std::string::npos);
  Logger().set_level(Level::kDebug);  // of no log: nothing happens
  EXPECT_FALSE(Logger().enabled(Level::kCritical));
}

TEST(Log, LevelsByName) {
  EXPECT_EQ(parse_level("warn"), Level::kWarning);
  EXPECT_EQ(parse_level("Critical"), Level::kCritical);
  EXPECT_FALSE(parse_level("loud"));
  EXPECT_FALSE(Logger().enabled(Level::kCritical));
}

}  // namespace
}  // namespace sis::telemetry
