#include "perf/report/summary.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "perf/report/progress.h"

namespace sis::perf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RunOptions example_options() {
  RunOptions options{.url = *net::parse_url("http://localhost:8000"), .connections = 8};
  options.requests = 1000;
  return options;
}

// 990 good answers of 1..99 ms (ten each), 8 refusals, 2 timeouts, in 4 s.
RunResult example_result() {
  RunResult result{.tally = {}, .peer = "127.0.0.1:8000"};
  Tally& tally = result.tally;
  for (int i = 0; i < 990; ++i) tally.latency.record(milliseconds(1 + i / 10));
  for (int i = 0; i < 8; ++i) tally.failed_latency.record(milliseconds(1));
  for (int i = 0; i < 2; ++i) tally.failed_latency.record(seconds(30));
  tally.sent = 1000;
  tally.ok = 990;
  tally.failed = 10;
  tally.faults[static_cast<size_t>(Fault::kStatus)] = 8;
  tally.faults[static_cast<size_t>(Fault::kTimeout)] = 2;
  tally.statuses[200] = 990;
  tally.statuses[429] = 8;
  tally.items = 1980;
  tally.prompt_tokens = 13860;
  tally.answers_with_prompt_tokens = 990;
  tally.bytes_out = 250'000;
  tally.bytes_in = 8'200'000;
  tally.connects = 8;
  tally.started = TimePoint(seconds(100));
  tally.last_done = TimePoint(seconds(104));
  tally.cpu_s = 0.2;
  tally.cpu_share_max = 0.05;
  tally.note_message(17, 0.5, "status 429: 'queue is full'", 5);
  for (int i = 0; i < 7; ++i) tally.note_message(18, 0.6, "status 429: 'queue is full'", 5);
  tally.note_message(900, 3.25, "no answer within 30 s", 10);
  return result;
}

const RunLabel kLabel{.what = "embeddings",
                      .model = "demo",
                      .load = "2 texts per request: 'hello world', repeated",
                      .items_name = "texts",
                      .counts_tokens = true};

TEST(Summary, TextOfAClosedLoop) {
  EXPECT_EQ(summary_text(kLabel, example_options(), example_result(), false),
            "embeddings:  demo at http://localhost:8000\n"
            "load:        2 texts per request: 'hello world', repeated\n"
            "requests:    1,000\n"
            "concurrency: 8\n"
            "successes:   990\n"
            "failures:    10 (timeout 2, status 8; by status 429: 8)\n"
            "429:         8\n"
            "latency ms:  p50 50.0  p90 90.0  p95 95.0  p99 99.0  max 99.0  mean 50.0\n"
            "failed ms:   p50 1.00  p90 30,000  p95 30,000  p99 30,000  max 30,000  mean 6,001\n"
            "wall:        4.00 s\n"
            "throughput:  248 requests/s, 495 texts/s\n"
            "tokens:      3,465 tokens/s, 13,860 in all\n"
            "bytes:       250 kB out, 8.20 MB in\n"
            "first error: status 429: 'queue is full'\n"
            "             1 x no answer within 30 s\n"
            "             8 x status 429: 'queue is full'\n"
            "verdict:     valid: generator CPU 5 % of a core\n");
}

TEST(Summary, VerboseListsErrorsAndMissingUsageIsSaid) {
  RunResult result = example_result();
  result.tally.answers_with_prompt_tokens = result.tally.prompt_tokens = 0;
  const std::string text = summary_text(kLabel, example_options(), result, true);
  EXPECT_NE(text.find("tokens:      unknown: no answer had usage.prompt_tokens\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("error:       request 900 at 3.250 s: no answer within 30 s\n"),
            std::string::npos)
      << text;
  result.tally.answers_with_prompt_tokens = 10;
  EXPECT_NE(summary_text(kLabel, example_options(), result, true).find("only 10 of 990 answers"),
            std::string::npos);
}

TEST(Summary, OpenLoopShowsBothTimes) {
  RunOptions options = example_options();
  options.rate = 250;
  options.arrivals = Arrivals::kPoisson;
  RunResult result = example_result();
  for (int i = 0; i < 990; ++i) result.tally.service.record(milliseconds(2));
  const std::string text = summary_text(kLabel, options, result, false);
  EXPECT_NE(text.find("concurrency: open loop, 250 requests/s Poisson, up to 8 connections\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("mean 50.0  (from the intended send)\nservice ms:  p50 2.00"),
            std::string::npos)
      << text;
  const auto json = summary_json(kLabel, options, result);
  EXPECT_EQ(json["arrivals"], "poisson");
  EXPECT_NEAR(json["service_ms"]["p99"].get<double>(), 2, 0.002);
}

// 990 answers from 1 to 99 ms, sent at once; 110 more requests had waited 400 ms when sending
// ended. The answered ones' figures stay, those of all that were due stand beside them.
TEST(Summary, WhatWasNeverSentIsCharged) {
  RunOptions options = example_options();
  options.rate = 275;
  RunResult result = example_result();
  Tally& tally = result.tally;
  tally.service.record(milliseconds(2), 990);
  EXPECT_EQ(summary_text(kLabel, options, result, false).find("all due ms"), std::string::npos);
  EXPECT_FALSE(summary_json(kLabel, options, result).contains("latency_all_due_ms"));
  tally.unsent = 110;
  tally.unsent_waited.record(milliseconds(400), 110);
  const std::string text = summary_text(kLabel, options, result, false);
  for (const char* line :
       {"requests:    1,000 (110 more not sent)\n",
        "latency ms:  p50 50.0  p90 90.0  p95 95.0  p99 99.0  max 99.0  mean 50.0  (from the "
        "intended send)\n",
        "all due ms:  p50 55.0  p90 99.0  p95 402  p99 402  max 402  mean 85.2  (at least: with "
        "110 never sent)\n",
        "unsent:      110 were due and never sent; when sending ended they had waited: p50 400  "
        "p99 400  max 400 ms\n",
        "verdict:     server saturated: 110 of 1,110 due requests were never sent: all 8 "
        "connections were busy, and they had waited up to 400 ms\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  const auto json = summary_json(kLabel, options, result);
  EXPECT_EQ(json["latency_ms"]["count"], 990);
  EXPECT_EQ(json["latency_all_due_ms"]["count"], 1100);
  EXPECT_NEAR(json["latency_all_due_ms"]["p99"].get<double>(), 402, 0.5);
  EXPECT_EQ(json["unsent_waited_ms"]["count"], 110);
  EXPECT_DOUBLE_EQ(json["unsent_waited_ms"]["max"].get<double>(), 400);
}

TEST(Summary, ThroughputOfATimedRunCountsOnlyItsWindow) {
  RunResult result = example_result();
  result.tally.window_end = TimePoint(seconds(102));
  result.tally.ok_in_window = 600;
  const auto json = summary_json(kLabel, example_options(), result);
  EXPECT_DOUBLE_EQ(json["wall_s"].get<double>(), 2);
  EXPECT_DOUBLE_EQ(json["requests_per_s"].get<double>(), 300);
}

// 10 streamed answers, one of them over the window's end; two without usage, one without content.
TEST(Summary, GeneratedTextHasItsOwnLines) {
  const RunLabel label{.what = "chat", .model = "demo", .counts_tokens = true, .generates = true};
  RunOptions options = example_options();
  options.slo = {.ttft = milliseconds(200), .itl = milliseconds(30)};
  RunResult result{.tally = {}, .peer = "127.0.0.1:8000"};
  Tally& tally = result.tally;
  tally.started = TimePoint(seconds(100));
  tally.window_end = TimePoint(seconds(104));
  tally.ok = 10;
  tally.ok_in_window = 9;
  tally.failed = 2;
  tally.prompt_tokens = 200;
  tally.prompt_tokens_in_window = 180;
  tally.answers_with_prompt_tokens = 8;
  for (int i = 0; i < 10; ++i) {
    const TimePoint sent = tally.window_end - milliseconds(i < 9 ? 500 : 250);
    const std::vector<TimePoint> pieces = {sent + milliseconds(200), sent + milliseconds(300)};
    const std::vector<Duration> gaps = {milliseconds(i < 6 ? 20 : 100)};
    Generation generation{.output_tokens = i + 1, .counted_by_server = i >= 2};
    if (i != 4) generation.pieces = pieces, generation.gaps = gaps;
    if (i == 5) generation.cached_tokens = 50;
    tally.generation.note(generation, sent, sent + milliseconds(400), tally.window_end,
                          options.slo);
  }
  const std::string text = summary_text(label, options, result, false);
  for (const char* line :
       {"ttft ms:     p50 200  p90 200  p95 200  p99 200  max 200  mean 200  (answers without "
        "content: 1)\n",
        "itl ms:      p50 20.0  p90 100  p95 100  p99 100  max 100  mean 55.6  (9 gaps)\n",
        "throughput:  2.25 requests/s\n",
        "output:      12.5 tokens/s, 55 tokens in all, 5.50 per answer (1 to 10); 2 of 10 answers "
        "had no usage: their pieces of content are counted\n",
        "prompt:      45.0 tokens/s, 200 tokens in all, 25.0 per request, 25.0 % from a prefix "
        "cache; only 8 of 10 answers had usage.prompt_tokens\n",
        "goodput:     41.7 % of requests, 1.25 requests/s had their first token within 200 ms and "
        "99 % of the gaps within 30.0 ms\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  EXPECT_EQ(text.find("tpot"), std::string::npos);
  const auto json = summary_json(label, options, result);
  EXPECT_EQ(json["output_tokens"], 55);
  EXPECT_DOUBLE_EQ(json["output_tokens_per_s"].get<double>(), 12.5);
  EXPECT_EQ(json["answers_with_output_tokens"], 8);
  EXPECT_EQ(json["answers_without_content"], 1);
  EXPECT_EQ(json["goodput"]["answers"], 5);
  EXPECT_EQ(json["itl_ms"]["count"], 9);
}

TEST(Tally, MergeAddsUpAndKeepsTheEarliestErrors) {
  Tally a = example_result().tally;
  Tally b = example_result().tally;
  b.started = TimePoint(seconds(99));
  b.timeline = {{.ok = 3, .failed = 1, .latency_sum_ms = 9, .latency_max_ms = 5}};
  a.merge(b);
  EXPECT_EQ(a.ok, 1980u);
  EXPECT_EQ(a.statuses[429], 16u);
  EXPECT_EQ(a.latency.count(), 1980u);
  EXPECT_EQ(a.messages.at("no answer within 30 s"), 2u);
  EXPECT_DOUBLE_EQ(a.wall_s(), 5);
  EXPECT_EQ(a.timeline[0].ok, 3u);
  EXPECT_TRUE(std::is_sorted(a.errors.begin(), a.errors.end(),
                             [](const auto& x, const auto& y) { return x.at_s < y.at_s; }));
}

TEST(Tally, DifferentMessagesAreBounded) {
  Tally tally;
  for (int i = 0; i < 1000; ++i) tally.note_message(1, 0, "message " + std::to_string(i), 3);
  EXPECT_EQ(tally.messages.size(), Tally::kMessagesMax);
  EXPECT_EQ(tally.other_messages, 1000 - Tally::kMessagesMax);
  EXPECT_EQ(tally.errors.size(), 3u);
}

TEST(Numbers, ShortAndGrouped) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1234567), "1,234,567");
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(0.01234), "0.0123");
  EXPECT_EQ(short_number(0.5), "0.500");
  EXPECT_EQ(short_number(9.996), "10.0");
  EXPECT_EQ(short_number(99.96), "100");
  EXPECT_EQ(short_number(12345.6), "12,346");
}

TEST(Progress, LineShowsRateOfTheStepAndTimeLeft) {
  RunOptions options = example_options();
  const Progress before{.elapsed_s = 1, .ok = 100, .latency_sum_ms = 1000};
  const Progress now{.elapsed_s = 2, .ok = 249, .failed = 1, .latency_sum_ms = 1298};
  EXPECT_EQ(progress_line(options, before, now),
            "250/1,000 (25 %)  150 requests/s  2.00 ms  errors 1  ETA 6 s");
  options.requests = 0;
  options.duration = seconds(200);
  EXPECT_EQ(progress_line(options, before, now),
            "250 (1 %)  150 requests/s  2.00 ms  errors 1  ETA 3 min 18 s");
  EXPECT_EQ(progress_line(options, before, {.warming = true, .ok = 12}),
            "warming up: 12 requests done");
  // Counters of another phase: no nonsense rate.
  EXPECT_EQ(progress_line(example_options(), now, {.elapsed_s = 2.5, .ok = 10}),
            "10/1,000 (1 %)  errors 0  ETA 4 min 8 s");
}

}  // namespace
}  // namespace sis::perf
