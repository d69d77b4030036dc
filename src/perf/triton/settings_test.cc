// perf_analyzer's command line is read as perf_analyzer reads it; what cannot work here is refused
// with the reason.
#include "perf/triton/settings.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/strings.h"

namespace sis::perf {
namespace {

PerfSettings parsed(const std::vector<std::string>& arguments) {
  auto result = parse_perf_arguments(arguments);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? result->settings : PerfSettings{};
}

TEST(PerfSettings, DefaultsAreThoseOfPerfAnalyzer) {
  const PerfSettings settings = parsed({"-m", "simple"});
  EXPECT_EQ(settings.model, "simple");
  EXPECT_EQ(settings.url.text(), "http://localhost:8000");
  EXPECT_EQ(settings.mode, LoadMode::kConcurrency);
  EXPECT_EQ(settings.concurrency.start, 1);
  EXPECT_EQ(settings.concurrency.end, 1);
  EXPECT_EQ(settings.interval_ms, 5000);
  EXPECT_EQ(settings.window_requests, 50);
  EXPECT_EQ(settings.trials_max, 10);
  EXPECT_EQ(settings.percentile, -1);
  EXPECT_DOUBLE_EQ(settings.stability, 0.10);
  EXPECT_EQ(settings.string_length, 128);
  EXPECT_FALSE(settings.async);
  EXPECT_FALSE(settings.json_tensors);
}

TEST(PerfSettings, TheCommandsPeopleHave) {
  PerfSettings settings = parsed({"-m",
                                  "ensemble",
                                  "--percentile=95",
                                  "--concurrency-range",
                                  "1:4",
                                  "-u",
                                  "10.0.0.1:9000",
                                  "-x2",
                                  "-v",
                                  "-v",
                                  "-b8",
                                  "-f",
                                  "o.csv",
                                  "-H",
                                  "Authorization: Bearer x",
                                  "-s",
                                  "5",
                                  "-p",
                                  "500",
                                  "-r3",
                                  "--shape",
                                  "a:b:3,4",
                                  "--measurement-mode",
                                  "count_windows",
                                  "--measurement-request-count=7",
                                  "-l",
                                  "200",
                                  "--request-parameter",
                                  "max_tokens:256:int"});
  EXPECT_EQ(settings.percentile, 95);
  EXPECT_EQ(settings.concurrency.end, 4);
  EXPECT_EQ(settings.url.text(), "http://10.0.0.1:9000");
  EXPECT_EQ(settings.version, "2");
  EXPECT_EQ(settings.verbosity, 2);
  EXPECT_EQ(settings.batch, 8);
  EXPECT_EQ(settings.csv_file, "o.csv");
  ASSERT_EQ(settings.headers.size(), 1u);
  EXPECT_EQ(settings.headers[0].second, "Bearer x");
  EXPECT_DOUBLE_EQ(settings.stability, 0.05);
  EXPECT_EQ(settings.interval_ms, 500);
  EXPECT_EQ(settings.trials_max, 3);
  EXPECT_EQ(settings.shapes.at("a:b"), (TensorShape{3, 4}));
  EXPECT_TRUE(settings.count_windows);
  EXPECT_EQ(settings.window_requests, 7);
  EXPECT_EQ(settings.latency_limit_ms, 200);
  EXPECT_EQ(settings.parameters, R"({"max_tokens":256})");

  settings = parsed({"-m", "m", "--request-rate-range", "10.5:40:2.5", "--request-distribution",
                     "poisson", "--percentile", "-1", "-av"});
  EXPECT_EQ(settings.mode, LoadMode::kRequestRate);
  EXPECT_DOUBLE_EQ(settings.rate.start, 10.5);
  EXPECT_DOUBLE_EQ(settings.rate.step, 2.5);
  EXPECT_TRUE(settings.poisson);
  EXPECT_TRUE(settings.async);
  EXPECT_EQ(settings.verbosity, 1);
  EXPECT_EQ(settings.percentile, -1);
  EXPECT_TRUE(parse_perf_arguments({"--help"})->help.find("--concurrency-range") !=
              std::string::npos);
}

TEST(PerfSettings, RefusalsNameTheFlagAndTheReason) {
  const std::string file = testing::TempDir() + "payload.json";
  std::ofstream(file) << "{}";
  const std::pair<std::vector<std::string>, const char*> kCases[] = {
      {{}, "-m: want"},
      {{"-m", "m", "--streaming"}, "--streaming: wants gRPC"},
      {{"-m", "m", "-i", "grpc"}, "--protocol: want http"},
      {{"-m", "m", "--shared-memory", "system"}, "--shared-memory: want none"},
      {{"-m", "m", "--sequence-length=3"}, "--sequence-length: models of sequences"},
      {{"-m", "m", "--service-kind", "tfserving"}, "--service-kind: want triton or openai"},
      {{"-m", "m", "--trace-level", "TENSORS"}, "--trace-level: "},
      {{"-m", "m", "-c", "4"}, "-c: want --concurrency-range"},
      {{"-m", "m", "-q"}, "unknown flag '-q'"},
      {{"-m", "m", "--what"}, "unknown flag '--what'"},
      {{"-m"}, "-m: want a value"},
      {{"-m", "m", "extra"}, "want flags only"},
      {{"-m", "m", "--concurrency-range", "0"}, "--concurrency-range: want a whole number above 0"},
      {{"-m", "m", "--concurrency-range", "1:2:3:4"}, "want START[:END[:STEP]]"},
      {{"-m", "m", "--concurrency-range", "1:x"}, "as the end of START"},
      {{"-m", "m", "--concurrency-range", "1:4:0"}, "as the step of START"},
      {{"-m", "m", "--concurrency-range", "1:0"}, "wants --latency-threshold"},
      {{"-m", "m", "--concurrency-range", "1:99999"}, "at most 20000"},
      {{"-m", "m", "--request-rate-range", "-1"}, "--request-rate-range: want a number above 0"},
      {{"-m", "m", "--request-rate-range", "1", "--concurrency-range", "1"},
       "want only one of them"},
      {{"-m", "m", "--binary-search", "--concurrency-range", "1:4"}, "wants --latency-threshold"},
      {{"-m", "m", "--binary-search", "-l", "5", "--concurrency-range", "4:1"},
       "from its start on"},
      {{"-m", "m", "--percentile", "0"}, "--percentile: want -1 or 1..99"},
      {{"-m", "m", "--percentile", "100"}, "--percentile: want a whole number -1..99"},
      {{"-m", "m", "--request-count", "3", "--concurrency-range", "4"}, "at least the start"},
      {{"-m", "m", "--request-count", "30", "--concurrency-range", "1:4"}, "want one level"},
      {{"-m", "m", "--async", "--sync"}, "want only one of them"},
      {{"-m", "m", "--input-data", "/nowhere/at/all"}, "want random, zero, a file or a folder"},
      {{"-m", "m", "--shape", "a"}, "--shape: want NAME:SIZE"},
      {{"-m", "m", "--shape", "a:0"}, "sizes above 0"},
      {{"-m", "m", "-H", "novalue"}, "--header: want NAME:VALUE"},
      {{"-m", "m", "-u", "a b"}, "-u: "},
      {{"-m", "m", "-x", "latest"}, "-x: want a whole number"},
      {{"-m", "m", "--service-kind", "openai"}, "wants --input-data"},
      {{"-m", "m", "--service-kind", "openai", "--input-data", file}, "wants --endpoint"},
      {{"-m", "m", "--metrics-url", "x"}, "wants --collect-metrics"},
      {{"-m", "m", "--request-parameter", "a:b:float"}, "with a type of"},
  };
  for (const auto& [arguments, wanted] : kCases) {
    const auto result = parse_perf_arguments(arguments);
    ASSERT_FALSE(result.ok()) << join_list(arguments);
    EXPECT_NE(result.error().message.find(wanted), std::string::npos)
        << join_list(arguments) << ": " << result.error().message;
  }
}

}  // namespace
}  // namespace sis::perf
