// POST /v1/classify, /predict, /predict_batch: JSON to texts for a classifier, its logits to JSON.
//
//   vLLM      /v1/classify {"model","input"} -> data [{"index","label","probs","num_classes"}];
//             with raw_scores, infinity's field, data [[{"score","label"}]]
//   own       /predict {"text"} -> {"text","sentiment","confidence","model_version"}
//             /predict_batch {"texts"} -> {"predictions": [the same]}
//   TEI       /predict {"inputs"} -> [{"score","label"}] by score, of a batch an array of these;
//             two strings in one item are a pair
#pragma once

#include "base/result.h"
#include "serve/api/predict/score_call.h"
#include "serve/api/predict/score_fields.h"

namespace sis::api {

inline constexpr int64_t kPredictCharsMax = 5000;  // per text of /predict and /predict_batch

Result<ScoreCall> parse_classify(const JsonObject& body, const ScorePlace& place);
Result<ScoreCall> parse_predict(const JsonObject& body, const ScorePlace& place);
Result<ScoreCall> parse_predict_batch(const JsonObject& body, const ScorePlace& place);
Result<ScoreCall> parse_tei_predict(const JsonObject& body, const ScorePlace& place);

// GET /models/info: which model answers /predict.
std::string model_info_json(const ScoreModel& model);

}  // namespace sis::api
