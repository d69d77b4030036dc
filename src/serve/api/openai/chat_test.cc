// The routes over real HTTP, with a service whose answers each test speaks itself.
#include "serve/api/openai/chat.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "net/raw_client.h"
#include "serve/api/client.h"
#include "serve/api/openai/chat_fixture.h"

namespace sis::api {
namespace {

using net::testing::post;
using net::testing::RawAnswer;
using net::testing::RawClient;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using tasks::FinishReason;
using tasks::Usage;
using testing::ScriptedService;
using testing::Submitted;
using testing::text_delta;

// Counts what it is told.
class Counts final : public GenerateObserver {
 public:
  void on_request(int status, Duration, Duration) override {
    const std::lock_guard lock(mutex_);
    ++statuses_[status];
    wake_.notify_all();
  }
  void on_first_token(Duration) override { ++first_tokens; }
  void on_token_gap(Duration) override { ++gaps; }
  void on_usage(const Usage& usage) override { completion_tokens += usage.completion_tokens; }

  // Waits until one request has ended, then says how all did.
  std::map<int, int> statuses() {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, seconds(20), [&] { return !statuses_.empty(); });
    return statuses_;
  }
  void on_line_refusal() override { ++line_refusals; }
  std::atomic<int> first_tokens{0}, gaps{0}, completion_tokens{0}, line_refusals{0};

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<int, int> statuses_;
};

// Remembers what requests are charged.
struct Charges final : Client {
  const std::string& name() const override { return name_; }
  int priority() const override { return 0; }
  Status check_model(const std::string&) const override { return {}; }
  bool may_see_model(std::string_view) const override { return true; }
  void admit(std::function<void(const Error*)> done) override { done(nullptr); }
  void used_tokens(int64_t tokens) override { whole += tokens; }
  void used_tokens_so_far(int64_t tokens) override { so_far += tokens; }
  void on_head(net::HttpResponse&) override {}
  void on_end() override {}
  std::atomic<int64_t> whole{0}, so_far{0};

 private:
  const std::string name_;
};

using OneStatus = std::map<int, int>;

struct Served {
  explicit Served(ChatOptions options = {}, net::ServerOptions http = {},
                  const admission::LimiterOptions& limits = {})
      : around(clock, limits), routes(options, around.gate, prep, writers, clock, unknown, {}) {
    routes.add("m", {.service = &service, .observer = &counts, .fingerprint = "fp_1"});
    routes.add_other("embed", other);
    http.address = "127.0.0.1";
    http.port = 0;
    auto created = net::HttpServer::create(http, [this](std::shared_ptr<net::Exchange> plain) {
      if (client_known) plain->request().companion = client_known;
      auto exchange = around.traced(std::move(plain));
      if (exchange->request().path == "/v1/completions")
        routes.completions(std::move(exchange));
      else
        routes.chat(std::move(exchange));
    });
    EXPECT_TRUE(created.ok());
    server = std::move(*created);
    server->start();
  }
  ~Served() { server->stop(); }

  RawClient client() { return RawClient(server->port()); }

  testing::SmallModel model;
  ScriptedService service{model.view};
  SteadyClock clock;
  Counts counts, unknown, other;
  testing::Around around;
  TaskPool prep{"test-prep", 1, 100}, writers{"test-writer", 1, 100};
  ChatRoutes routes;
  std::shared_ptr<Client> client_known;  // null: no front door stands there
  std::unique_ptr<net::HttpServer> server;
};

std::string chat(std::string_view members = "") {
  return post("/v1/chat/completions",
              concat(R"({"model":"m","messages":[{"role":"user","content":"hi"}])",
                     members.empty() ? "" : ",", members, "}"));
}
constexpr const char* kStream = R"("stream":true)";

void finish(const Submitted& call, int choices = 1) {
  for (int i = 0; i < choices; ++i) call.stream->on_finish(i, FinishReason::kStop);
  call.stream->on_end(Usage{.prompt_tokens = 3, .completion_tokens = 2 * choices});
}

// The events of a body; "[DONE]" and comments as strings.
std::vector<json> events_of(const std::string& body) {
  std::vector<json> events;
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find("\n\n", at);
    if (end == std::string::npos) {
      ADD_FAILURE() << "cut off: " << body.substr(at);
      break;
    }
    const std::string line = body.substr(at, end - at);
    at = end + 2;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    if (line.starts_with("data: {"))
      events.push_back(json::parse(line.substr(6)));
    else
      events.push_back(line);
  }
  return events;
}

// The text each choice of a stream's events joins to.
std::map<int, std::string> joined(const std::vector<json>& events) {
  std::map<int, std::string> texts;
  for (const json& event : events)
    if (event.is_object() && event.contains("choices"))
      for (const json& choice : event["choices"]) {
        if (choice.contains("text"))
          texts[choice["index"]] += choice["text"];
        else if (choice["delta"].contains("content"))
          texts[choice["index"]] += choice["delta"]["content"];
      }
  return texts;
}

TEST(ChatRoute, AnswersWhole) {
  Served served;
  auto client = served.client();
  client.send(chat(R"("max_tokens":5)"));
  const Submitted call = served.service.take();
  EXPECT_EQ(call.call.tokens_max, 5);
  call.stream->on_start(3);
  call.stream->on_delta(0, text_delta("Hel"));
  call.stream->on_delta(0, text_delta("lo"));
  finish(call);
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.has("Server-Timing: parse;dur=")) << answer.head;
  EXPECT_TRUE(answer.has("X-Request-ID: ")) << answer.head;
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["id"].get<std::string>().substr(0, 9), "chatcmpl-");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["total_tokens"], 5);
  EXPECT_EQ(body["system_fingerprint"], "fp_1");
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{200, 1}}));
  EXPECT_EQ(served.counts.first_tokens, 1);
  EXPECT_EQ(served.counts.gaps, 1);
  EXPECT_EQ(served.counts.completion_tokens, 2);
  call.cancelled->wait(false);  // the ticket is given back at the end too
}

TEST(ChatRoute, StreamsInOrderAndEndsWithDone) {
  Served served;
  auto client = served.client();
  client.send(chat(R"("stream":true,"stream_options":{"include_usage":true})"));
  const Submitted call = served.service.take();
  call.stream->on_start(3);
  call.stream->on_delta(0, text_delta("Hel"));
  call.stream->on_delta(0, text_delta("lo"));
  finish(call);
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.has("Content-Type: text/event-stream")) << answer.head;
  EXPECT_TRUE(answer.has("Cache-Control: no-cache"));
  EXPECT_TRUE(answer.has("X-Accel-Buffering: no"));
  const auto events = events_of(answer.body);
  ASSERT_EQ(events.size(), 6u) << answer.body;
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[1]["choices"][0]["delta"], (json{{"content", "Hel"}}));
  EXPECT_EQ(events[2]["choices"][0]["delta"], (json{{"content", "lo"}}));
  EXPECT_EQ(events[3]["choices"][0]["delta"], json::object());
  EXPECT_EQ(events[3]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(events[4]["choices"], json::array());
  EXPECT_EQ(events[4]["usage"]["completion_tokens"], 2);
  EXPECT_EQ(events[5], "data: [DONE]");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(events[i]["id"], events[0]["id"]);
    EXPECT_EQ(events[i]["created"], events[0]["created"]);
    EXPECT_EQ(events[i]["object"], "chat.completion.chunk");
    EXPECT_EQ(events[i]["usage"].is_null(), i != 4);
  }
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{200, 1}}));
}

// The same pieces, streamed and whole, are the same texts; two choices interleave.
TEST(ChatRoute, StreamJoinsToTheWholeAnswer) {
  Served served;
  auto client = served.client();
  std::map<int, std::string> texts[2];
  for (const bool stream : {false, true}) {
    client.send(chat(stream ? R"("n":2,"stream":true)" : R"("n":2)"));
    const Submitted call = served.service.take();
    EXPECT_EQ(call.call.choices, 2);
    call.stream->on_start(3);
    for (const char* piece : {"a", "\xE2\x82\xAC", "\"\\\n", "\xF0\x9F\x98\x80"})
      for (const int choice : {1, 0})
        call.stream->on_delta(choice, text_delta(concat(choice, piece)));
    finish(call, 2);
    const RawAnswer answer = client.read();
    ASSERT_EQ(answer.status, 200);
    if (stream) {
      const auto events = events_of(answer.body);
      texts[1] = joined(events);
      int roles = 0, finishes = 0;
      for (const json& event : events) {
        if (!event.is_object()) continue;
        EXPECT_FALSE(event.contains("usage"));
        ASSERT_EQ(event["choices"].size(), 1u);
        roles += event["choices"][0]["delta"].contains("role");
        finishes += !event["choices"][0]["finish_reason"].is_null();
      }
      EXPECT_EQ(roles, 2);
      EXPECT_EQ(finishes, 2);
    } else {
      const json body = json::parse(answer.body);
      for (const json& choice : body["choices"])
        texts[0][choice["index"]] = choice["message"]["content"];
    }
  }
  EXPECT_EQ(texts[0].size(), 2u);
  EXPECT_EQ(texts[0], texts[1]);
}

// What is wrong before the first byte is an ordinary answer, also of a stream that was admitted.
TEST(ChatRoute, ErrorsBeforeTheFirstByteAreJson) {
  Served served;
  auto client = served.client();
  EXPECT_EQ(client.ask(post("/v1/chat/completions", "{}", "Content-Type: text/xml\r\n")).status,
            415);
  EXPECT_EQ(client.ask(post("/v1/chat/completions", "{")).status, 400);
  EXPECT_EQ(client.ask(post("/v1/chat/completions", R"({"model":"no"})")).status, 404);
  EXPECT_EQ(served.unknown.statuses(), (OneStatus{{400, 1}, {404, 1}, {415, 1}}));
  EXPECT_EQ(client.ask(post("/v1/chat/completions", R"({"model":"embed"})")).status, 400);
  EXPECT_EQ(served.other.statuses(), (OneStatus{{400, 1}}));

  for (const char* members : {"", kStream}) {
    served.service.refusal = Error{Code::kOverloaded, "the line is full"};
    RawAnswer answer = client.ask(chat(members));
    EXPECT_EQ(answer.status, 429);
    EXPECT_TRUE(answer.has("Retry-After: ")) << answer.head;
    EXPECT_TRUE(answer.has("retry-after-ms: ")) << answer.head;
    EXPECT_EQ(json::parse(answer.body)["error"]["code"], "rate_limit_exceeded");
    served.service.refusal.reset();
    client.send(chat(members));
    const Submitted call = served.service.take();
    call.stream->on_end(Error{Code::kDeadline, "too slow", "", ""});
    answer = client.read();
    EXPECT_EQ(answer.status, 504);
    EXPECT_EQ(json::parse(answer.body)["error"]["type"], "timeout_error");
  }
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{429, 2}, {504, 2}}));
}

// After the first byte an error is an event; then the stream ends without [DONE].
TEST(ChatRoute, ErrorsInMidStreamAreEvents) {
  Served served;
  auto client = served.client();
  client.send(chat(kStream));
  const Submitted call = served.service.take();
  call.stream->on_start(3);
  call.stream->on_delta(0, text_delta("Hel"));
  ASSERT_TRUE(client.read_some());  // the head is out
  call.stream->on_end(Error{Code::kInternal, "logits are not finite"});
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.complete);
  const auto events = events_of(answer.body);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back()["error"]["message"], "logits are not finite");
  EXPECT_EQ(events.back()["error"]["type"], "server_error");
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{500, 1}}));
}

// The head goes out with admission, before there is a token.
TEST(ChatRoute, SendsTheHeadOnceAdmitted) {
  Served served;
  auto client = served.client();
  client.send(chat(kStream));
  const Submitted call = served.service.take();
  call.stream->on_start(3);
  EXPECT_TRUE(client.read_some());
  call.stream->on_delta(0, text_delta("x"));
  finish(call);
  EXPECT_EQ(joined(events_of(client.read().body)), (std::map<int, std::string>{{0, "x"}}));
}

// A client that leaves takes its request back at once, in the queue or in the middle.
TEST(ChatRoute, DisconnectCancels) {
  for (const bool stream : {false, true})
    for (const bool started : {false, true}) {
      Served served;
      auto client = served.client();
      client.send(chat(stream ? kStream : ""));
      const Submitted call = served.service.take();
      if (started) {
        call.stream->on_start(3);
        call.stream->on_delta(0, text_delta("x"));
        if (stream) {
          ASSERT_TRUE(client.read_some());
        }
      }
      EXPECT_FALSE(*call.cancelled);
      client.reset();
      call.cancelled->wait(false);
      EXPECT_EQ(served.counts.statuses(), (OneStatus{{499, 1}})) << stream << started;
    }
}

// What was computed is charged, whether or not the client waits for the end.
TEST(ChatRoute, ChargesWhoLeavesEarly) {
  for (const bool fails : {false, true}) {
    Served served;
    const auto charges = std::make_shared<Charges>();
    served.client_known = charges;
    auto client = served.client();
    client.send(chat(kStream));
    const Submitted call = served.service.take();
    call.stream->on_start(3);
    for (int i = 0; i < 5; ++i) call.stream->on_delta(0, text_delta("x"));
    ASSERT_TRUE(client.read_some());
    if (fails)
      call.stream->on_end(Error{Code::kDeadline, "late"});
    else
      client.reset();
    call.cancelled->wait(false);
    served.counts.statuses();
    EXPECT_EQ(charges->so_far, 8);
    EXPECT_EQ(charges->whole, 0);
  }
}

// Without a place nothing reaches the service; the answer says when to come back. A place is free
// again when its request is answered, refused or left.
TEST(ChatRoute, TakesAPlaceAtTheGate) {
  Served served({}, {}, {.tickets_max = 1});
  auto client = served.client(), other = served.client();
  for (const char* members : {"", kStream}) {
    client.send(chat(members));
    const Submitted call = served.service.take();
    const RawAnswer refused = other.ask(chat(members));
    EXPECT_EQ(refused.status, 429);
    EXPECT_TRUE(refused.has("Retry-After: ")) << refused.head;
    EXPECT_NE(refused.body.find("the chat queue is full: 1 requests wait or run (Q)"),
              std::string::npos)
        << refused.body;
    call.stream->on_start(3);
    finish(call);
    EXPECT_EQ(client.read().status, 200);
    while (served.around.gate.running() > 0) std::this_thread::yield();
  }
  {
    auto leaves = served.client();
    leaves.send(chat());
    const Submitted call = served.service.take();
    leaves.reset();
    call.cancelled->wait(false);
    while (served.around.gate.running() > 0) std::this_thread::yield();
  }
  EXPECT_EQ(other.ask(chat(R"("timeout":-1)")).status, 400);
  EXPECT_EQ(served.around.gate.running(), 0);
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{200, 2}, {400, 1}, {429, 2}, {499, 1}}));
  EXPECT_EQ(served.counts.line_refusals, 0);
}

// Where requests take slots, the second waits for the first; one that leaves while it waits was
// never submitted, and its wait is over.
TEST(ChatRoute, WaitsForASlot) {
  Served served({}, {}, {.tickets_max = 8, .slots_max = 1, .wait_max = seconds(20)});
  auto first = served.client(), leaves = served.client(), second = served.client();
  first.send(chat());
  const Submitted running = served.service.take();
  leaves.send(chat());
  while (served.around.gate.waiting() < 1) std::this_thread::yield();
  second.send(chat(kStream));
  while (served.around.gate.waiting() < 2) std::this_thread::yield();
  leaves.reset();
  while (served.around.gate.waiting() > 1) std::this_thread::yield();
  finish(running);
  EXPECT_EQ(first.read().status, 200);
  const Submitted next = served.service.take();
  finish(next);
  EXPECT_EQ(second.read().status, 200);
  while (served.around.gate.running() > 0) std::this_thread::yield();
}

// The client's time reaches the service as a deadline; what is no time is refused.
TEST(ChatRoute, HandsTheDeadlineOn) {
  Served served;
  auto client = served.client();
  client.send(post("/v1/chat/completions",
                   R"({"model":"m","messages":[{"role":"user","content":"hi"}],"timeout":50})",
                   "X-Request-Timeout-Ms: 20000\r\n"));
  const Submitted call = served.service.take();
  const double left = to_seconds(call.call.deadline - served.clock.now());
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 20);
  call.stream->on_end(Error{Code::kOverloaded, "waited too long"});
  EXPECT_EQ(client.read().status, 429);
  EXPECT_EQ(served.counts.line_refusals, 1);
  EXPECT_EQ(client
                .ask(post("/v1/chat/completions",
                          R"({"model":"m","messages":[{"role":"user","content":"hi"}]})",
                          "X-Request-Timeout-Ms: soon\r\n"))
                .status,
            400);
}

// Who does not read is dropped when the bound is reached; its neighbour goes on.
TEST(ChatRoute, SlowReaderLosesOnlyItsOwnRequest) {
  net::ServerOptions http;
  http.stream_buffer_bytes = 64 << 10;
  Served served({}, http);
  RawClient slow(served.server->port(), /*receive_buffer_bytes=*/4096);
  slow.send(chat(kStream));
  const Submitted slow_call = served.service.take();
  auto quick = served.client();
  quick.send(chat(kStream));
  const Submitted quick_call = served.service.take();
  slow_call.stream->on_start(3);
  quick_call.stream->on_start(3);
  const std::string piece(16 << 10, 'x');
  // Loopback buffers take a few MiB first.
  for (int i = 0; i < 4000 && !*slow_call.cancelled; ++i) {
    slow_call.stream->on_delta(0, text_delta(piece));
    if (i % 16 == 0) std::this_thread::sleep_for(milliseconds(1));
  }
  slow_call.cancelled->wait(false);
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{499, 1}}));
  EXPECT_FALSE(*quick_call.cancelled);
  quick_call.stream->on_delta(0, text_delta("ok"));
  finish(quick_call);
  EXPECT_EQ(joined(events_of(quick.read().body)), (std::map<int, std::string>{{0, "ok"}}));
}

// Silence is filled with comments, also before admission; then errors are events.
TEST(ChatRoute, KeepsQuietStreamsAlive) {
  Served served({.generation = {.keep_alive = milliseconds(40)}});
  auto client = served.client();
  client.send(chat(kStream));
  const Submitted call = served.service.take();
  Periodic sweeper("test-sweep", milliseconds(5), [&] { served.routes.sweep(); });
  // The head may come by itself; then at least a comment at a time.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.read_some());
  call.stream->on_end(Error{Code::kOverloaded, "waited too long"});
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  const auto events = events_of(answer.body);
  ASSERT_GE(events.size(), 3u) << answer.body;
  EXPECT_EQ(events[0], ": ping");
  EXPECT_EQ(events[1], ": ping");
  EXPECT_EQ(events.back()["error"]["type"], "rate_limit_error");
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{429, 1}}));
}

// One that waits for a slot in vain, and one that finds none at all, end as streams do as well.
TEST(ChatRoute, AQuietStreamThatIsRefusedEndsWithAnError) {
  Served served({.generation = {.keep_alive = milliseconds(40)}}, {},
                {.tickets_max = 8, .slots_max = 1, .wait_max = milliseconds(1500)});
  auto first = served.client(), second = served.client();
  first.send(chat());
  const Submitted running = served.service.take();
  Periodic sweeper("test-sweep", milliseconds(5), [&] {
    served.around.gate.sweep();
    served.routes.sweep();
  });
  const RawAnswer answer = second.ask(chat(kStream));
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.complete);
  const auto events = events_of(answer.body);
  ASSERT_GE(events.size(), 2u) << answer.body;
  EXPECT_EQ(events.front(), ": ping");
  EXPECT_EQ(events.back()["error"]["type"], "rate_limit_error");
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{429, 1}}));
  finish(running);
  EXPECT_EQ(first.read().status, 200);
}

// One write takes what gathered while the writer was busy: one chunk on the wire.
TEST(ChatRoute, GathersPiecesIntoOneWrite) {
  Served served;
  auto client = served.client();
  client.send(post("/v1/chat/completions",
                   R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true})",
                   "Connection: close\r\n"));
  const Submitted call = served.service.take();
  std::mutex gate;
  gate.lock();
  served.writers.post_always([&] { const std::lock_guard wait(gate); });
  call.stream->on_start(3);
  for (int i = 0; i < 50; ++i) call.stream->on_delta(0, text_delta("x"));
  finish(call);
  gate.unlock();
  const std::string bytes = client.read_to_end();
  const size_t head_end = bytes.find("\r\n\r\n") + 4, line_end = bytes.find("\r\n", head_end);
  ASSERT_LT(line_end, bytes.size()) << bytes;
  const size_t size = std::stoul(bytes.substr(head_end, line_end - head_end), nullptr, 16);
  EXPECT_EQ(events_of(bytes.substr(line_end + 2, size)).size(), 53u);
  EXPECT_EQ(bytes.substr(line_end + 2 + size), "\r\n0\r\n\r\n");
}

TEST(CompletionsRoute, SeveralPromptsAreSeveralCalls) {
  Served served;
  auto client = served.client();
  for (const bool stream : {false, true}) {
    client.send(post("/v1/completions", concat(R"({"model":"m","prompt":["a","b"],"n":2,)"
                                               R"("echo":true,"stream":)",
                                               stream, "}")));
    const Submitted first = served.service.take(), second = served.service.take();
    EXPECT_EQ(first.call.text, "a");
    EXPECT_EQ(second.call.text, "b");
    for (const auto& [call, name] : {std::pair(&second, "2"), std::pair(&first, "1")}) {
      call->stream->on_start(1);
      for (const int choice : {1, 0})
        call->stream->on_delta(choice, text_delta(concat(name, choice)));
      finish(*call, 2);
    }
    const RawAnswer answer = client.read();
    ASSERT_EQ(answer.status, 200) << answer.body;
    std::map<int, std::string> texts;
    if (stream) {
      texts = joined(events_of(answer.body));
    } else {
      const json body = json::parse(answer.body);
      EXPECT_EQ(body["object"], "text_completion");
      EXPECT_EQ(body["id"].get<std::string>().substr(0, 5), "cmpl-");
      EXPECT_EQ(body["usage"]["prompt_tokens"], 6);
      EXPECT_EQ(body["usage"]["completion_tokens"], 8);
      for (const json& choice : body["choices"]) texts[choice["index"]] = choice["text"];
    }
    EXPECT_EQ(texts, (std::map<int, std::string>{{0, "a10"}, {1, "a11"}, {2, "b20"}, {3, "b21"}}));
  }
}

// One prompt's failure is the request's, and takes the others back.
TEST(CompletionsRoute, OneFailureEndsAllPrompts) {
  Served served;
  auto client = served.client();
  client.send(post("/v1/completions", R"({"model":"m","prompt":["a","b"]})"));
  const Submitted first = served.service.take(), second = served.service.take();
  second.stream->on_end(Error{Code::kInvalidArgument, "prompt is too long", "prompt", ""});
  EXPECT_EQ(client.read().status, 400);
  first.cancelled->wait(false);
  EXPECT_EQ(served.counts.statuses(), (OneStatus{{400, 1}}));
}

// Scoring: the prompt's logprobs, and nothing generated.
TEST(CompletionsRoute, ScoresAPrompt) {
  Served served;
  auto client = served.client();
  client.send(post("/v1/completions",
                   R"({"model":"m","prompt":"ab","echo":true,"logprobs":0,"max_tokens":0})"));
  const Submitted call = served.service.take();
  EXPECT_EQ(call.call.tokens_max, 0);
  call.stream->on_start(2);
  call.stream->on_prompt({testing::token("a", 1, 0), testing::token("b", 2, -1.5f)});
  call.stream->on_finish(0, FinishReason::kLength);
  call.stream->on_end(Usage{.prompt_tokens = 2});
  const json choice = json::parse(client.read().body)["choices"][0];
  EXPECT_EQ(choice["text"], "ab");
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], json::parse("[null,-1.5]"));
  EXPECT_EQ(choice["finish_reason"], "length");
}

// Ids are echoed as the text they stand for.
TEST(CompletionsRoute, EchoesIds) {
  Served served;
  const auto ids = served.model.tokenizer->encode("hello", {}).ids;
  auto client = served.client();
  client.send(post("/v1/completions",
                   concat(R"({"model":"m","echo":true,"prompt":[)", join_list(ids), "]}")));
  const Submitted call = served.service.take();
  EXPECT_EQ(call.call.ids, ids);
  call.stream->on_start(1);
  finish(call);
  EXPECT_EQ(json::parse(client.read().body)["choices"][0]["text"], "hello");
}

}  // namespace
}  // namespace sis::api
