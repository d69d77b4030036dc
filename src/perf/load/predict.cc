#include "perf/load/predict.h"

#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

constexpr size_t kPoolMax = 1024;                   // different requests
constexpr size_t kPoolBytesMax = size_t{64} << 20;  // of all of them

class PredictJudge final : public Judge {
 public:
  explicit PredictJudge(int batch) : batch_(static_cast<size_t>(batch)) {}

  Judgement judge(uint64_t, const Answer& answer) override {
    if (answer.status != 200)
      return {.status_fault = true,
              .error = concat("status ", answer.status, ": ", error_message(answer.body))};
    if (std::string why = check(answer.body); !why.empty()) return {.error = std::move(why)};
    return {.ok = true, .items = static_cast<uint32_t>(batch_)};
  }

 private:
  std::string check(std::string_view body) {
    // simdjson reads past the end: a copy with room behind it, booked once.
    if (padded_.size() < body.size() + simdjson::SIMDJSON_PADDING)
      padded_.resize(body.size() * 2 + simdjson::SIMDJSON_PADDING);
    std::copy(body.begin(), body.end(), padded_.begin());
    simdjson::dom::element document;
    if (const auto error = parser_.parse(padded_.data(), body.size(), false).get(document); error)
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
  simdjson::dom::parser parser_;
  std::vector<char> padded_;
};

}  // namespace

Result<std::unique_ptr<PredictWorkload>> PredictWorkload::create(const PredictOptions& options) {
  auto workload = std::make_unique<PredictWorkload>();
  workload->options_ = options;
  Rng rng(options.seed);
  const auto batch = static_cast<size_t>(options.batch);
  size_t wanted = options.lengths ? kPoolMax : std::max<size_t>(1, options.texts.size());
  wanted = std::min(wanted, kPoolMax);
  if (options.requests > 0) wanted = std::min<size_t>(wanted, options.requests);
  size_t pool_bytes = 0, next_text = 0;
  for (size_t i = 0; i < wanted && (i == 0 || pool_bytes < kPoolBytesMax); ++i) {
    std::vector<std::string> texts;
    for (size_t k = 0; k < batch; ++k) {
      if (!options.texts.empty()) {
        texts.push_back(options.texts[next_text++ % options.texts.size()]);
      } else if (options.lengths) {
        int64_t words = options.lengths->sample(rng);
        if (options.distinct) words -= static_cast<int64_t>(kTagWords);
        texts.push_back(random_text(rng, std::max<int64_t>(words, 0)));
      } else {
        texts.push_back(options.text);
      }
    }
    SIS_ASSIGN(auto prebuilt, workload->build(texts));
    pool_bytes += prebuilt.bytes.size();
    workload->pool_.push_back(std::move(prebuilt));
  }
  return workload;
}

// Written by hand around the strings, so that the places of the tags are known.
Result<PredictWorkload::Prebuilt> PredictWorkload::build(
    const std::vector<std::string>& texts) const {
  static const std::string kTagMark(kTagBytes, 'x');
  const bool single = options_.batch == 1;
  Prebuilt prebuilt;
  std::string body = "{";
  if (!options_.model.empty())
    body += concat(R"("model":)", nlohmann::json(options_.model).dump(), ",");
  body += single ? R"("text":)" : R"("texts":[)";
  for (size_t k = 0; k < texts.size(); ++k) {
    if (k > 0) body += ',';
    const std::string text = nlohmann::json(texts[k]).dump();
    if (options_.distinct) {
      body += '"';
      prebuilt.tags.push_back(body.size());
      body += kTagMark;
      if (text.size() > 2) body += ' ';
      body += std::string_view(text).substr(1);
    } else {
      body += text;
    }
  }
  body += single ? "}" : "]}";
  const size_t body_bytes = body.size();
  SIS_ASSIGN(prebuilt.bytes, post_bytes({.url = options_.url,
                                         .path = single ? "/predict" : "/predict_batch",
                                         .api_key = options_.api_key,
                                         .keep_alive = options_.keep_alive},
                                        std::move(body)));
  for (size_t& tag : prebuilt.tags) tag += prebuilt.bytes.size() - body_bytes;
  return prebuilt;
}

std::string_view PredictWorkload::request(uint64_t index, std::string& scratch) const {
  const Prebuilt& prebuilt = pool_[index % pool_.size()];
  if (prebuilt.tags.empty()) return prebuilt.bytes;
  scratch.assign(prebuilt.bytes);
  uint64_t number = options_.salt + index * prebuilt.tags.size();
  for (const size_t tag : prebuilt.tags) write_tag(number++, scratch.data() + tag);
  return scratch;
}

std::unique_ptr<Judge> PredictWorkload::make_judge() const {
  return std::make_unique<PredictJudge>(options_.batch);
}

}  // namespace sis::perf
