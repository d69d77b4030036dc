// Any body gives a call or an error that says something, whichever route reads it; a call has
// inputs, but for the one dialect that takes none.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "serve/api/json_body.h"
#include "serve/api/predict/classify_json.h"
#include "serve/api/predict/rerank_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis::api;
  std::string body(reinterpret_cast<const char*>(data), size);
  body.resize(size + 64);
  const auto object = parse_body({body.data(), size});
  if (!object.ok()) return 0;
  const ScoreModel model{.name = "m", .classifies = true, .ranks = true, .labels = {"a", "b"}};
  const ScoreOptions options{.strict_fields = size % 2 == 0};
  const ScorePlace place{.model = model, .options = options, .request_id = "id"};
  const auto check = [](const sis::Result<ScoreCall>& call, bool may_be_empty) {
    if (!call.ok()) return call.error().message.empty() ? std::abort() : void();
    if (call->request.inputs.empty() && !may_be_empty) std::abort();
  };
  for (const char* path : {"/v1/rerank", "/v2/rerank", "/rerank"}) {
    const auto dialect = rerank_dialect(path, *object);
    check(parse_rerank(dialect, *object, place), dialect == RerankDialect::kOwn);
  }
  check(parse_score(*object, place), false);
  check(parse_classify(*object, place), false);
  check(parse_predict(*object, place), false);
  check(parse_predict_batch(*object, place), false);
  check(parse_tei_predict(*object, place), false);
  return 0;
}
