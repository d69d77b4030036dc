#include "perf/load/predict.h"

#include <algorithm>

#include "base/strings.h"
#include "perf/load/json_answer.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

constexpr size_t kPoolMax = 1024;  // different requests

class PredictJudge final : public Judge {
 public:
  explicit PredictJudge(int batch) : batch_(static_cast<size_t>(batch)) {}

  Judgement judge(uint64_t, const Answer& answer) override {
    if (answer.status != 200) return wrong_status(answer);
    if (std::string why = check(answer.body); !why.empty()) return {.error = std::move(why)};
    return {.ok = true, .items = static_cast<uint32_t>(batch_)};
  }

 private:
  std::string check(std::string_view body) {
    simdjson::dom::element document;
    if (const auto error = json_.read(body, document); error)
      return concat("answer is not JSON: ", simdjson::error_message(error));
    if (batch_ == 1) return check_one(document, "answer");
    simdjson::dom::array predictions;
    if (document["predictions"].get(predictions)) return "answer has no array 'predictions'";
    size_t count = 0;
    for (const auto prediction : predictions) {
      if (std::string why = check_one(prediction, concat("predictions[", count, "]")); !why.empty())
        return why;
      ++count;
    }
    if (count != batch_) return concat("answer has ", count, " predictions for ", batch_, " texts");
    return {};
  }

  static std::string check_one(simdjson::dom::element prediction, const std::string& place) {
    std::string_view label;
    if (prediction["sentiment"].get(label) || label.empty())
      return concat(place, " has no 'sentiment'");
    double confidence = 0;
    if (prediction["confidence"].get(confidence) || confidence < 0 || confidence > 1)
      return concat(place, ".confidence: want a number from 0 to 1");
    return {};
  }

  size_t batch_;
  JsonAnswer json_;
};

}  // namespace

Result<std::unique_ptr<PredictWorkload>> PredictWorkload::create(const PredictOptions& options) {
  auto workload = std::make_unique<PredictWorkload>();
  workload->salt_ = options.salt;
  workload->batch_ = options.batch;
  Rng rng(options.seed);
  const bool single = options.batch == 1;
  const JsonPost post{.url = options.url,
                      .path = single ? "/predict" : "/predict_batch",
                      .api_key = options.api_key,
                      .keep_alive = options.keep_alive};
  const size_t wanted = std::min(options.texts.requests_wanted(1, options.requests), kPoolMax);
  uint64_t next_text = 0;
  for (size_t i = 0; i < wanted && !workload->pool_.full(); ++i) {
    TaggedBody body;
    body.json("{");
    if (!options.model.empty()) body.json(R"("model":)").string(options.model).json(",");
    body.json(single ? R"("text":)" : R"("texts":[)");
    for (int k = 0; k < options.batch; ++k) {
      if (k > 0) body.json(",");
      body.string(options.texts.get(next_text++, options.distinct, rng), options.distinct);
    }
    body.json(single ? "}" : "]}");
    SIS_ASSIGN(PooledRequest request, std::move(body).post(post));
    workload->pool_.add(std::move(request));
  }
  return workload;
}

std::unique_ptr<Judge> PredictWorkload::make_judge() const {
  return std::make_unique<PredictJudge>(batch_);
}

}  // namespace sis::perf
