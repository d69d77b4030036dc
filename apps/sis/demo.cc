// `sis demo`: a short tour of a running server in the terminal.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>

#include "base/strings.h"
#include "commands.h"
#include "demo_client.h"
#include "demo_server.h"
#include "perf/load/embeddings.h"
#include "perf/load/run.h"
#include "perf/report/summary.h"

namespace sis::apps {
namespace {

using nlohmann::json;

constexpr Duration kStartTimeout = std::chrono::seconds(120);
constexpr int kBarCells = 40;

struct Options {
  std::string base_url;  // empty: a server of our own
  double load_seconds = 5;
};

// The first model with each capability; empty: none.
struct Models {
  std::string embed, rerank, classify, chat;
};

const char* dim() { return isatty(1) ? "\x1b[2m" : ""; }
const char* bold() { return isatty(1) ? "\x1b[1m" : ""; }
const char* plain() { return isatty(1) ? "\x1b[0m" : ""; }

// As wide as `cells` characters.
std::string bar(double share, int cells = kBarCells) {
  const int eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * cells * 8));
  static constexpr const char* kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kParts[eighths % 8];
  return out.append(static_cast<size_t>(cells - (eighths + 7) / 8), ' ');
}

void heading(int number, const char* title, const std::string& call) {
  std::printf("\n%s%d. %s%s  %s%s%s\n", bold(), number, title, plain(), dim(), call.c_str(),
              plain());
}

void absent(const char* capability, const char* demo) {
  std::printf("   left out: no loaded model has the capability %s (%s is not there)\n", capability,
              demo);
}

void took(Duration time) { std::printf("   %s%.1f ms%s\n", dim(), to_ms(time), plain()); }

Result<Models> find_models(const DemoClient& client) {
  SIS_ASSIGN(const auto reply, client.get("/v1/models"));
  Models models;
  const auto data = reply.body.find("data");
  if (data == reply.body.end() || !data->is_array())
    return Error{Code::kInternal, "/v1/models: the answer has no list of models"};
  for (const auto& model : *data) {
    if (!model.is_object() || !model.contains("id") || !model["id"].is_string()) continue;
    const auto take = [&](const char* capability, std::string& into) {
      const auto words = model.find("capabilities");
      if (words == model.end() || !words->is_array()) return;
      if (into.empty() && std::find(words->begin(), words->end(), capability) != words->end())
        into = model["id"].get<std::string>();
    };
    take("text-embedding", models.embed);
    take("rerank", models.rerank);
    take("text-classification", models.classify);
    take("chat-completion", models.chat);
  }
  return models;
}

Status show_embeddings(const DemoClient& client, const std::string& model) {
  heading(1, "Meaning as vectors", "POST /v1/embeddings");
  if (model.empty()) return absent("text-embedding", "demo/embed"), Status();
  const std::vector<std::string> texts = {
      "how do I fix a leaking tap", "repairing a dripping faucet", "a quick recipe for tomato soup",
      "the train to the coast leaves at nine"};
  SIS_ASSIGN(const auto reply, client.post("/v1/embeddings", {{"model", model}, {"input", texts}}));
  std::vector<std::vector<double>> vectors;
  for (const auto& item : reply.body.at("data"))
    vectors.push_back(item.at("embedding").get<std::vector<double>>());
  if (vectors.size() != texts.size())
    return Error{Code::kInternal,
                 concat("/v1/embeddings: want ", texts.size(), " vectors, found ", vectors.size())};
  for (const auto& vector : vectors)
    if (vector.size() != vectors[0].size())
      return Error{Code::kInternal, concat("/v1/embeddings: want vectors of one length, found ",
                                           vectors[0].size(), " and ", vector.size())};
  std::printf("   '%s' is near to\n", texts[0].c_str());
  for (size_t i = 1; i < texts.size(); ++i) {
    double cosine = 0;
    for (size_t c = 0; c < vectors[0].size(); ++c) cosine += vectors[0][c] * vectors[i][c];
    std::printf("   %5.2f %s %s\n", cosine, bar(cosine, 8).c_str(), texts[i].c_str());
  }
  std::printf("   %zu texts, %zu dimensions each\n", texts.size(), vectors[0].size());
  return took(reply.took), Status();
}

Status show_rerank(const DemoClient& client, const std::string& model) {
  heading(2, "The best answer first", "POST /rerank");
  if (model.empty()) return absent("rerank", "demo/rerank"), Status();
  const char* query = "my laptop battery dies too fast";
  SIS_ASSIGN(const auto reply,
             client.post("/rerank", {{"model", model},
                                     {"query", query},
                                     {"documents",
                                      {"The battery of the smoke alarm must be changed every year.",
                                       "Lower the screen brightness and close programs you do not"
                                       " use, so that the notebook runs longer.",
                                       "Laptops are sold on the second floor.",
                                       "She runs too fast for her age."}}}));
  std::printf("   '%s'\n", query);
  for (const auto& result : reply.body.at("results"))
    std::printf("   %5.2f %s\n", result.at("relevance_score").get<double>(),
                shown(result.at("document").at("text").get<std::string>()).c_str());
  return took(reply.took), Status();
}

Status show_classify(const DemoClient& client, const std::string& model) {
  heading(3, "What is the mood?", "POST /predict_batch");
  if (model.empty()) return absent("text-classification", "demo/sentiment"), Status();
  SIS_ASSIGN(const auto reply,
             client.post("/predict_batch",
                         {{"model", model},
                          {"texts",
                           {"The bread was warm and the staff were kind.",
                            "The zip broke on the second day and nobody answers the phone.",
                            "The package contains four screws and a manual."}}}));
  for (const auto& prediction : reply.body.at("predictions"))
    std::printf("   %-9s %3.0f %%  %s\n",
                shown(prediction.at("sentiment").get<std::string>()).c_str(),
                100 * prediction.at("confidence").get<double>(),
                shown(prediction.at("text").get<std::string>()).c_str());
  return took(reply.took), Status();
}

Status show_chat(const DemoClient& client, const std::string& model) {
  heading(4, "A chat, word by word", "POST /v1/chat/completions, streamed");
  if (model.empty()) return absent("chat-completion", "demo/chat"), Status();
  const char* question = "How do I change the port the server listens on?";
  std::printf("   > %s\n   ", question);
  SIS_ASSIGN(const auto streamed,
             client.stream_chat({{"model", model},
                                 {"messages", {{{"role", "user"}, {"content", question}}}},
                                 {"temperature", 0},
                                 {"max_tokens", 120},
                                 {"stream", true},
                                 {"stream_options", {{"include_usage", true}}}}));
  std::printf("\n   %sfirst words after %.1f ms, %lld tokens in %.0f ms%s\n", dim(),
              streamed.first_ms, static_cast<long long>(streamed.tokens), streamed.whole_ms,
              plain());
  return {};
}

void show_chart(const perf::RunResult& run, double seconds) {
  const auto& tally = run.tally;
  uint64_t most = 1;
  for (const auto& second : tally.timeline) most = std::max(most, second.ok);
  const auto shown = static_cast<size_t>(std::ceil(seconds));
  for (size_t i = 0; i < tally.timeline.size() && i < shown; ++i) {
    const auto& second = tally.timeline[i];
    std::printf("   second %zu  %s %s/s\n", i + 1,
                bar(static_cast<double>(second.ok) / static_cast<double>(most)).c_str(),
                perf::with_commas(second.ok).c_str());
  }
  std::printf("   latency p50 %s  p95 %s  p99 %s ms; %s answers, %s failures\n",
              perf::short_number(tally.latency.quantile_ms(.5)).c_str(),
              perf::short_number(tally.latency.quantile_ms(.95)).c_str(),
              perf::short_number(tally.latency.quantile_ms(.99)).c_str(),
              perf::with_commas(tally.ok).c_str(), perf::with_commas(tally.failed).c_str());
}

Status show_load(const DemoClient& client, const std::string& model, double seconds) {
  if (seconds <= 0) return {};
  heading(5, "Under load", concat("8 clients embed distinct texts for ", seconds, " s"));
  if (model.empty()) return absent("text-embedding", "demo/embed"), Status();
  SIS_ASSIGN(const auto lengths, perf::LengthSpec::parse("uniform:8:16"));
  perf::EmbeddingsOptions load{.url = client.url(), .model = model, .api_key = ""};
  load.texts.lengths = lengths;
  load.encoding = perf::VectorEncoding::kBase64;
  load.distinct = true;
  SIS_ASSIGN(const auto workload, perf::EmbeddingsWorkload::create(load));
  SIS_ASSIGN(
      const auto run,
      perf::run_load(
          {.url = client.url(), .connections = 8, .requests = 0, .duration = from_seconds(seconds)},
          *workload, nullptr, [](const perf::Progress&) {}));
  show_chart(run, seconds);
  if (run.tally.ok == 0) return Error{Code::kUnavailable, "no request was answered"};
  return {};
}

Status tour(const Options& options) {
  std::unique_ptr<DemoServer> server;
  std::string base = options.base_url;
  if (base.empty()) {
    std::printf("starting sis serve ...\n");
    const auto begin = std::chrono::steady_clock::now();
    SIS_ASSIGN(server, DemoServer::start(kStartTimeout));
    std::printf("ready in %.2f s\n", to_seconds(std::chrono::steady_clock::now() - begin));
    for (const auto& line : server->said())
      if (line.starts_with("  ")) std::printf("%s%s%s\n", dim(), line.c_str(), plain());
    base = server->url();
  }
  auto url = net::parse_url(base);
  if (!url.ok()) return prefixed("--base-url", std::move(url).error());
  const DemoClient client(std::move(*url));
  SIS_ASSIGN(const Models models, find_models(client));
  // What answers is ours or claims to be: an answer of another shape is told, not trusted.
  try {
    SIS_TRY(show_embeddings(client, models.embed));
    SIS_TRY(show_rerank(client, models.rerank));
    SIS_TRY(show_classify(client, models.classify));
    SIS_TRY(show_chat(client, models.chat));
  } catch (const json::exception& error) {
    return Error{Code::kInternal, concat("an answer of another shape: ", error.what())};
  }
  SIS_TRY(show_load(client, models.embed, options.load_seconds));
  std::printf("\nNext: 'sis serve' serves these models; 'sis --help' lists the other commands.\n");
  return {};
}

}  // namespace

int demo_main(int argc, char** argv) {
  Options options;
  CLI::App app{
      "A short tour: embeddings, rerank, classification, chat and load, against a server "
      "of its own.",
      "sis demo"};
  app.add_option("--base-url", options.base_url, "a running server instead, as http://host:port");
  app.add_option("--load-seconds", options.load_seconds, "length of the load test; 0: none")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const auto status = tour(options);
  if (status.ok()) return 0;
  std::fflush(stdout);
  std::fprintf(stderr, "sis demo: %s\n", shown(status.error().message).c_str());
  return 1;
}

}  // namespace sis::apps
