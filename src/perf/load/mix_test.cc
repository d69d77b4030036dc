#include "perf/load/mix.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/strings.h"

namespace sis::perf {
namespace {

// Writes its name and the index it was asked for; judges only answers that say the same.
class NamedWorkload final : public Workload {
 public:
  explicit NamedWorkload(std::string name, bool stream = false)
      : name_(std::move(name)), stream_(stream) {}
  std::string_view request(uint64_t index, std::string& scratch) const override {
    scratch = concat(name_, " ", index);
    return scratch;
  }
  std::unique_ptr<Judge> make_judge() const override {
    return std::make_unique<NamedJudge>(name_, stream_);
  }

 private:
  class NamedStream final : public StreamJudge {
   public:
    explicit NamedStream(std::string name) : name_(std::move(name)) {}
    void begin() override { text_.clear(); }
    void take(std::string_view body, TimePoint) override { text_ += body; }
    const std::string& failure() const override { return failure_; }
    Judgement end(uint64_t index) override {
      return {.ok = text_ == concat("stream ", name_, " ", index), .error = text_};
    }

   private:
    std::string name_, text_, failure_;
  };
  class NamedJudge final : public Judge {
   public:
    NamedJudge(std::string name, bool stream) : name_(std::move(name)), stream_(stream) {}
    Judgement judge(uint64_t index, const Answer& answer) override {
      return {.ok = answer.body == concat(name_, " ", index)};
    }
    std::unique_ptr<StreamJudge> make_stream() override {
      if (!stream_) return nullptr;
      return std::make_unique<NamedStream>(name_);
    }

   private:
    std::string name_;
    bool stream_;
  };
  std::string name_;
  bool stream_;
};

std::unique_ptr<MixWorkload> mix_of(const std::vector<double>& weights, bool streams = false) {
  std::vector<MixPart> parts;
  for (size_t i = 0; i < weights.size(); ++i)
    parts.push_back({.name = std::string(1, static_cast<char>('a' + i)), .weight = weights[i]});
  for (auto& part : parts)
    part.workload = std::make_shared<NamedWorkload>(part.name, streams && part.name != "a");
  auto mix = MixWorkload::create(std::move(parts));
  EXPECT_TRUE(mix.ok()) << (mix.ok() ? "" : mix.error().message);
  return std::move(*mix);
}

TEST(Mix, CountsAreSmallAndExactWhereTheyCanBe) {
  EXPECT_EQ(mix_counts(std::vector<double>{70, 20, 10}), (std::vector<int>{7, 2, 1}));
  EXPECT_EQ(mix_counts(std::vector<double>{1, 1}), (std::vector<int>{1, 1}));
  EXPECT_EQ(mix_counts(std::vector<double>{0.5, 0.25, 0.25}), (std::vector<int>{2, 1, 1}));
  EXPECT_EQ(mix_counts(std::vector<double>{1.0 / 3, 2.0 / 3}), (std::vector<int>{1, 2}));
  EXPECT_EQ(mix_counts(std::vector<double>{99.7, 0.3}), (std::vector<int>{997, 3}));
  EXPECT_EQ(mix_counts(std::vector<double>{1e9, 1}), (std::vector<int>{1000, 1}));
  EXPECT_EQ(mix_counts(std::vector<double>{5}), (std::vector<int>{1}));
}

// No part ever lags or leads its exact share by more than one request within a cycle.
TEST(Mix, TheCycleIsSpreadEvenly) {
  for (const std::vector<int>& counts :
       {std::vector<int>{7, 2, 1}, {1, 1}, {5, 4, 3, 2, 1}, {997, 3}}) {
    const auto cycle = mix_cycle(counts);
    int sum = 0;
    for (const int count : counts) sum += count;
    ASSERT_EQ(cycle.size(), static_cast<size_t>(sum));
    std::vector<int> seen(counts.size(), 0);
    for (size_t i = 0; i < cycle.size(); ++i) {
      ++seen[cycle[i]];
      for (size_t part = 0; part < counts.size(); ++part)
        EXPECT_LT(std::abs(seen[part] - static_cast<double>((i + 1) * counts[part]) / sum), 1.5);
    }
    EXPECT_EQ(seen, counts);
  }
}

// Every part's requests are numbered without gaps or repeats; shares are exact after whole cycles.
TEST(Mix, PartsNumberTheirOwnRequests) {
  const auto mix = mix_of({70, 20, 10});
  std::map<size_t, std::set<uint64_t>> seen;
  for (uint64_t index = 0; index < 10'000; ++index) {
    const auto place = mix->place(index);
    EXPECT_EQ(place.part, mix->part_of(index));
    EXPECT_TRUE(seen[place.part].insert(place.index).second) << index;
  }
  EXPECT_EQ(seen[0].size(), 7000u);
  EXPECT_EQ(seen[1].size(), 2000u);
  EXPECT_EQ(seen[2].size(), 1000u);
  for (const auto& [part, indices] : seen) EXPECT_EQ(*indices.rbegin(), indices.size() - 1) << part;
}

// An event loop that takes every n-th request sees the whole mix, also when n and the cycle have
// common factors.
TEST(Mix, EveryLoopGetsTheSameShares) {
  for (const std::vector<double>& weights : {std::vector<double>{1, 1}, {70, 20, 10}, {1, 2, 1}}) {
    const auto mix = mix_of(weights);
    double sum = 0;
    for (const double weight : weights) sum += weight;
    for (const uint64_t loops : {2, 4, 5, 10})
      for (uint64_t loop = 0; loop < loops; ++loop) {
        std::vector<double> seen(weights.size(), 0);
        constexpr int kRequests = 20'000;
        for (uint64_t i = 0; i < kRequests; ++i) ++seen[mix->part_of(loop + i * loops)];
        for (size_t part = 0; part < weights.size(); ++part)
          EXPECT_NEAR(seen[part] / kRequests, weights[part] / sum, 0.02) << loops << " " << loop;
      }
  }
}

TEST(Mix, RequestsAndJudgesAreThoseOfThePart) {
  const auto mix = mix_of({2, 1}, /*streams=*/true);  // "b" is streamed, "a" is not
  const auto judge = mix->make_judge();
  const auto stream = judge->make_stream();
  ASSERT_NE(stream, nullptr);
  std::string scratch;
  for (uint64_t index = 0; index < 60; ++index) {
    const std::string request(mix->request(index, scratch));
    stream->begin_for(index);
    EXPECT_EQ(stream->wanted(), mix->part_of(index) == 1);
    if (stream->wanted()) {
      stream->take("stream ", TimePoint{});
      stream->take(request, TimePoint{});
      const Judgement judgement = stream->end(index);
      EXPECT_TRUE(judgement.ok) << judgement.error;
    } else {
      EXPECT_TRUE(judge->judge(index, {.status = 200, .body = request}).ok);
      EXPECT_FALSE(judge->judge(index, {.status = 200, .body = "b 0"}).ok);
    }
  }
}

TEST(Mix, WrongPartsAreRefused) {
  const auto workload = std::make_shared<NamedWorkload>("a");
  const auto message = [](std::vector<MixPart> parts) {
    const auto mix = MixWorkload::create(std::move(parts));
    return mix.ok() ? "" : mix.error().message;
  };
  EXPECT_NE(message({}).find("want 1..64 parts, got 0"), std::string::npos);
  EXPECT_NE(message({{"a", 1, workload}, {"a", 1, workload}}).find("two parts are called 'a'"),
            std::string::npos);
  EXPECT_NE(message({{"a", 0, workload}}).find("weight above 0"), std::string::npos);
  EXPECT_NE(message({{"a", NAN, workload}}).find("weight above 0"), std::string::npos);
  EXPECT_NE(message({{"", 1, workload}}).find("no name"), std::string::npos);
  EXPECT_NE(message({{"a", 1, nullptr}}).find("'a'"), std::string::npos);
  std::shared_ptr<const Workload> inner = mix_of({1, 1});
  EXPECT_NE(message({{"a", 1, inner}}).find("no mix itself"), std::string::npos);
}

}  // namespace
}  // namespace sis::perf
