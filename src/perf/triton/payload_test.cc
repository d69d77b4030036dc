// Bodies out of files go out as they are, answers are judged whether streamed or not, and the
// recorder notes what passed and when.
#include "perf/triton/payload.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/load/run.h"
#include "perf/triton/level.h"
#include "perf/triton/recorder.h"

namespace sis::perf {
namespace {

std::string file_of(const std::string& text) {
  const std::string path = testing::TempDir() + "payload_test.json";
  std::ofstream(path) << text;
  return path;
}

std::string chunk(std::string_view text) {
  return fmt::format("{:x}\r\n{}\r\n", text.size(), text);
}
constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

// What one request against a server that answers with `chunks` comes to.
Result<RunResult> run_against(const std::vector<std::string>& chunks, std::string* seen,
                              std::vector<RequestRecord>* records) {
  net::ScriptedServer server([&](net::ScriptedServer::Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      if (seen != nullptr) *seen = request;
      peer.send(kStreamHead);
      for (const auto& text : chunks) {
        peer.send(chunk(text));
        peer.wait(std::chrono::milliseconds(5));
      }
      peer.send("0\r\n\r\n");
    }
  });
  const auto workload = PayloadWorkload::create({.url = *net::parse_url(server.url()),
                                                 .endpoint = "v1/any/thing",
                                                 .headers = {{"X-Key", "7"}},
                                                 .bodies = {R"({"a": 1})"}});
  EXPECT_TRUE(workload.ok());
  const Recorder recorder(**workload);
  auto result = run_load({.url = *net::parse_url(server.url()), .connections = 1, .requests = 3},
                         recorder, nullptr, {});
  if (records != nullptr) *records = recorder.take();
  return result;
}

TEST(Payload, StreamsAreReadToTheirEnd) {
  std::string seen;
  std::vector<RequestRecord> records;
  auto result = run_against({"data: {\"x\":1}\n\n", "data: {\"x\":2}\n\n", "data: [DONE]\n\n"},
                            &seen, &records);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->tally.ok, 3u);
  EXPECT_TRUE(seen.starts_with("POST /v1/any/thing HTTP/1.1\r\n")) << seen;
  EXPECT_NE(seen.find("X-Key: 7\r\n"), std::string::npos);
  EXPECT_TRUE(seen.ends_with("\r\n\r\n{\"a\": 1}")) << seen;
  ASSERT_EQ(records.size(), 3u);
  for (const auto& record : records) {
    ASSERT_GE(record.responses.size(), 3u);
    EXPECT_EQ(record.responses.front().second, "data: {\"x\":1}\n\n");
    TimePoint before = record.sent;
    for (const auto& [time, text] : record.responses) {
      EXPECT_GE(time, before);
      before = time;
    }
    EXPECT_GT(before - record.sent, from_ms(8));
  }
}

TEST(Payload, WrongStreamsFail) {
  auto result = run_against({"data: {\"x\":1}\n\n"}, nullptr, nullptr);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->tally.failed, 3u);
  EXPECT_NE(result->tally.errors.front().message.find("without [DONE]"), std::string::npos);
  std::vector<RequestRecord> records;
  result = run_against({"data: {\"error\":{\"message\":\"too hot\"}}\n\n", "data: [DONE]\n\n"},
                       nullptr, &records);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->tally.ok, 0u);
  EXPECT_NE(result->tally.errors.front().message.find("too hot"), std::string::npos);
  EXPECT_TRUE(records.empty());
  // A stream is one however its first bytes are cut.
  result = run_against({"d", "at", "a: {\"error\":\"too hot\"}\n\n", "data: [DONE]\n\n"}, nullptr,
                       nullptr);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->tally.ok, 0u);
  // No stream: whatever it is, the status decides.
  result = run_against({"{\"error\":", "null}"}, nullptr, nullptr);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->tally.ok, 3u);
}

TEST(Payload, FilesAreCheckedWithTheirPlaces) {
  auto bodies = read_payloads(
      file_of(R"({"data":[{"payload":[{"a":1},{"b":[2]}]},{"payload":["as it is"]}]})"));
  ASSERT_TRUE(bodies.ok());
  EXPECT_EQ(*bodies, (std::vector<std::string>{R"({"a":1})", R"({"b":[2]})", "as it is"}));
  for (const auto& [text, wanted] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "data: want"},
           {"[]", "data: want"},
           {R"({"data":[]})", "data: want"},
           {R"({"data":[{}]})", "data[0].payload: want a list of bodies, found nothing"},
           {R"({"data":[{"payload":[1]},{"payload":{}}]})",
            "data[1].payload: want a list of bodies"},
           {R"({"data":[{"payload":[]}]})", "data[0].payload"},
           {"{\"data\":\n[", "payload_test.json"}}) {
    bodies = read_payloads(file_of(text));
    ASSERT_FALSE(bodies.ok()) << text;
    EXPECT_NE(bodies.error().message.find(wanted), std::string::npos) << bodies.error().message;
  }
  EXPECT_FALSE(read_payloads("/nowhere/at/all").ok());
}

TEST(Intervals, GoRoundUntilTheTimeIsOver) {
  double per_s = 0;
  const auto times = read_intervals(file_of("1000\n\n3000\n"), from_ms(10), per_s);
  ASSERT_TRUE(times.ok());
  EXPECT_DOUBLE_EQ(per_s, 500);
  EXPECT_EQ(**times,
            (TraceTimes{from_ms(1), from_ms(4), from_ms(5), from_ms(8), from_ms(9), from_ms(12)}));
  for (const char* text : {"", "0\n0\n", "5\nx\n", "-1\n", "1.5\n"})
    EXPECT_FALSE(read_intervals(file_of(text), from_ms(10), per_s).ok()) << text;
}

}  // namespace
}  // namespace sis::perf
