#include "perf/load/infer.h"

#include <nlohmann/json.hpp>

#include "perf/load/json_answer.h"
#include "perf/load/sse_judge.h"

namespace sis::perf {
namespace {

using simdjson::dom::element;

constexpr size_t kPiecesMax = 1 << 20;  // of one answer

class InferStreamJudge final : public SseJudge {
 public:
  explicit InferStreamJudge(JsonAnswer& json) : json_(json) {}

  void begin() override {
    SseJudge::begin();
    done_ = finished_ = false;
  }

  Judgement end(uint64_t) override {
    if (failure_.empty()) {
      if (events_ == 0)
        failure_ = concat("status 200 without events: ", error_message(sse_.stray_line()));
      else if (!done_)
        failure_ = concat("stream ended without the event 'done' after ", events_, " events");
      else if (!finished_)
        failure_ = "no token event has a finish_reason";
    }
    if (!failure_.empty()) return {.error = failure_};
    return {.ok = true,
            .items = 1,
            .generation = Generation{.output_tokens = static_cast<int64_t>(pieces_.size()),
                                     .pieces = pieces_,
                                     .gaps = gaps_}};
  }

 private:
  void take_event(const SseEvent& event, TimePoint now) override {
    if (done_) return fail(": want nothing after 'done', got ", in_quotes(event.name, 40));
    if (event.name == "error") {
      failure_ = concat("error event: ", error_message(event.data));
      return;
    }
    if (event.name == "done") {
      done_ = true;
      return;
    }
    if (event.name != "token")
      return fail(": want token, done or error, got ", in_quotes(event.name, 40));
    element document;
    if (const std::string why = json_.parse(event.data, document); !why.empty())
      return fail(": ", why);
    std::string_view text, reason;
    if (document["text"].get(text)) return fail(" has no string 'text'");
    if (!text.empty()) {
      if (finished_) return fail(": a text after the finish_reason");
      if (pieces_.size() == kPiecesMax) return fail(": over ", kPiecesMax, " pieces of content");
      if (!pieces_.empty()) gaps_.push_back(now - pieces_.back());
      pieces_.push_back(now);
    }
    if (!document["finish_reason"].get(reason) && !reason.empty()) finished_ = true;
  }

  JsonAnswer& json_;
  bool done_ = false, finished_ = false;
};

class InferJudge final : public Judge {
 public:
  explicit InferJudge(bool stream) : stream_(stream) {}

  Judgement judge(uint64_t, const Answer& answer) override {
    if (answer.status != 200) return wrong_status(answer);
    element document;
    if (std::string why = json_.parse(answer.body, document); !why.empty())
      return {.error = std::move(why)};
    std::string_view text;
    for (const char* name : {"id", "model"})
      if (document[name].get(text) || text.empty())
        return {.error = concat("answer has no '", name, "'")};
    if (document["output"].get(text)) return {.error = "answer has no string 'output'"};
    Judgement judgement{.ok = true, .items = 1};
    bool cached = false;
    if (!document["cached"].get(cached)) judgement.cached = cached;
    if (!answer.watched.empty()) {
      // "hit", "HIT from proxy", and "join": it waited for the same request's answer.
      const std::string_view word = answer.watched.substr(0, answer.watched.find_first_of(" ,;"));
      cached |= iequals(word, "hit") || iequals(word, "join");
      judgement.cached = cached;
    }
    int64_t tokens = 0;
    if (!document["usage"]["prompt_tokens"].get(tokens) && tokens >= 0)
      judgement.prompt_tokens = tokens;
    if (!document["usage"]["completion_tokens"].get(tokens) && tokens >= 0)
      judgement.generation = Generation{.output_tokens = tokens, .counted_by_server = true};
    return judgement;
  }

  std::unique_ptr<StreamJudge> make_stream() override {
    return stream_ ? std::make_unique<InferStreamJudge>(json_) : nullptr;
  }

 private:
  bool stream_;
  JsonAnswer json_;
};

}  // namespace

Result<std::unique_ptr<InferWorkload>> InferWorkload::create(const InferOptions& options) {
  if (!options.params.empty() &&
      !nlohmann::json::parse(options.params, nullptr, /*allow_exceptions=*/false).is_object())
    return Error{Code::kInvalidArgument,
                 concat("params: want a JSON object, got ", in_quotes(options.params))};
  auto workload = std::make_unique<InferWorkload>();
  workload->salt_ = options.salt;
  workload->stream_ = options.stream;
  Rng rng(options.seed);
  const size_t wanted = options.prompts.requests_wanted(1, options.requests);
  for (size_t i = 0; i < wanted && !workload->pool_.full(); ++i) {
    TaggedBody body;
    body.json(R"({"model":)").string(options.model).json(R"(,"prompt":)");
    body.string(options.prompts.get(i, options.distinct, rng), options.distinct);
    if (!options.params.empty()) body.json(R"(,"params":)").json(options.params);
    body.json("}");
    const JsonPost post{.url = options.url,
                        .path = options.prefix + (options.stream ? "/infer/stream" : "/infer"),
                        .api_key = options.api_key,
                        .accept = options.stream ? "text/event-stream" : "application/json",
                        .keep_alive = options.keep_alive};
    SIS_ASSIGN(PooledRequest request, std::move(body).post(post));
    workload->pool_.add(std::move(request));
  }
  return workload;
}

std::unique_ptr<Judge> InferWorkload::make_judge() const {
  return std::make_unique<InferJudge>(stream_);
}

}  // namespace sis::perf
