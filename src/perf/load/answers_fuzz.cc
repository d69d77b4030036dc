// Any bytes as a server's answer, whole or in pieces: every judge finds it right or says what is
// wrong, and finds the same however the bytes were cut.
//
// The first byte chooses the judge, the second the size of the pieces and the status.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "perf/load/answer_checks.h"
#include "perf/load/audio_judge.h"
#include "perf/load/chat_judge.h"
#include "perf/load/embeddings.h"
#include "perf/load/infer.h"
#include "perf/load/kserve_judge.h"
#include "perf/load/plain_http.h"
#include "perf/load/predict.h"
#include "perf/load/rerank.h"
#include "perf/load/sse_parser.h"
#include "perf/triton/payload.h"

namespace sis::perf {
namespace {

const net::Url kUrl{.host = "127.0.0.1", .port = 1};

// Workloads outlive their judges, which keep their buffers from input to input.
class Judges {
 public:
  Judges() {
    for (const AnswerShape shape : {AnswerShape::kChat, AnswerShape::kCompletion})
      for (const int choices : {1, 2})
        judges_.push_back(make_chat_judge({.choices = choices, .shape = shape}));
    for (const AudioFormat format :
         {AudioFormat::kJson, AudioFormat::kText, AudioFormat::kVerboseJson, AudioFormat::kSrt,
          AudioFormat::kVtt})
      judges_.push_back(make_audio_judge(format, seconds_));
    judges_.push_back(make_kserve_judge({.outputs = &outputs_, .expected = &expected_}));
    for (const int batch : {1, 2}) {
      add(EmbeddingsWorkload::create(
          {.url = kUrl, .model = "m", .batch = batch, .check_every = 1}));
      add(PredictWorkload::create({.url = kUrl, .batch = batch}));
    }
    for (const RerankShape shape : {RerankShape::kOwn, RerankShape::kTei})
      add(RerankWorkload::create({.url = kUrl,
                                  .shape = shape,
                                  .queries = {.text = "q"},
                                  .documents = {.texts = {"a", "b"}},
                                  .documents_per_request = 2}));
    for (const bool stream : {false, true})
      add(InferWorkload::create(
          {.url = kUrl, .model = "m", .prompts = {.text = "p"}, .stream = stream}));
    add(PayloadWorkload::create({.url = kUrl, .endpoint = "v1", .bodies = {"{}"}}));
    AnswerChecks checks;
    SIS_CHECK(checks.add_json("a[1].b=5").ok() && checks.add_json("c").ok());
    add(PlainHttpWorkload::create({.url = kUrl, .checks = checks}));
    for (const auto& judge : judges_) streams_.push_back(judge->make_stream());
  }

  size_t size() const { return judges_.size(); }
  Judge& judge(size_t at) { return *judges_[at]; }
  StreamJudge* stream(size_t at) { return streams_[at].get(); }

 private:
  template <class T>
  void add(Result<std::unique_ptr<T>> made) {
    SIS_CHECK(made.ok(), made.error().message);
    workloads_.push_back(std::move(*made));
    judges_.push_back(workloads_.back()->make_judge());
  }

  std::vector<double> seconds_{-1};
  std::vector<KServeTensor> outputs_{
      {.name = "a", .type = TensorType::kFp32, .shape = {2}},
      {.name = "b", .type = TensorType::kBytes, .shape = {-1}, .optional = true}};
  std::vector<std::map<std::string, std::string>> expected_{{{"a", std::string(8, '\0')}}};
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::vector<std::unique_ptr<Judge>> judges_;
  std::vector<std::unique_ptr<StreamJudge>> streams_;  // null: the judge has none
};

void check(const Judgement& judgement) {
  SIS_CHECK(judgement.ok == judgement.error.empty(), judgement.error);
}

std::string judge_stream(StreamJudge& judge, std::string_view bytes, size_t piece) {
  judge.begin_for(0);
  const TimePoint now{};
  while (!bytes.empty() && judge.failure().empty()) {
    judge.take(bytes.substr(0, piece), now);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (!judge.failure().empty()) return judge.failure();
  const Judgement judgement = judge.end(0);
  check(judgement);
  return judgement.error;
}

std::string events_of(std::string_view bytes, size_t piece) {
  SseParser parser;
  parser.begin();
  std::string out;
  while (!bytes.empty()) {
    const bool fits = parser.feed(bytes.substr(0, piece), [&](const SseEvent& event) {
      (out += event.name) += '\x1e';
      (out += event.data) += '\x1f';
    });
    SIS_CHECK(fits || bytes.size() > SseParser::kEventBytesMax / 2);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  out += parser.inside_event() ? '+' : '-';
  return out += parser.stray_line();
}

}  // namespace
}  // namespace sis::perf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis::perf;
  static Judges judges;
  if (size < 2) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t at = data[0] % judges.size(), piece = size_t{1} + data[1] % 64;
  check(judges.judge(at).judge(0, {.status = data[1] % 8 == 0 ? 500 : 200, .body = body}));
  if (StreamJudge* stream = judges.stream(at)) {
    const std::string whole = judge_stream(*stream, body, std::string_view::npos),
                      pieces = judge_stream(*stream, body, piece);
    SIS_CHECK(whole == pieces, "judge ", at, ", pieces of ", piece, ": ", whole, " / ", pieces);
  }
  SIS_CHECK(events_of(body, std::string_view::npos) == events_of(body, piece), "piece=", piece);
  return 0;
}
