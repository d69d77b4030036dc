// Places in a request are filled differently each time, and the request stays a right one.
#include "perf/load/request_template.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"

namespace sis::perf {
namespace {

Result<RequestTemplate> make(net::FetchRequest request) {
  TemplateContext context{.seed = 7};
  context.environment = [](const std::string& name) {
    return name == "WHO" ? std::optional<std::string>("you & me") : std::nullopt;
  };
  return RequestTemplate::create(net::parse_url("http://localhost:8000").value(), request, context);
}

std::string body_of(std::string_view request) {
  const size_t head = request.find("\r\n\r\n");
  const size_t length = request.find("Content-Length:") + 15;
  const auto told = parse_int(trim(request.substr(length, request.find("\r\n", length) - length)));
  EXPECT_EQ(told, static_cast<int64_t>(request.size() - head - 4));
  return std::string(request.substr(head + 4));
}

TEST(RequestTemplate, FillsEveryPlace) {
  const std::string path = testing::TempDir() + "request_template_test_lines";
  std::ofstream(path) << "say \"hi\"\nbye\n";
  const auto made = make({.method = "POST",
                          .target = "/x/{{index}}?who={{env WHO}}",
                          .headers = {{"X-Id", "{{uuid}}"}},
                          .body = R"({"n":{{random 1 3}},"w":"{{words 2}}","l":"{{json_line )" +
                                  path + R"(}}","end":1})"});
  ASSERT_TRUE(made.ok()) << made.error().message;
  std::string scratch;
  std::set<std::string> ids;
  std::map<int, int> numbers;
  for (uint64_t i = 0; i < 300; ++i) {
    const std::string request(made->write(i, scratch));
    EXPECT_TRUE(request.starts_with(concat("POST /x/", i, "?who=you%20%26%20me HTTP/1.1\r\n")))
        << request;
    const auto body = nlohmann::json::parse(body_of(request));
    ++numbers[body["n"].get<int>()];
    EXPECT_EQ(body["l"], i % 2 == 0 ? "say \"hi\"" : "bye");
    EXPECT_EQ(split(body["w"].get<std::string>(), ' ').size(), 2u);
    const size_t id = request.find("X-Id: ") + 6;
    ids.insert(request.substr(id, 36));
    EXPECT_EQ(request[id + 14], '4');
    EXPECT_EQ(request.substr(id + 36, 2), "\r\n");
    EXPECT_EQ(request, made->write(i, scratch));  // the same again
  }
  EXPECT_EQ(ids.size(), 300u);
  EXPECT_EQ(numbers.size(), 3u);
  for (const auto& [number, count] : numbers) EXPECT_GT(count, 60) << number;
  std::remove(path.c_str());
}

TEST(RequestTemplate, RequestsWithoutBodyHaveNoLength) {
  const auto made = make({.target = "/a?n={{index}}"});
  ASSERT_TRUE(made.ok());
  std::string scratch;
  EXPECT_EQ(made->write(12, scratch), "GET /a?n=12 HTTP/1.1\r\nHost: localhost:8000\r\n\r\n");
}

TEST(RequestTemplate, FaultsNameThePlace) {
  const auto error = [](net::FetchRequest request) {
    const auto made = make(std::move(request));
    return made.ok() ? std::string("fine") : made.error().message;
  };
  EXPECT_NE(error({.body = "{{when}}"}).find("body: want {{index}}, {{uuid}}"), std::string::npos);
  EXPECT_NE(error({.body = "{{when}}"}).find("found {{when}}"), std::string::npos);
  EXPECT_EQ(error({.body = "{{random 5 1}}"}),
            "body: want {{random LOW HIGH}} with whole numbers, found {{random 5 1}}");
  EXPECT_EQ(error({.headers = {{"X", "{{env NOBODY}}"}}}),
            "header X: environment variable 'NOBODY' is not set");
  EXPECT_EQ(error({.body = "{{index"}), "body: want }} behind '{{index'");
  EXPECT_NE(error({.target = "/{{line /no/such}}"}).find("URL: text file '/no/such'"),
            std::string::npos);
  EXPECT_NE(error({.target = "/a b{{index}}"}).find("want no blanks"), std::string::npos);
}

}  // namespace
}  // namespace sis::perf
