#include "perf/triton/payload.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/load/json_file.h"
#include "perf/load/openai_http.h"
#include "perf/load/sse_parser.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

// Streamed or not shows in what comes: an event's field name or a comment cannot begin JSON.
class PayloadStream final : public StreamJudge {
 public:
  void begin() override {
    parser_.begin();
    failure_.clear();
    head_.clear();
    known_ = streamed_ = done_ = false;
  }
  void take(std::string_view body, TimePoint) override {
    if (!known_) {
      head_ += body;
      body = head_;
      if (!know(body)) return;
    }
    if (!streamed_ || !failure_.empty()) return;
    const bool fits = parser_.feed(body, [&](const SseEvent& event) { take_event(event); });
    if (!fits) failure_ = "an event is too large";
  }
  const std::string& failure() const override { return failure_; }
  Judgement end(uint64_t) override {
    if (!failure_.empty()) return {.error = failure_};
    if (streamed_ && !done_) return {.error = "the stream ended without [DONE]"};
    return {.ok = true, .items = 1};
  }

 private:
  // The first bytes may come one by one. False while they could still be a field's name.
  bool know(std::string_view head) {
    for (const std::string_view word : {"data", "event", ":"}) {
      if (head.size() < word.size() && word.starts_with(head)) return false;
      streamed_ |= head.starts_with(word);
    }
    return known_ = true;
  }

  void take_event(const SseEvent& event) {
    if (!failure_.empty()) return;  // the first error is the one to tell
    if (trim(event.data) == "[DONE]") {
      done_ = true;
      return;
    }
    // Parsing every event would cost more than it tells: errors come as an object of their own.
    if (event.data.find("\"error\"") == std::string_view::npos) return;
    const auto json = Json::parse(event.data, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("error") && !json["error"].is_null())
      failure_ = concat("error event: ", error_message(event.data));
  }

  SseParser parser_;
  std::string failure_, head_;
  bool known_ = false, streamed_ = false, done_ = false;
};

class PayloadJudge final : public Judge {
 public:
  Judgement judge(uint64_t, const Answer& answer) override {
    if (answer.status >= 200 && answer.status < 400) return {.ok = true, .items = 1};
    return wrong_status(answer);
  }
  std::unique_ptr<StreamJudge> make_stream() override { return std::make_unique<PayloadStream>(); }
};

}  // namespace

Result<std::vector<std::string>> read_payloads(const std::string& path) {
  SIS_ASSIGN(const Json document, read_json_file(path));
  const auto wrong = [&](const std::string& place, std::string_view want, const Json* found) {
    return Error{Code::kInvalidArgument, concat(path, ": ", place, ": want ", want, ", found ",
                                                found == nullptr ? "nothing" : json_shown(*found))};
  };
  const auto data = document.is_object() ? document.find("data") : document.end();
  if (data == document.end() || !data->is_array() || data->empty())
    return wrong("data", "a list of entries with a payload",
                 data == document.end() ? nullptr : &*data);
  std::vector<std::string> bodies;
  for (size_t i = 0; i < data->size(); ++i) {
    const std::string place = concat("data[", i, "].payload");
    const Json& entry = (*data)[i];
    const auto payload = entry.is_object() ? entry.find("payload") : entry.end();
    if (payload == entry.end()) return wrong(place, "a list of bodies", nullptr);
    if (!payload->is_array() || payload->empty())
      return wrong(place, "a list of bodies", &*payload);
    for (const Json& body : *payload) {
      if (bodies.size() == kPayloadsMax)
        return Error{Code::kTooLarge, concat(path, ": want at most ", kPayloadsMax, " payloads")};
      // A string is a body that is no JSON object, or one written with care.
      bodies.push_back(body.is_string() ? body.get<std::string>() : body.dump());
    }
  }
  return bodies;
}

Result<std::unique_ptr<PayloadWorkload>> PayloadWorkload::create(const PayloadOptions& options) {
  auto workload = std::make_unique<PayloadWorkload>();
  size_t bytes = 0;
  const std::string path =
      options.endpoint.starts_with('/') ? options.endpoint : concat("/", options.endpoint);
  for (const auto& body : options.bodies) {
    net::FetchRequest request{.method = "POST", .target = net::join_target(options.url, path)};
    request.headers = {{"Content-Type", "application/json"}, {"User-Agent", "sis-perf"}};
    for (const auto& header : options.headers) {
      std::erase_if(request.headers,
                    [&](const auto& ours) { return iequals(ours.first, header.first); });
      request.headers.push_back(header);
    }
    request.body = body;
    SIS_ASSIGN(std::string whole, net::request_bytes(options.url, request));
    bytes += whole.size();
    if (bytes > kPayloadBytesMax)
      return Error{Code::kTooLarge,
                   concat("requests: want at most ", kPayloadBytesMax >> 20, " MiB of them")};
    workload->pool_.push_back(std::move(whole));
  }
  if (workload->pool_.empty()) return Error{Code::kInvalidArgument, "payloads: want at least one"};
  return workload;
}

std::unique_ptr<Judge> PayloadWorkload::make_judge() const {
  return std::make_unique<PayloadJudge>();
}

}  // namespace sis::perf
