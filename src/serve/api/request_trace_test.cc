#include "serve/api/request_trace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::api {
namespace {

using nlohmann::json;
using telemetry::Stage;

constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class FakeExchange final : public net::Exchange {
 public:
  net::HttpRequest& request() override { return asked; }
  void respond(net::HttpResponse response) override { answer = std::move(response); }
  void start_stream(net::HttpResponse head) override { answer = std::move(head); }
  bool write(std::string_view) override { return true; }
  void finish_stream() override { finished = true; }
  void on_cancel(std::function<void()>) override {}
  bool cancelled() const override { return gone; }
  void run_on_loop(std::function<void()> call) override { call(); }

  net::HttpRequest asked;
  net::HttpResponse answer{.status = 0};
  bool gone = false, finished = false;
};

class Collect final : public telemetry::SpanTransport {
 public:
  explicit Collect(std::vector<json>& spans) : spans_(spans) {}
  Answer send(const std::string& body, Duration) override {
    const json request = json::parse(body);
    for (const auto& span : request["resourceSpans"][0]["scopeSpans"][0]["spans"])
      spans_.push_back(span);
    return {};
  }

 private:
  std::vector<json>& spans_;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

// Requests with everything around them: a clock turned by hand, a log in memory, a collector.
struct Traced {
  explicit Traced(Headers headers = {}) {
    EXPECT_EQ(pipe2(pipe, O_NONBLOCK | O_CLOEXEC), 0);
    log = telemetry::open_log({.fd = pipe[1]}, "sis.http");
    place = std::make_unique<TracePlace>(TracePlace{tracer, clock, log, ends});
    begin(std::move(headers));
  }
  Traced(const Traced&) = delete;
  ~Traced() {
    log.flush();
    close(pipe[0]);
    close(pipe[1]);
  }

  void begin(Headers headers = {}) {
    inner = std::make_shared<FakeExchange>();
    inner->asked.method = "POST";
    inner->asked.path = "/v1/things";
    inner->asked.request_id = "r1";
    inner->asked.headers = std::move(headers);
    inner->asked.received_at = clock.now();
    exchange = std::make_shared<TracedExchange>(inner, *place);
  }
  std::shared_ptr<RequestTrace> trace() { return RequestTrace::of(exchange); }
  std::string header(const std::string& name) const {
    for (const auto& [key, value] : inner->answer.headers)
      if (key == name) return value;
    return "";
  }
  std::vector<json> lines() {
    log.flush();
    std::string text(1 << 16, '\0');
    const auto size = read(pipe[0], text.data(), text.size());
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    std::vector<json> out;
    for (const auto& line : split(text, '\n'))
      if (!line.empty()) out.push_back(json::parse(line));
    return out;
  }
  // All spans so far; ends the exporting.
  std::vector<json>& collected() {
    exchange.reset();
    exporter.reset();
    return spans;
  }

  struct Ends final : RequestEndObserver {
    void on_end(const RequestEnd& end) override {
      all.push_back(concat(end.route, " ", end.model, " ", end.status, " ", to_ms(end.latency)));
    }
    std::vector<std::string> all;
  } ends;
  ManualClock clock;
  int pipe[2];
  telemetry::Logger log;
  std::vector<json> spans;
  std::unique_ptr<telemetry::SpanExporter> exporter = std::make_unique<telemetry::SpanExporter>(
      telemetry::SpanExportOptions{.batches = {.flush_every = from_seconds(1000)},
                                   .flush_budget = from_seconds(20)},
      telemetry::Resource{}, std::make_unique<Collect>(spans), telemetry::Logger());
  telemetry::Tracer tracer{0, exporter.get()};  // only what callers sample
  std::unique_ptr<TracePlace> place;
  std::shared_ptr<FakeExchange> inner;
  std::shared_ptr<net::Exchange> exchange;
};

TEST(RequestTrace, EveryAnswerTellsItsTimesAndIsLoggedOnce) {
  Traced t;
  t.trace()->set_route("/v1/*");
  t.trace()->set_model("m");
  t.clock.advance(from_ms(2));
  t.trace()->mark(Stage::kParse, t.clock.now());
  t.clock.advance(from_ms(10.345));
  t.exchange->respond({.status = 400});
  EXPECT_EQ(t.header("X-Response-Time"), "12.35");  // rounded
  EXPECT_EQ(t.header("Server-Timing"), "parse;dur=2.000, total;dur=12.345");
  EXPECT_EQ(t.header("traceresponse"), "");  // nobody asked
  t.exchange->respond({.status = 200});
  t.exchange.reset();
  const auto lines = t.lines();
  ASSERT_EQ(lines.size(), 1u);
  const json& line = lines[0];
  EXPECT_EQ(line["message"], "http_request");
  EXPECT_EQ(line["request_id"], "r1");
  EXPECT_EQ(line["route"], "/v1/*");
  EXPECT_EQ(line["model"], "m");
  EXPECT_EQ(line["status"], 400);
  EXPECT_EQ(line["latency_ms"], 12.345);
  EXPECT_EQ(line["parse_ms"], 2.0);
  EXPECT_FALSE(line.contains("queue_ms"));
  EXPECT_EQ(line["trace_id"].get<std::string>().size(), 32u);
  EXPECT_EQ(line["span_id"].get<std::string>().size(), 16u);
  EXPECT_EQ(t.ends.all, std::vector<std::string>{"/v1/* m 400 12.345"});
}

TEST(RequestTrace, ARoutesOwnLineStandsForTheOther) {
  Traced t;
  t.trace()->end(200, t.clock.now(), t.log.named("sis.own"), "own_request", {{"texts", 3}});
  t.exchange->respond({.status = 200});
  const auto lines = t.lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["logger"], "sis.own");
  EXPECT_EQ(lines[0]["message"], "own_request");
  EXPECT_EQ(lines[0]["texts"], 3);
  EXPECT_EQ(t.ends.all.size(), 1u);
}

TEST(RequestTrace, HeadersThatARouteSetStay) {
  Traced t;
  t.exchange->respond({.headers = {{"x-response-time", "1.00"}}});
  EXPECT_EQ(t.header("x-response-time"), "1.00");
  EXPECT_EQ(t.header("X-Response-Time"), "");
  EXPECT_NE(t.header("Server-Timing"), "");
}

// However a request ends, it ends once, with the status that its client saw.
TEST(RequestTrace, UnansweredCutAndGone) {
  Traced t;
  const auto status = [&] {
    t.exchange.reset();
    const auto lines = t.lines();
    return lines.size() == 1 ? lines[0]["status"].get<int>() : -1;
  };
  EXPECT_EQ(status(), 500);  // dropped unanswered
  t.begin();
  t.inner->gone = true;
  EXPECT_EQ(status(), 499);
  t.begin();
  t.inner->gone = true;
  t.exchange->respond({.status = 200});
  EXPECT_EQ(status(), 499);
  t.begin();
  t.exchange->start_stream({.status = 200});
  EXPECT_NE(t.header("Server-Timing"), "");
  EXPECT_TRUE(t.lines().empty());  // a stream is over at its end
  EXPECT_EQ(status(), 499);
  t.begin();
  t.exchange->start_stream({.status = 200});
  t.exchange->finish_stream();
  EXPECT_TRUE(t.inner->finished);
  EXPECT_EQ(status(), 200);
}

TEST(RequestTrace, QuietRoutesAreHeardWhenTheyFail) {
  Traced t(Headers{{"traceparent", kParent}});
  t.trace()->set_quiet();
  t.exchange->respond({.status = 200});
  EXPECT_TRUE(t.lines().empty());
  t.begin();
  t.trace()->set_quiet();
  t.exchange->respond({.status = 503});
  EXPECT_EQ(t.lines().size(), 1u);
  EXPECT_EQ(t.ends.all.size(), 2u);
  EXPECT_TRUE(t.collected().empty());
}

std::map<std::string, json> by_name(const std::vector<json>& spans) {
  std::map<std::string, json> out;
  for (const auto& span : spans) out[span["name"]] = span;
  return out;
}
int64_t ns(const json& span, const char* key) { return std::stoll(span[key].get<std::string>()); }

TEST(RequestTrace, SpansOfARequestAndItsStages) {
  Traced t(Headers{{"Traceparent", kParent}, {"tracestate", "a=1"}, {"TraceState", "b=2"}});
  t.trace()->set_route("/v1/things");
  t.clock.advance(from_ms(2));
  t.trace()->mark(Stage::kParse, t.clock.now());
  t.clock.advance(from_ms(8));
  // Began before the request did, and lasts beyond its end: cut to it.
  t.trace()->place(Stage::kQueue, t.clock.now() - from_seconds(5), from_seconds(5.0));
  t.trace()->place(Stage::kCompute, t.clock.now() - from_ms(1), from_seconds(9));
  t.trace()->place(Stage::kDecode, t.clock.now(), from_seconds(-1));  // nonsense: left out
  t.trace()->attribute("gen_ai.usage.input_tokens", int64_t{7});
  t.exchange->respond({.status = 503});
  const std::string response = t.header("traceresponse");
  EXPECT_TRUE(response.starts_with("00-0af7651916cd43dd8448eb211c80319c-")) << response;
  EXPECT_TRUE(response.ends_with("-01"));

  auto spans = by_name(t.collected());
  ASSERT_EQ(t.spans.size(), 4u);
  const json& parent = spans["POST /v1/things"];
  EXPECT_EQ(parent["kind"], 2);
  EXPECT_EQ(parent["traceId"], "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(parent["parentSpanId"], "b7ad6b7169203331");
  EXPECT_EQ(parent["spanId"], response.substr(36, 16));
  EXPECT_EQ(parent["traceState"], "a=1,b=2");
  EXPECT_EQ(parent["status"]["code"], 2);
  EXPECT_EQ(ns(parent, "endTimeUnixNano") - ns(parent, "startTimeUnixNano"), 10'000'000);
  const std::string attributes = parent["attributes"].dump();
  for (const char* wanted : {R"("http.route","value":{"stringValue":"/v1/things"})",
                             R"("http.response.status_code","value":{"intValue":"503"})",
                             R"("error.type","value":{"stringValue":"503"})",
                             R"("gen_ai.usage.input_tokens","value":{"intValue":"7"})",
                             R"("sis.request_id","value":{"stringValue":"r1"})"})
    EXPECT_NE(attributes.find(wanted), std::string::npos) << wanted << attributes;
  for (const auto& [name, begin_ns, end_ns] :
       std::vector<std::tuple<std::string, int64_t, int64_t>>{
           {"parse", 0, 2'000'000}, {"queue", 0, 10'000'000}, {"compute", 9'000'000, 10'000'000}}) {
    const json& span = spans[name];
    const int64_t origin = ns(parent, "startTimeUnixNano");
    EXPECT_EQ(span["parentSpanId"], parent["spanId"]) << name;
    EXPECT_EQ(span["traceId"], parent["traceId"]) << name;
    EXPECT_EQ(span["kind"], 1) << name;
    EXPECT_EQ(ns(span, "startTimeUnixNano") - origin, begin_ns) << name;
    EXPECT_EQ(ns(span, "endTimeUnixNano") - origin, end_ns) << name;
  }
}

// Texts from outside are cut, attributes counted; what is no traceparent counts as none.
TEST(RequestTrace, HostileRequests) {
  Traced t;
  t.tracer = telemetry::Tracer(1, t.exporter.get());
  t.begin(
      {{"traceparent", kParent}, {"traceparent", kParent}, {"User-Agent", std::string(9999, 'x')}});
  EXPECT_FALSE(t.trace()->context().trace_id == telemetry::TraceId{});
  for (int i = 0; i < 1000; ++i) t.trace()->attribute("sis.many", int64_t{i});
  t.exchange->respond({});
  Headers many(5000, {"traceparent", kParent});
  t.begin(many);
  t.exchange->respond({});
  EXPECT_EQ(t.collected().size(), 2u);
  for (const json& span : t.spans) {
    EXPECT_NE(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
    EXPECT_EQ(span["name"], "POST");
    EXPECT_LE(span["attributes"].size(), 64u);
    EXPECT_LE(span.dump().size(), 10000u);
  }
}

TEST(RequestTrace, OfAnExchangeThatIsNotWrappedIsHarmless) {
  const std::shared_ptr<net::Exchange> plain = std::make_shared<FakeExchange>();
  const auto trace = RequestTrace::of(plain);
  trace->set_route("/x");
  trace->attribute("a", int64_t{1});
  EXPECT_FALSE(trace->recording());
  trace->end(200);
  EXPECT_TRUE(trace->ended());
}

}  // namespace
}  // namespace sis::api
