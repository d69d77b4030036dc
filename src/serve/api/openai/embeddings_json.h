// POST /v1/embeddings: the body's JSON to a native request, vectors to the answer's JSON.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serve/tasks/embed.h"

namespace sis::api {

struct EmbeddingsLimits {
  int64_t texts_max = 32;
  int64_t text_chars_max = 20000;  // Unicode code points
  bool strict_fields = false;      // unknown fields are refused
  bool truncate = true;            // when the request does not say
};

struct EmbeddingsCall {
  std::string model;
  tasks::EmbedRequest request;
  bool base64 = false;
  std::optional<int32_t> dimensions;
  std::optional<Duration> timeout;
};

// Every fault is kInvalidArgument with the field in `param`. Numbers and booleans may come as
// strings ("5"), null means absent. `body` is valid for reads up to 64 bytes past its end
// (simdjson). The order is the API's: an object
// -> model -> the model exists (`known_model` says) -> fields -> limits.
Result<EmbeddingsCall> parse_embeddings(
    std::string_view body, const EmbeddingsLimits& limits,
    const std::function<Status(const std::string& model)>& known_model);

// Vectors cut to `dimensions` (0: whole) and then normalised again. kInternal when a value is not
// finite.
Result<std::string> write_embeddings(const tasks::EmbedAnswer& answer, std::string_view model,
                                     bool base64, int32_t dimensions, bool count_tokens);

}  // namespace sis::api
