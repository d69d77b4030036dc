// Whole `sis bench http` commands with places and checks, against a scripted server.
#include <gtest/gtest.h>

#include <set>

#include "perf/bench/bench_fixture.h"
#include "perf/bench/scripted_json_server.h"

namespace sis::perf {
namespace {

using Json = nlohmann::json;
using net::plain_answer;

TEST(BenchHttp, EveryRequestIsFilledAnew) {
  ScriptedJsonServer server([](const Asked&) { return plain_answer(R"({"ok":true})"); });
  const Output output = bench_with(
      {"http", server.url() + "/items/{{index}}?q={{words 1}}&r={{random 1 9}}", "--header",
       "X-Id: {{uuid}}", "--body", R"({"who":"{{env WHO}}","n":{{random 10 99}}})", "--expect-json",
       "ok=true", "--n-requests", "30"},
      {{"WHO", "me"}});
  ASSERT_EQ(output.exit_code, 0) << output.messages << output.out;
  std::set<std::string> paths, bodies;
  for (const Asked& asked : server.asked()) {
    EXPECT_EQ(asked.method, "POST");
    EXPECT_EQ(asked.json()["who"], "me");
    paths.insert(asked.path.substr(0, asked.path.find('?')));
    bodies.insert(asked.body);
  }
  EXPECT_EQ(paths.size(), 30u);
  EXPECT_GT(bodies.size(), 10u);
}

TEST(BenchHttp, BodiesThatFailAreFailures) {
  ScriptedJsonServer server([](const Asked&) { return plain_answer(R"({"status":"sick"})"); });
  const Output value = bench_with(
      {"http", server.url(), "--expect-json", "status=ok", "--n-requests", "2", "--json", "-"});
  EXPECT_EQ(value.exit_code, 1);
  EXPECT_EQ(Json::parse(value.out)["runs"][0]["failures_by_kind"]["body"], 2);
  EXPECT_NE(value.messages.find("status: want ok, found a string '\"sick\"'"), std::string::npos)
      << value.messages;
  const Output text =
      bench_with({"http", server.url(), "--expect-body", "well", "--n-requests", "2"});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_NE(text.out.find("body without 'well'"), std::string::npos) << text.out;
}

TEST(BenchHttp, BracesCanBeMeantLiterally) {
  ScriptedJsonServer server([](const Asked&) { return plain_answer("{}"); });
  const Output wrong = bench_with({"http", server.url(), "--body", "{{name}}"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.messages.find("body: want {{index}}"), std::string::npos) << wrong.messages;
  const Output literal = bench_with(
      {"http", server.url(), "--body", "{{name}}", "--no-template", "--n-requests", "1"});
  EXPECT_EQ(literal.exit_code, 0) << literal.messages;
  EXPECT_EQ(server.asked().back().body, "{{name}}");
}

}  // namespace
}  // namespace sis::perf
