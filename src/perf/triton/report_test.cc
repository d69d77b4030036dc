// What is printed has perf_analyzer's lines in its order, figures are those of the statistics, and
// its rules about windows and percentiles hold.
#include "perf/triton/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "base/strings.h"
#include "perf/triton/csv.h"
#include "perf/triton/profile_export.h"
#include "perf/triton/stability.h"

namespace sis::perf {
namespace {

constexpr uint64_t kUs = 1000;

ModelStats stats_of(uint64_t count, uint64_t total_us, uint64_t queue_us, uint64_t input_us,
                    uint64_t infer_us, uint64_t output_us) {
  ModelStats stats;
  stats.inference_count = stats.execution_count = count;
  stats.success = {count, count * total_us * kUs};
  stats.queue = {count, count * queue_us * kUs};
  stats.compute_input = {count, count * input_us * kUs};
  stats.compute_infer = {count, count * infer_us * kUs};
  stats.compute_output = {count, count * output_us * kUs};
  return stats;
}

PerfLevel level_of(double value, double per_s, double latency_ms, int count) {
  PerfLevel level{.value = value, .stable = true};
  for (int i = 0; i < count; ++i) {
    level.measured.tally.latency.record(from_ms(latency_ms));
    level.measured.tally.http.sending.record(from_ms(0.05));
    level.measured.tally.http.receiving.record(from_ms(0.02));
  }
  level.measured.tally.ok = level.measured.tally.sent = static_cast<uint64_t>(count);
  level.measured.length_s = 18;
  level.per_s = per_s;
  level.latency_ms = latency_ms;
  return level;
}

// The figures of a published run of an ensemble on Triton.
TEST(PerfReport, PrintsAnEnsembleAsPerfAnalyzerDoes) {
  PerfSettings settings;
  settings.percentile = 95;
  settings.concurrency = {.start = 1, .end = 4};
  PerfModel model;
  model.statistics = model.composed = true;
  PerfLevel level = level_of(1, 2.44411, 409.0, 44);
  level.measured.server.own = stats_of(44, 408328, 0, 0, 0, 0);
  auto& children = level.measured.server.children;
  children[{"preprocessing", "1"}].own = stats_of(45, 869, 45, 21, 720, 71);
  children[{"fastertransformer", "1"}].own = stats_of(44, 406661, 66, 114, 406144, 258);
  children[{"postprocessing", "1"}].own = stats_of(44, 803, 60, 71, 478, 182);

  EXPECT_EQ(settings_text(settings),
            "*** Measurement Settings ***\n"
            "  Batch size: 1\n"
            "  Service Kind: TRITON\n"
            "  Using \"time_windows\" mode for stabilization\n"
            "  Stabilizing using p95 latency and throughput\n"
            "  Measurement window: 5000 msec\n"
            "  Latency limit: 0 msec\n"
            "  Concurrency limit: 4 concurrent requests\n"
            "  Using synchronous calls for inference\n"
            "\n");
  EXPECT_EQ(level_title(settings, 1), "Request concurrency: 1\n");
  EXPECT_EQ(level_text(settings, &model, level),
            "  Client: \n"
            "    Request count: 44\n"
            "    Throughput: 2.44411 infer/sec\n"
            "    p50 latency: 409000 usec\n"
            "    p90 latency: 409000 usec\n"
            "    p95 latency: 409000 usec\n"
            "    p99 latency: 409000 usec\n"
            "    Avg HTTP time: 409000 usec (send/recv 70 usec + response wait 408930 usec)\n"
            "  Server: \n"
            "    Inference count: 44\n"
            "    Execution count: 44\n"
            "    Successful request count: 44\n"
            "    Avg request latency: 408328 usec (overhead 98 usec + queue 171 usec + compute "
            "408059 usec)\n"
            "\n"
            "  Composing models: \n"
            "  fastertransformer, version: 1\n"
            "      Inference count: 44\n"
            "      Execution count: 44\n"
            "      Successful request count: 44\n"
            "      Avg request latency: 406661 usec (overhead 79 usec + queue 66 usec + compute "
            "input 114 usec "
            "+ compute infer 406144 usec + compute output 258 usec)\n"
            "\n"
            "  postprocessing, version: 1\n"
            "      Inference count: 44\n"
            "      Execution count: 44\n"
            "      Successful request count: 44\n"
            "      Avg request latency: 803 usec (overhead 12 usec + queue 60 usec + compute input "
            "71 usec "
            "+ compute infer 478 usec + compute output 182 usec)\n"
            "\n"
            "  preprocessing, version: 1\n"
            "      Inference count: 45\n"
            "      Execution count: 45\n"
            "      Successful request count: 45\n"
            "      Avg request latency: 869 usec (overhead 12 usec + queue 45 usec + compute input "
            "21 usec "
            "+ compute infer 720 usec + compute output 71 usec)\n"
            "\n");
  EXPECT_EQ(closing_text(settings, {&level, 1}),
            "Inferences/Second vs. Client p95 Batch Latency\n"
            "Concurrency: 1, throughput: 2.44411 infer/sec, latency 409000 usec\n");

  settings.csv_file = "out.csv";
  const auto files = csv_files(settings, &model, {&level, 1});
  ASSERT_EQ(files.size(), 4u);
  EXPECT_EQ(files[0].first, "out.csv");
  EXPECT_EQ(files[0].second,
            "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
            "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
            "p50 latency,p90 latency,p95 latency,p99 latency\n"
            "1,2.44411,50,408930,0,0,0,0,20,409000,409000,409000,409000\n");
  EXPECT_EQ(files[1].first, "fastertransformer_v1.out.csv");
  EXPECT_EQ(files[1].second,
            "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
            "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv\n"
            "1,2.44411,0,79,66,114,406144,258,0\n");
}

TEST(PerfReport, CacheRatesAndCsvOrder) {
  PerfSettings settings;
  settings.mode = LoadMode::kRequestRate;
  settings.rate = {.start = 20, .end = 40, .step = 20};
  settings.csv_file = "dir/r.csv";
  settings.verbose_csv = true;
  PerfModel model;
  model.statistics = model.cache = model.own_cache = true;
  std::vector<PerfLevel> levels{level_of(40, 39.5, 5, 10), level_of(20, 20, 4, 10)};
  for (PerfLevel& level : levels) {
    level.measured.server.own = stats_of(30, 3000, 100, 10, 5000, 20);
    level.measured.server.own.queue.count = level.measured.server.own.success.count = 30;
    for (auto* stage :
         {&level.measured.server.own.compute_input, &level.measured.server.own.compute_infer,
          &level.measured.server.own.compute_output})
      *stage = {10, stage->ns / 3};
    level.measured.server.own.cache_hit = {20, 20 * 50 * kUs};
    level.measured.server.own.cache_miss = {10, 10 * 30 * kUs};
  }
  const std::string text = level_text(settings, &model, levels[0]);
  EXPECT_NE(text.find("    Cache hit count: 20\n    Cache miss count: 10\n"), std::string::npos)
      << text;
  // (20*50 + 10*30 + 10*5030) / 30 = 1720
  EXPECT_NE(text.find("(overhead 1180 usec + queue 100 usec + cache hit/miss 1720 usec)\n"),
            std::string::npos)
      << text;
  EXPECT_NE(
      text.find("Average Cache Miss Latency: 5060 usec (cache lookup/insertion 30 usec + compute "
                "input 10 usec + compute infer 5000 usec + compute output 20 usec)"),
      std::string::npos)
      << text;
  const auto files = csv_files(settings, &model, levels);
  ASSERT_EQ(files.size(), 1u);
  const auto lines = split(files[0].second, '\n');
  EXPECT_NE(lines[0].find("Server Compute Output,Server Cache Hit,Server Cache Miss,Client Recv"),
            std::string::npos);
  EXPECT_TRUE(lines[0].ends_with(",Avg latency,request/response,response wait"));
  EXPECT_TRUE(lines[1].starts_with("20,20,50,")) << lines[1];
  EXPECT_TRUE(lines[2].starts_with("40,39.5,50,")) << lines[2];
  EXPECT_TRUE(lines[2].ends_with(",5000,70,4930")) << lines[2];
}

TEST(PerfStability, TheLastThreeWindowsDecide) {
  using W = std::vector<WindowFigures>;
  EXPECT_FALSE(is_stable(W{{100, 5}, {100, 5}}, 0.1, true));
  EXPECT_TRUE(is_stable(W{{100, 5}, {109, 5.4}, {105, 5}}, 0.1, true));
  EXPECT_FALSE(is_stable(W{{100, 5}, {111, 5}, {105, 5}}, 0.1, true));
  EXPECT_FALSE(is_stable(W{{100, 5}, {100, 5.6}, {100, 5}}, 0.1, true));
  EXPECT_TRUE(is_stable(W{{100, 5}, {100, 9}, {100, 5}}, 0.1, false));
  EXPECT_TRUE(is_stable(W{{1, 99}, {100, 5}, {100, 5}, {100, 5}}, 0.1, true));
  EXPECT_FALSE(is_stable(W{{0, 0}, {0, 0}, {0, 0}}, 0.1, true));
  EXPECT_FALSE(is_stable(W{{100, 5}, {0, 5}, {100, 5}}, 0.1, false));
  EXPECT_TRUE(is_over(W{{1, 10}, {1, 11}, {1, 12}}, 10));
  EXPECT_FALSE(is_over(W{{1, 10}, {1, 9}, {1, 12}}, 10));
  EXPECT_FALSE(is_over(W{{1, 10}, {1, 11}, {1, 12}}, 0));
}

// The histogram's answer is the sorted sample's, within a counter's width.
TEST(PerfStability, PercentileOfPerfAnalyzer) {
  Rng rng(7);
  for (const size_t n : {1u, 2u, 3u, 10u, 44u, 1000u}) {
    std::vector<double> values;
    Histogram histogram;
    for (size_t i = 0; i < n; ++i) {
      values.push_back(1 + rng.uniform() * 1000);
      histogram.record(from_ms(values.back()));
    }
    std::sort(values.begin(), values.end());
    for (const int p : {1, 50, 90, 95, 99}) {
      const auto index = static_cast<size_t>(p / 100.0 * static_cast<double>(n - 1) + 0.5);
      EXPECT_NEAR(indexed_percentile_ms(histogram, p), values[index], values[index] / 1000)
          << n << " p" << p;
    }
  }
}

TEST(PerfStatistics, VersionIsTheOneThatMoved) {
  PerfModel model;
  model.tensors.name = "m";
  std::string warning;
  const StatsPage before{{{"m", "1"}, stats_of(10, 1, 1, 1, 1, 1)},
                         {{"m", "3"}, stats_of(10, 1, 1, 1, 1, 1)}};
  StatsPage after = before;
  EXPECT_FALSE(summarize_statistics(model, before, after, warning).ok());
  after[{"m", "1"}] = stats_of(15, 1, 1, 1, 1, 1);
  auto stats = summarize_statistics(model, before, after, warning);
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->own.success.count, 5u);
  EXPECT_EQ(warning, "");
  after[{"m", "3"}] = stats_of(17, 1, 1, 1, 1, 1);
  stats = summarize_statistics(model, before, after, warning);
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->own.success.count, 7u);
  EXPECT_NE(warning.find("several versions"), std::string::npos);

  model.version = "1";
  EXPECT_EQ(summarize_statistics(model, before, after, warning)->own.success.count, 5u);
  model.version = "2";
  EXPECT_FALSE(summarize_statistics(model, before, after, warning).ok());
  model.version = "1";
  after[{"m", "1"}].compute_infer.count = 99;
  EXPECT_FALSE(summarize_statistics(model, before, after, warning).ok());
  model.children.push_back({.key = {"child", ""}, .children = {}});
  EXPECT_FALSE(summarize_statistics(model, before, after, warning).ok());
}

TEST(ProfileExport, TensorsBecomeJson) {
  const std::string json =
      R"({"inputs":[{"name":"a","datatype":"INT32","shape":[1,2],"parameters":{"binary_data_size":8}},)"
      R"({"name":"s","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}},)"
      R"({"name":"d","datatype":"FP32","shape":[1],"data":[[1.5]]}]})";
  const std::string raw("\x01\0\0\0\x02\0\0\0\x02\0\0\0ok", 14);
  EXPECT_EQ(tensors_as_json(json + raw, "inputs"), R"({"a":[1,2],"s":"ok","d":1.5})");
  EXPECT_EQ(tensors_as_json(json + raw.substr(0, 3), "inputs"), "{}");
  EXPECT_EQ(tensors_as_json("not json", "inputs"), "{}");
  EXPECT_EQ(tensors_as_json("{\"inputs\":[", "inputs"), "{}");
  // Lists within lists without end: nothing is shown of them, and nothing overflows.
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  EXPECT_EQ(tensors_as_json(concat(R"({"inputs":[{"name":"a","data":)", deep, "}]}"), "inputs"),
            "{}");
  EXPECT_EQ(tensors_as_json(json, "outputs"), "{}");
}

}  // namespace
}  // namespace sis::perf
