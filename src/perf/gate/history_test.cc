// The history keeps what was recorded, in order, within its bound, and survives torn writes and
// nonsense.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/strings.h"
#include "perf/gate/history.h"
#include "perf/gate/samples_fixture.h"

namespace sis::perf {
namespace {

class HistoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sis-history-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name + "/deep/er";
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string file() const { return directory_ + "/history.jsonl"; }
  void append(const std::string& text) const { std::ofstream(file(), std::ios::app) << text; }
  HistoryOptions options(size_t keep = 1000) const { return {directory_, keep}; }
  std::vector<HistoryEntry> all() const {
    auto entries = read_history(directory_);
    EXPECT_TRUE(entries.ok()) << (entries.ok() ? "" : entries.error().message);
    return entries.ok() ? *entries : std::vector<HistoryEntry>();
  }
  std::vector<int64_t> record(const std::vector<RunSample>& samples, bool good = true,
                              size_t keep = 1000) const {
    auto ids = record_history(options(keep), samples, "abc", good);
    EXPECT_TRUE(ids.ok()) << (ids.ok() ? "" : ids.error().message);
    return ids.ok() ? *ids : std::vector<int64_t>();
  }

  std::string root_, directory_;
};

TEST_F(HistoryTest, GivesBackWhatWasRecorded) {
  EXPECT_TRUE(all().empty());
  EXPECT_EQ(record(made_samples("latency_p50", {1, 2})), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(record(made_samples("latency_p50", {3}), false), (std::vector<int64_t>{3}));
  auto failed = made_sample({{"error_rate", 1}});
  failed.state = SampleState::kFailed;
  record({failed});
  const auto entries = all();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[1].id, 2);
  EXPECT_EQ(entries[1].label, "abc");
  EXPECT_EQ(entries[1].recorded.size(), 20u);
  EXPECT_EQ(entries[1].sample.figures.at("latency_p50"), 2);
  EXPECT_EQ(entries[1].sample.conditions, made_sample({}).conditions);
  EXPECT_EQ(entries[1].sample.machine, made_sample({}).machine);
  EXPECT_TRUE(entries[1].good);
  EXPECT_FALSE(entries[2].good);
  EXPECT_FALSE(entries[3].good);  // failed
  EXPECT_EQ(entries[3].sample.state, SampleState::kFailed);
}

TEST_F(HistoryTest, LastGoodOfEveryGroup) {
  record(made_samples("latency_p50", {1, 2, 3}));
  auto other = made_sample({{"latency_p50", 9}});
  other.group = "other";
  record({other});
  record(made_samples("latency_p50", {4}), false);
  ASSERT_TRUE(retract_history(options(), 2).ok());
  const auto last = last_good(all(), 2);
  ASSERT_EQ(last.size(), 3u);
  EXPECT_EQ(last[0].figures.at("latency_p50"), 1);
  EXPECT_EQ(last[1].figures.at("latency_p50"), 3);
  EXPECT_EQ(last[2].figures.at("latency_p50"), 9);
  const Status unknown = retract_history(options(), 77);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Code::kNotFound);
}

TEST_F(HistoryTest, DropsTheOldest) {
  record(made_samples("latency_p50", {1, 2, 3}), true, 4);
  ASSERT_TRUE(retract_history(options(4), 3).ok());
  record(made_samples("latency_p50", {4, 5}), true, 4);
  const auto entries = all();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries.front().id, 2);
  EXPECT_FALSE(entries[1].good);  // still retracted
  EXPECT_EQ(record(made_samples("latency_p50", {6}), true, 4), (std::vector<int64_t>{6}));
}

TEST_F(HistoryTest, ATornLineCostsOnlyItself) {
  record(made_samples("latency_p50", {1}));
  append("{\"id\": 2, \"group\"");
  EXPECT_EQ(all().size(), 1u);
  record(made_samples("latency_p50", {3}));
  const auto entries = all();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1].sample.figures.at("latency_p50"), 3);
}

TEST_F(HistoryTest, NonsenseIsNamed) {
  record(made_samples("latency_p50", {1}));
  for (const char* line : {"nonsense", "[]", "{}", "{\"id\": 5}", "{\"id\": 5, \"figures\": {}}",
                           "{\"retract\": \"x\"}"}) {
    const auto before = std::filesystem::file_size(file());
    append(concat(line, "\n"));
    const auto entries = read_history(directory_);
    ASSERT_FALSE(entries.ok()) << line;
    EXPECT_NE(entries.error().message.find("history.jsonl line 2: want"), std::string::npos)
        << entries.error().message;
    EXPECT_FALSE(record_history(options(), made_samples("latency_p50", {1}), "", true).ok());
    std::filesystem::resize_file(file(), before);
  }
}

TEST_F(HistoryTest, WritersTakeTurns) {
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i)
    writers.emplace_back([&] {
      for (int j = 0; j < 5; ++j) record(made_samples("latency_p50", {1.0 * j}));
    });
  for (std::thread& writer : writers) writer.join();
  const auto entries = all();
  ASSERT_EQ(entries.size(), 20u);
  for (size_t i = 0; i < entries.size(); ++i) EXPECT_EQ(entries[i].id, static_cast<int64_t>(i) + 1);
}

}  // namespace
}  // namespace sis::perf
