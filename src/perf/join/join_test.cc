// Pages of metrics are read right or refused with the line, and several scrapes of one server
// become the figures that stand in a report.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/join/host_cpu.h"
#include "perf/join/kserve_stats.h"
#include "perf/join/server_view.h"

namespace sis::perf {
namespace {

MetricPage page_of(std::string_view text) {
  auto page = MetricPage::parse(text);
  EXPECT_TRUE(page.ok()) << (page.ok() ? "" : page.error().message);
  return page.ok() ? *page : MetricPage();
}

nlohmann::ordered_json view_of(const std::vector<std::string>& pages,
                               const std::string& model = {}) {
  const MetricPage first = page_of(pages.front());
  const ServerKind* kind = recognise(first);
  EXPECT_NE(kind, nullptr);
  if (kind == nullptr) return {};
  ServerView view(*kind, model);
  for (const auto& page : pages) EXPECT_TRUE(view.add(page_of(page)).ok());
  return view.json();
}

TEST(Prometheus, ReadsSamplesLabelsAndOddNumbers) {
  const MetricPage page = page_of(
      "# HELP a_total what\n# TYPE a_total counter\n"
      "a_total 12 1700000000\r\n"
      "b{x=\"1\",le=\"+Inf\",} 3.5e2\n"
      "b{ x = \"two \\\"quoted\\\" \\\\ and\\n a line\" } -0.25 # {trace=\"1\"} 4 5\n"
      "c NaN\nd +Inf\n\n  e:f{} 7\n# EOF");
  ASSERT_EQ(page.samples(), 6u);
  EXPECT_EQ(page.find("a_total")->front().value, 12);
  ASSERT_EQ(page.find("b")->size(), 2u);
  EXPECT_EQ(page.find("b")->front().value, 350);
  EXPECT_EQ(page.find("b")->front().label("le"), "+Inf");
  EXPECT_EQ(page.find("b")->back().label("x"), "two \"quoted\" \\ and\n a line");
  EXPECT_EQ(page.find("b")->back().value, -0.25);
  EXPECT_TRUE(std::isnan(page.find("c")->front().value));
  EXPECT_TRUE(std::isinf(page.find("d")->front().value));
  EXPECT_EQ(page.find("e:f")->front().value, 7);
  EXPECT_EQ(page.find("nothing"), nullptr);
}

TEST(Prometheus, RefusesWhatItCannotReadWithTheLine) {
  for (const char* line : {"{a=\"b\"} 1", "9a 1", "a", "a ", "a x", "a{b} 1", "a{b=\"c} 1",
                           "a{b=c} 1", "a{b=\"c\"}1", "a{b=\"c\" 1", "a 1x"}) {
    const auto page = MetricPage::parse(concat("fine 1\n", line, "\n"));
    ASSERT_FALSE(page.ok()) << line;
    EXPECT_NE(page.error().message.find("line 2"), std::string::npos) << page.error().message;
  }
  std::string labels = "a{";
  for (int i = 0; i < 65; ++i) labels += concat("l", i, "=\"\",");
  EXPECT_FALSE(MetricPage::parse(labels + "} 1").ok());
  std::string many;
  for (size_t i = 0; i <= MetricPage::kSamplesMax; ++i) many += "a 1\n";
  EXPECT_FALSE(MetricPage::parse(many).ok());
  EXPECT_FALSE(MetricPage::parse(std::string(MetricPage::kPageBytesMax + 1, '\n')).ok());
}

// Means are of what came between the scrapes, not since the server began.
TEST(ServerView, OurOwnServer) {
  const auto page = [](int requests, double wait_s, int hits, int misses, int waiting) {
    return concat(
        "inference_requests_total ", requests, "\ninference_errors_5xx_total 0\n",
        "embedding_request_queue_wait_seconds_sum{model=\"m\"} ", wait_s,
        "\nembedding_request_queue_wait_seconds_count{model=\"m\"} ", requests,
        "\nembedding_request_queue_wait_seconds_bucket{model=\"m\",le=\"0.001\"} ", requests / 2,
        "\nembedding_request_queue_wait_seconds_bucket{model=\"m\",le=\"0.01\"} ", requests,
        "\nembedding_request_queue_wait_seconds_bucket{model=\"m\",le=\"+Inf\"} ", requests,
        "\nembedding_batch_size_sum{model=\"m\"} ", requests,
        "\nembedding_batch_size_count{model=\"m\"} ", requests / 4,
        "\nembedding_cache_hits_total{model=\"m\"} ", hits,
        "\nembedding_cache_misses_total{model=\"m\"} ", misses,
        "\nembedding_batch_queue_size{model=\"m\"} ", waiting, "\n");
  };
  const auto server = view_of(
      {page(1000, 5.0, 10, 90, 0), page(1100, 5.1, 20, 120, 6), page(1200, 5.4, 40, 160, 3)});
  EXPECT_EQ(server["kind"], "sis");
  EXPECT_EQ(server["scrapes"], 3);
  EXPECT_EQ(server["resets"], 0);
  EXPECT_EQ(server["requests"], 200);
  EXPECT_NEAR(server["queue_ms"].get<double>(), 0.4 / 200 * 1e3, 1e-9);
  EXPECT_NEAR(server["queue_p50_ms"].get<double>(), 1.0, 1e-9);
  EXPECT_NEAR(server["queue_p99_ms"].get<double>(), 1.0 + 9.0 * 0.98, 1e-9);
  EXPECT_EQ(server["batch_size"], 4);
  EXPECT_NEAR(server["cache_hit_rate"].get<double>(), 0.3, 1e-9);
  EXPECT_EQ(server["waiting"], 3);
  EXPECT_EQ(server["waiting_max"], 6);
  EXPECT_FALSE(server.contains("ttft_ms"));
  const std::string text = server_text(server);
  EXPECT_NE(text.find("queue 2.00 ms"), std::string::npos) << text;
  EXPECT_NE(text.find("cache hits 30 %"), std::string::npos) << text;
  EXPECT_NE(text.find("waiting 3.00 (most 6.00)"), std::string::npos) << text;
}

// Our server measures a chat's queue, first token and whole; the parts of a request follow. Answers
// out of a cache have no first token, requests that failed after theirs are not among the good.
TEST(ServerView, OurOwnServersChatsInParts) {
  struct Counted {
    double good = 0, queue_s = 0, latency_s = 0, first = 0, first_s = 0;
  };
  const auto page = [](const Counted& c) {
    const auto histogram = [](const char* name, double count, double sum) {
      return concat(name, "_count{model=\"m\"} ", count, "\n", name, "_sum{model=\"m\"} ", sum,
                    "\n");
    };
    return concat("inference_requests_total 0\n",
                  histogram("chat_request_queue_wait_seconds", c.good, c.queue_s),
                  histogram("chat_request_latency_seconds", c.good, c.latency_s),
                  histogram("chat_time_to_first_token_seconds", c.first, c.first_s));
  };
  const auto parts = [&](const Counted& end) {
    return view_of({page({100, 7, 70, 90, 9}), page(end)}, "m");
  };
  // 10 requests: 10 ms in the queue, first token after 50, answered after 3,000.
  auto server = parts({110, 7.1, 100, 100, 9.5});
  EXPECT_NEAR(server["queue_ms"].get<double>(), 10, 1e-6);
  EXPECT_NEAR(server["prefill_ms"].get<double>(), 40, 1e-6);
  EXPECT_NEAR(server["decode_ms"].get<double>(), 2950, 1e-6);
  EXPECT_NEAR(server["ttft_ms"].get<double>(), 50, 1e-6);
  EXPECT_FALSE(server.contains("compute_ms"));
  EXPECT_NE(server_text(server).find("prefill 40.0 ms, decode 2,950 ms"), std::string::npos)
      << server_text(server);
  // 10 more came out of a cache at once.
  server = parts({120, 7.1, 100, 100, 9.5});
  EXPECT_NEAR(server["prefill_ms"].get<double>(), 20, 1e-6);
  EXPECT_NEAR(server["decode_ms"].get<double>(), 1475, 1e-6);
  // Or 10 more failed after their first token.
  server = parts({110, 7.1, 100, 110, 10});
  EXPECT_NEAR(server["prefill_ms"].get<double>(), 40, 1e-6);
  EXPECT_NEAR(server["decode_ms"].get<double>(), 2950, 1e-6);
  // Only failed ones; then times that contradict each other.
  server = parts({100, 7, 70, 100, 9.5});
  EXPECT_FALSE(server.contains("prefill_ms") || server.contains("decode_ms")) << server;
  EXPECT_EQ(parts({110, 8, 70, 100, 9.5})["decode_ms"], 0);
  // A server that counts no first tokens: nothing is derived.
  const auto older = [](double n) {
    return concat("inference_requests_total ", n, "\nchat_request_latency_seconds_count ", n,
                  "\nchat_request_latency_seconds_sum ", n, "\n");
  };
  server = view_of({older(1), older(2)});
  EXPECT_FALSE(server.contains("prefill_ms") || server.contains("decode_ms")) << server;
}

TEST(ServerView, OurOwnServersEmbeddingsInParts) {
  const auto page = [](double n) {
    return concat("inference_requests_total ", n, "\nembedding_request_queue_wait_seconds_count ",
                  n, "\nembedding_request_queue_wait_seconds_sum ", n * 0.002,
                  "\nembedding_request_latency_seconds_count ", n,
                  "\nembedding_request_latency_seconds_sum ", n * 0.010, "\n");
  };
  const auto server = view_of({page(10), page(60)});
  EXPECT_NEAR(server["queue_ms"].get<double>(), 2, 1e-6);
  EXPECT_NEAR(server["compute_ms"].get<double>(), 8, 1e-6);
  EXPECT_FALSE(server.contains("prefill_ms"));
}

// What a server says may be beyond all whole numbers.
TEST(ServerView, ShowsFiguresOfAnySize) {
  const auto server =
      view_of({"inference_requests_total 0\ninference_errors_4xx_total 0\n"
               "embedding_request_queue_wait_seconds_sum 0\n"
               "embedding_request_queue_wait_seconds_count 0\n",
               "inference_requests_total 1e300\ninference_errors_4xx_total 3\n"
               "embedding_request_queue_wait_seconds_sum 1e300\n"
               "embedding_request_queue_wait_seconds_count 1\n"});
  const std::string text = server_text(server);
  EXPECT_NE(text.find("1,000,000,000,000,000,000 requests"), std::string::npos) << text;
  EXPECT_NE(text.find("queue 1e+303 ms"), std::string::npos) << text;
  EXPECT_NE(text.find("3 4xx errors"), std::string::npos) << text;
}

// A server that begins again counts from zero: what it counts from then on is not lost.
TEST(ServerView, NoticesARestart) {
  const auto page = [](int requests) {
    return concat("inference_requests_total ", requests, "\n");
  };
  const auto server = view_of({page(500), page(600), page(40), page(90)});
  EXPECT_EQ(server["requests"], 190);
  EXPECT_EQ(server["resets"], 1);
  EXPECT_NE(server_text(server).find("restarted"), std::string::npos);
}

TEST(ServerView, CountsOneModelOfSeveral) {
  const auto page = [](int mine, int others) {
    return concat("vllm:request_success_total{model_name=\"mine\",finished_reason=\"stop\"} ", mine,
                  "\nvllm:request_success_total{model_name=\"other\",finished_reason=\"stop\"} ",
                  others, "\n");
  };
  EXPECT_EQ(view_of({page(1, 5), page(11, 95)}, "mine")["requests"], 10);
  EXPECT_EQ(view_of({page(1, 5), page(11, 95)}, "unheard of")["requests"], 100);
  EXPECT_EQ(view_of({page(1, 5), page(11, 95)})["requests"], 100);
}

TEST(ServerView, VllmNames) {
  const auto page = [](double n) {
    const auto histogram = [&](const char* name, double mean) {
      return concat("vllm:", name, "_sum{model_name=\"m\"} ", mean * n, "\nvllm:", name,
                    "_count{model_name=\"m\"} ", n, "\n");
    };
    return concat("vllm:request_success_total{model_name=\"m\",finished_reason=\"stop\"} ", n,
                  "\nvllm:request_success_total{model_name=\"m\",finished_reason=\"abort\"} ",
                  n / 10, "\n", histogram("request_queue_time_seconds", 0.010),
                  histogram("request_prefill_time_seconds", 0.050),
                  histogram("request_decode_time_seconds", 0.500),
                  histogram("time_to_first_token_seconds", 0.060),
                  histogram("inter_token_latency_seconds", 0.004),
                  "vllm:prefix_cache_queries_total{model_name=\"m\"} ", n * 100,
                  "\nvllm:prefix_cache_hits_total{model_name=\"m\"} ", n * 25,
                  "\nvllm:prompt_tokens_total{model_name=\"m\"} ", n * 100,
                  "\nvllm:generation_tokens_total{model_name=\"m\"} ", n * 20,
                  "\nvllm:num_requests_running{model_name=\"m\"} ", n / 10,
                  "\nvllm:kv_cache_usage_perc{model_name=\"m\"} 0.5\n");
  };
  const auto server = view_of({page(10), page(50)});
  EXPECT_EQ(server["kind"], "vllm");
  EXPECT_NEAR(server["queue_ms"].get<double>(), 10, 1e-6);
  EXPECT_NEAR(server["prefill_ms"].get<double>(), 50, 1e-6);
  EXPECT_NEAR(server["decode_ms"].get<double>(), 500, 1e-6);
  EXPECT_NEAR(server["ttft_ms"].get<double>(), 60, 1e-6);
  EXPECT_NEAR(server["itl_ms"].get<double>(), 4, 1e-6);
  EXPECT_NEAR(server["cache_hit_rate"].get<double>(), 0.25, 1e-9);
  EXPECT_EQ(server["requests"], 44);
  EXPECT_EQ(server["errors"], 4);
  EXPECT_EQ(server["output_tokens"], 800);
  EXPECT_EQ(server["running"], 3);
  EXPECT_EQ(server["kv_cache_used"], 0.5);
}

// A server whose labels change all the time costs bounded memory, and is told.
TEST(ServerView, SeriesThatNeverEndAreAnError) {
  const auto page = [](int number) {
    std::string text;
    for (int i = 0; i < 50'000; ++i)
      text += concat("inference_requests_total{model=\"", number, "-", i, "\"} 1\n");
    return page_of(text);
  };
  const MetricPage first = page(0);
  ServerView view(*recognise(first), "");
  int pages = 0;
  Status status = view.add(first);
  for (; status.ok() && pages < 20; ++pages) status = view.add(page(pages + 1));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kTooLarge);
  EXPECT_EQ(pages, 8);  // 8 x 50,000 are kept, the ninth is over
  EXPECT_TRUE(view.overflowed());
  EXPECT_FALSE(view.add(first).ok());
}

// Versions that show a figure under its old and its new name count once; with one name it counts.
TEST(ServerView, OldAndNewNamesOfOneFigure) {
  const auto names = [](const std::string& cache, const std::string& usage, double n) {
    return concat("vllm:", cache, "_hits_total ", n * 25, "\nvllm:", cache, "_queries_total ",
                  n * 100, "\nvllm:", usage, " 0.5\n");
  };
  const auto old_page = [&](double n) {
    return names("gpu_prefix_cache", "gpu_cache_usage_perc", n);
  };
  const auto new_page = [&](double n) { return names("prefix_cache", "kv_cache_usage_perc", n); };
  for (const auto& pages : {std::vector<std::string>{old_page(10), old_page(50)},
                            {new_page(10), new_page(50)},
                            {old_page(10) + new_page(10), old_page(50) + new_page(50)}}) {
    const auto server = view_of({pages[0], pages[1]});
    EXPECT_EQ(server["cached_tokens"], 1000) << pages[0];
    EXPECT_EQ(server["kv_cache_used"], 0.5) << pages[0];
    EXPECT_NEAR(server["cache_hit_rate"].get<double>(), 0.25, 1e-9) << pages[0];
  }
}

TEST(ServerView, TgiLlamaAndTritonNames) {
  const auto tgi = [](int n) {
    return concat("tgi_request_count ", n, "\ntgi_request_queue_duration_sum ", n * 0.002,
                  "\ntgi_request_queue_duration_count ", n,
                  "\ntgi_batch_inference_duration_sum{method=\"prefill\"} ", n * 0.03,
                  "\ntgi_batch_inference_duration_count{method=\"prefill\"} ", n,
                  "\ntgi_batch_inference_duration_sum{method=\"decode\"} ", n * 0.5,
                  "\ntgi_batch_inference_duration_count{method=\"decode\"} ", n * 50,
                  "\ntgi_queue_size 2\n");
  };
  auto server = view_of({tgi(10), tgi(110)});
  EXPECT_EQ(server["kind"], "tgi");
  EXPECT_NEAR(server["queue_ms"].get<double>(), 2, 1e-6);
  EXPECT_NEAR(server["prefill_ms"].get<double>(), 30, 1e-6);
  EXPECT_NEAR(server["decode_step_ms"].get<double>(), 10, 1e-6);
  EXPECT_EQ(server["waiting"], 2);

  const auto llama = [](int n) {
    return concat("llamacpp:prompt_tokens_total ", n * 10, "\nllamacpp:prompt_seconds_total ",
                  n * 0.02, "\nllamacpp:tokens_predicted_total ", n * 8,
                  "\nllamacpp:tokens_predicted_seconds_total ", n * 0.4,
                  "\nllamacpp:requests_processing 1\nllamacpp:requests_deferred 0\n");
  };
  server = view_of({llama(1), llama(11)});
  EXPECT_EQ(server["kind"], "llama-server");
  EXPECT_NEAR(server["itl_ms"].get<double>(), 50, 1e-6);
  EXPECT_NEAR(server["prefill_token_ms"].get<double>(), 2, 1e-6);
  EXPECT_EQ(server["output_tokens"], 80);

  const auto triton = [](int n) {
    return concat("nv_inference_request_success{model=\"m\",version=\"1\"} ", n,
                  "\nnv_inference_count{model=\"m\",version=\"1\"} ", n,
                  "\nnv_inference_exec_count{model=\"m\",version=\"1\"} ", n / 4,
                  "\nnv_inference_queue_duration_us{model=\"m\",version=\"1\"} ", n * 250,
                  "\nnv_inference_compute_infer_duration_us{model=\"m\",version=\"1\"} ", n * 8000,
                  "\n");
  };
  server = view_of({triton(100), triton(200)});
  EXPECT_EQ(server["kind"], "triton");
  EXPECT_NEAR(server["queue_ms"].get<double>(), 0.25, 1e-9);
  EXPECT_NEAR(server["compute_ms"].get<double>(), 8, 1e-9);
  EXPECT_NEAR(server["batch_size"].get<double>(), 4, 1e-9);

  EXPECT_EQ(recognise(page_of("some_other_total 1\n")), nullptr);
}

TEST(KServeStats, DifferencesAndShapes) {
  const auto body = [](int n) {
    return concat(R"({"model_stats":[{"name":"m","version":"2","inference_count":)", n * 2,
                  R"(,"execution_count":)", n, R"(,"inference_stats":{"success":{"count":)", n,
                  R"(,"ns":)", n * 9'000'000LL, R"(},"queue":{"count":)", n, R"(,"ns":)",
                  n * 1'000'000LL, R"(},"compute_infer":{"count":)", n, R"(,"ns":)",
                  n * 7'000'000LL, R"(},"cache_hit":{"count":)", n,
                  R"(,"ns":0},"cache_miss":{"count":)", n * 3, R"(,"ns":0}}}]})");
  };
  const auto before = parse_kserve_stats(body(10)), after = parse_kserve_stats(body(30));
  ASSERT_TRUE(before.ok() && after.ok());
  bool reset = false;
  const ModelStats delta = after->at({"m", "2"}).since(before->at({"m", "2"}), reset);
  EXPECT_FALSE(reset);
  EXPECT_EQ(delta.success.count, 20u);
  EXPECT_EQ(delta.queue.mean_us(), 1000u);
  const auto json = delta.json();
  EXPECT_EQ(json["batch_size"], 2);
  EXPECT_EQ(json["compute_ms"], 7);
  EXPECT_EQ(json["cache_hit_rate"], 0.25);
  before->at({"m", "2"}).since(after->at({"m", "2"}), reset);
  EXPECT_TRUE(reset);

  for (
      const char* wrong :
      {"", "[]", "{}", R"({"model_stats":{}})", R"({"model_stats":[1]})", R"({"model_stats":[{}]})",
       R"({"model_stats":[{"name":"m","version":"1"}]})",
       R"({"model_stats":[{"name":"m","version":"1","inference_stats":{"queue":{"count":-1}}}]})",
       R"({"model_stats":[{"name":"m","version":"1","inference_count":1e3,"inference_stats":{}}]})"})
    EXPECT_FALSE(parse_kserve_stats(wrong).ok()) << wrong;
}

// 2^61 * 1000 is 0 in 64 bits.
TEST(KServeStats, MeansOfCountsThatNobodyHas) {
  const auto page = parse_kserve_stats(
      R"({"model_stats":[{"name":"m","inference_stats":{"queue":{"count":2305843009213693952,"ns":9}}}]})");
  ASSERT_TRUE(page.ok()) << page.error().message;
  EXPECT_EQ(page->at({"m", ""}).queue.mean_us(), 0u);
}

TEST(HostCpu, SharesOfProcStat) {
  const auto times = parse_cpu_times("cpu  100 10 50 800 20 5 5 10 0 0\ncpu0 1 1\n", 100);
  ASSERT_TRUE(times.has_value());
  EXPECT_DOUBLE_EQ(times->total_s, 10);
  EXPECT_DOUBLE_EQ(times->busy_s, 1.7);
  EXPECT_DOUBLE_EQ(times->steal_s, 0.1);
  for (const char* wrong : {"", "cpu0 1 2 3 4", "cpu  1 2 x 4", "cpu  1 2 3"})
    EXPECT_FALSE(parse_cpu_times(wrong, 100).has_value()) << wrong;

  // Work of this process shows.
  const HostCpu host;
  volatile double sink = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(150);
  while (std::chrono::steady_clock::now() < end) sink = sink + 1;
  const auto json = host.json();
  ASSERT_TRUE(json.contains("own_share"));
  EXPECT_GT(json["own_share"].get<double>(), 0.0);
  EXPECT_LE(json["busy_share"].get<double>(), 1.0);
}

}  // namespace
}  // namespace sis::perf
