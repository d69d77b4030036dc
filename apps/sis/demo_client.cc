#include "demo_client.h"

#include <chrono>
#include <cstdio>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/load/openai_http.h"
#include "perf/load/run.h"
#include "perf/load/sse_parser.h"
#include "perf/report/terminal.h"

namespace sis::apps {
namespace {

using nlohmann::json;

TimePoint now() { return std::chrono::steady_clock::now(); }

// One request whose answer is shown while it arrives.
class ShownStream final : public perf::Workload {
 public:
  explicit ShownStream(std::string bytes) : bytes_(std::move(bytes)) {}

  std::string_view request(uint64_t, std::string&) const override { return bytes_; }
  std::unique_ptr<perf::Judge> make_judge() const override {
    return std::make_unique<Whole>(result_);
  }
  const DemoClient::Streamed& result() const { return result_; }

 private:
  class Pieces final : public perf::StreamJudge {
   public:
    explicit Pieces(DemoClient::Streamed& result) : result_(result) {}
    void begin() override {
      parser_.begin();
      current_ = {};
      pieces_.clear();
    }
    void take(std::string_view body, TimePoint at) override {
      parser_.feed(body, [&](const perf::SseEvent& event) { show(event.data, at); });
    }
    const std::string& failure() const override { return failure_; }
    perf::Judgement end(uint64_t) override {
      result_ = current_;
      perf::Judgement judgement{
          .ok = !result_.text.empty(), .items = 1, .error = "an empty answer"};
      judgement.generation.emplace().pieces = pieces_;
      return judgement;
    }

   private:
    void show(std::string_view data, TimePoint at) {
      const json event = json::parse(data, nullptr, false);
      if (!event.is_object()) return;  // [DONE]
      if (const auto usage = event.find("usage"); usage != event.end() && usage->is_object())
        if (const auto tokens = usage->find("completion_tokens");
            tokens != usage->end() && tokens->is_number_integer())
          current_.tokens = tokens->get<int64_t>();
      const auto choices = event.find("choices");
      if (choices == event.end() || !choices->is_array() || choices->empty()) return;
      const auto delta = (*choices)[0].find("delta");
      if (delta == (*choices)[0].end() || !delta->is_object()) return;
      const auto content = delta->find("content");
      if (content == delta->end() || !content->is_string()) return;
      const auto piece = content->get<std::string>();
      if (piece.empty()) return;
      pieces_.push_back(at);
      current_.text += piece;
      const std::string text = shown(piece);
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    }

    DemoClient::Streamed& result_;  // of the last whole answer
    DemoClient::Streamed current_;
    perf::SseParser parser_;
    std::vector<TimePoint> pieces_;
    std::string failure_;
  };

  class Whole final : public perf::Judge {
   public:
    explicit Whole(DemoClient::Streamed& result) : result_(result) {}
    perf::Judgement judge(uint64_t, const perf::Answer& answer) override {
      return {.status_fault = true,
              .error = concat("status ", answer.status, ": ", perf::error_message(answer.body))};
    }
    std::unique_ptr<perf::StreamJudge> make_stream() override {
      return std::make_unique<Pieces>(result_);
    }

   private:
    DemoClient::Streamed& result_;
  };

  const std::string bytes_;
  mutable DemoClient::Streamed result_;  // written by the run's only judge
};

}  // namespace

std::string shown(std::string_view text) {
  std::string out;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
    out += concat(perf::printable(text.substr(0, end)), '\n');
  return out + perf::printable(text);
}

Result<DemoClient::Reply> DemoClient::call(const char* method, const std::string& path,
                                           std::string body) const {
  net::FetchRequest request{.method = method, .target = path, .body = std::move(body)};
  request.headers = {{"Accept", "application/json"}, {"Content-Type", "application/json"}};
  const TimePoint begin = now();
  SIS_ASSIGN(const auto response, net::fetch(url_, request));
  Reply reply{.body = json::parse(response.body, nullptr, false), .took = now() - begin};
  if (response.status != 200)
    return Error{Code::kUnavailable, concat(path, ": status ", response.status, ": ",
                                            perf::error_message(response.body))};
  if (reply.body.is_discarded())
    return Error{Code::kInternal, concat(path, ": the answer is not JSON")};
  return reply;
}

Result<DemoClient::Reply> DemoClient::get(const std::string& path) const {
  return call("GET", path, "");
}

Result<DemoClient::Reply> DemoClient::post(const std::string& path, const json& body) const {
  return call("POST", path, body.dump());
}

Result<DemoClient::Streamed> DemoClient::stream_chat(const json& body) const {
  SIS_ASSIGN(auto bytes, perf::post_bytes({.url = url_,
                                           .path = "/v1/chat/completions",
                                           .api_key = "",
                                           .accept = "text/event-stream"},
                                          body.dump()));
  const ShownStream stream(std::move(bytes));
  SIS_ASSIGN(const auto run, perf::run_load({.url = url_, .connections = 1, .requests = 1}, stream,
                                            nullptr, [](const perf::Progress&) {}));
  if (run.tally.ok == 1) {
    Streamed streamed = stream.result();
    streamed.first_ms = run.tally.generation.ttft.mean_ms();
    streamed.whole_ms = run.tally.latency.mean_ms();
    return streamed;
  }
  return Error{Code::kUnavailable, run.tally.messages.empty() ? "the answer did not come"
                                                              : run.tally.messages.begin()->first};
}

}  // namespace sis::apps
