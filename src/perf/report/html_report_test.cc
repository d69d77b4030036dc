// The page is well-formed, names nothing outside itself, and shows hostile texts as texts.
#include "perf/report/html_report.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/strings.h"
#include "perf/report/html_charts.h"
#include "perf/report/html_page.h"
#include "perf/report/html_text.h"
#include "perf/report/report_fixture.h"
#include "perf/report/svg_chart.h"

namespace sis::perf {
namespace {

// Walks the tags of a page; empty when every element is closed in order, every attribute is quoted
// and nothing stands unescaped.
class PageChecker {
 public:
  explicit PageChecker(std::string_view page) : page_(page) {}

  std::string check() {
    static const std::set<std::string> kVoid = {"meta", "br", "hr", "img", "link", "input"};
    if (!page_.starts_with("<!DOCTYPE html>\n")) return "no doctype";
    at_ = 16;
    std::vector<std::string> open;
    while (at_ < page_.size()) {
      const char c = page_[at_];
      if (c == '>') return fault("a bare >");
      if (c == '&' && !entity()) return fault("a bare &");
      if (c != '<') {
        ++at_;
        continue;
      }
      ++at_;
      const bool closing = page_[at_] == '/';
      if (closing) ++at_;
      const std::string name = word();
      if (name.empty()) return fault("a bare <");
      ++tags[name];
      bool self_closed = false;
      while (page_[at_] != '>') {
        while (page_[at_] == ' ' || page_[at_] == '\n') ++at_;
        if (page_[at_] == '/') {
          self_closed = true;
          ++at_;
          continue;
        }
        if (page_[at_] == '>') break;
        const std::string attribute = word();
        if (attribute.empty()) return fault("an attribute without a name");
        if (attribute.starts_with("on") || attribute == "src" || attribute == "href")
          return fault("attribute " + attribute);
        if (page_[at_] != '=' || page_[at_ + 1] != '"') return fault("an unquoted attribute");
        at_ += 2;
        while (page_[at_] != '"') {
          if (page_[at_] == '<') return fault("a bare < in an attribute");
          if (page_[at_] == '&' && !entity()) return fault("a bare & in an attribute");
          ++at_;
        }
        ++at_;
      }
      ++at_;
      if (closing) {
        if (open.empty() || open.back() != name) return fault("</" + name + "> closes nothing");
        open.pop_back();
      } else if (!self_closed && kVoid.count(name) == 0) {
        open.push_back(name);
        if (name == "style" || name == "script") at_ = page_.find("</" + name + ">", at_);
      }
    }
    return open.empty() ? "" : "<" + open.back() + "> is never closed";
  }

  std::map<std::string, int> tags;

 private:
  bool entity() const {
    for (const char* known : {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"})
      if (page_.substr(at_).starts_with(known)) return true;
    return false;
  }
  std::string word() {
    const size_t begin = at_;
    while (at_ < page_.size() && (std::isalnum(static_cast<unsigned char>(page_[at_])) != 0 ||
                                  page_[at_] == '-' || page_[at_] == ':'))
      ++at_;
    return std::string(page_.substr(begin, at_ - begin));
  }
  std::string fault(const std::string& what) const {
    return concat(what, " near: ", page_.substr(at_ < 60 ? 0 : at_ - 60, 120));
  }

  std::string_view page_;
  size_t at_ = 0;
};

void expect_sound(const std::string& page) {
  PageChecker checker(page);
  EXPECT_EQ(checker.check(), "");
  EXPECT_EQ(checker.tags["script"], 2);  // one, opened and closed
  EXPECT_TRUE(is_utf8(page));
  for (const char* outside : {"<link", "@import", "url(", "src=", "href="})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  for (const char* broken : {"nan", "inf", "null,null"})
    for (const char* before : {" ", "\"", "L", "M"})
      EXPECT_EQ(page.find(concat("d=", before, broken)), std::string::npos);
}

TEST(HtmlReport, EveryKindOfDocumentMakesASoundPage) {
  for (const Json& document :
       {document_of(Json::array({run_json()})), sweep_json(), hostile_json(), failed_json(),
        document_of(Json::array()), document_of({run_json(), run_json()}),
        document_of({hostile_json()["runs"][0], failed_json()["runs"][0]})})
    expect_sound(html_report(report_of(document)));
}

TEST(HtmlReport, HostileTextsAreShownNotRun) {
  const std::string page = html_report(report_of(hostile_json()));
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("</style></title>"), std::string::npos);
  EXPECT_EQ(page.find('\x1b'), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), std::string::npos);
}

TEST(HtmlReport, HoldsEveryPart) {
  const std::string page = html_report(report_of(hostile_json()));
  for (const char* piece : {"Latency over time",
                            "Throughput and errors over time",
                            "Percentiles",
                            "from the intended send",
                            "from the actual send",
                            "Users over time",
                            "Time to first token",
                            "Inter-token latency",
                            "Time per output token",
                            "Output tokens over time",
                            "Where the time goes, as the server tells",
                            "Where the time of an answer goes",
                            "✗ missed",
                            "✓ met",
                            "1 of 3 thresholds missed",
                            "Parts of the mix",
                            "Errors",
                            "Configuration",
                            "Test CPU",
                            "Never sent",
                            "Goodput"})
    EXPECT_NE(page.find(piece), std::string::npos) << piece;
  const std::string sweep = html_report(report_of(sweep_json()));
  for (const char* piece : {"Latency over throughput", "Throughput over concurrency", "not stable",
                            "Beyond concurrency 4 "})
    EXPECT_NE(sweep.find(piece), std::string::npos) << piece;
  EXPECT_NE(html_report(report_of(failed_json())).find("connection refused"), std::string::npos);
}

// A day of windows makes a page of moderate size, and the highest second is still in it.
TEST(HtmlReport, LongRunsAreThinnedWithoutLosingPeaks) {
  Json run = run_json();
  run["windows"] = Json::array();
  for (int i = 0; i < 86'400; ++i)
    run["windows"].push_back({{"start_s", i},
                              {"length_s", 1},
                              {"requests", 10},
                              {"requests_per_s", 10},
                              {"p50_ms", 10},
                              {"p95_ms", 11},
                              {"p99_ms", i == 43'210 ? 987.6 : 12.0},
                              {"max_ms", i == 43'210 ? 987.6 : 12.0}});
  const std::string page = html_report(report_of(document_of(Json::array({run}))));
  EXPECT_LT(page.size(), 400'000u);
  EXPECT_NE(page.find("988 ms"), std::string::npos);
  EXPECT_NE(page.find("Each point is the highest of 216 windows."), std::string::npos);
}

TEST(HtmlPage, ThePolicyNamesTheScript) {
  const std::string_view script = html_script();
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(script.data()), script.size(), digest);
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string base64;
  for (size_t i = 0; i < sizeof digest; i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < sizeof digest ? digest[i + j] : 0u);
    for (size_t j = 0; j < 4; ++j)
      base64 += i + j > sizeof digest ? '=' : kDigits[group >> (18 - 6 * j) & 63];
  }
  EXPECT_EQ(html_script_hash(), base64)
      << "the script was changed: put this hash into html_page.cc";
}

TEST(HtmlText, EscapesAndReplaces) {
  EXPECT_EQ(html_escaped("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(html_escaped("ü€😀\n"), "ü€😀\n");
  EXPECT_EQ(html_escaped("\x1b\xff\xc0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(html_escaped("\xe2\x80\xae"), "\xef\xbf\xbd");  // right-to-left override
  EXPECT_EQ(html_escaped(std::string_view("\0\xe2\x82", 3)),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(SvgChart, TicksCoverTheirRange) {
  EXPECT_EQ(nice_ticks(0, 100, 4), (std::vector<double>{0, 25, 50, 75, 100}));
  EXPECT_EQ(nice_ticks(0, 87, 4), (std::vector<double>{0, 25, 50, 75, 100}));
  EXPECT_EQ(nice_ticks(0, 0, 4).front(), 0);
  for (const double high : {1e-9, 0.3, 1.0, 7.0, 1234.5, 9e17}) {
    const auto ticks = nice_ticks(0, high, 4);
    EXPECT_GE(ticks.size(), 2u);
    EXPECT_LE(ticks.size(), 7u);
    EXPECT_GE(ticks.back(), high * 0.999);
  }
  EXPECT_EQ(tick_text(0.5), "0.5");
  EXPECT_EQ(tick_text(1500), "1,500");
  EXPECT_EQ(tick_text(20'000), "20k");
}

TEST(SvgChart, NothingToDrawDrawsNothing) {
  EXPECT_EQ(line_chart({.title = "x"}), "");
  EXPECT_EQ(line_chart({.title = "x",
                        .xs = {1},
                        .x_texts = {"1"},
                        .lines = {{.name = "a", .style = "c1", .ys = {std::nan("")}}}}),
            "");
  EXPECT_EQ(bar_chart({.title = "x"}), "");
  EXPECT_EQ(share_bar({.title = "x", .parts = {{"a", 0}}}), "");
}

// Gaps: nothing is drawn where nothing was answered.
TEST(SvgChart, ALineBreaksWhereValuesAreMissing) {
  const double none = std::nan("");
  const std::string svg =
      line_chart({.title = "x",
                  .xs = {0, 1, 2, 3, 4, 5},
                  .x_texts = {"", "", "", "", "", ""},
                  .lines = {{.name = "a", .style = "c1", .ys = {1, 2, none, 3, none, 4}}}});
  const size_t path = svg.find("class=\"line c1\" d=\"");
  ASSERT_NE(path, std::string::npos);
  const std::string d = svg.substr(path, svg.find("\"/>", path) - path);
  EXPECT_EQ(std::count(d.begin(), d.end(), 'M'), 3);
  // The two lone points are dots.
  size_t dots = 0;
  for (size_t at = 0; (at = svg.find("<circle", at)) != std::string::npos; ++at) ++dots;
  EXPECT_EQ(dots, 2u);
}

}  // namespace
}  // namespace sis::perf
