#include "serve/api/predict/rerank_json.h"

#include <algorithm>

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/json_text.h"
#include "serve/api/predict/error_shape.h"
#include "serve/tasks/rerank.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

struct RerankCall {
  RerankDialect dialect = RerankDialect::kOwn;
  std::vector<std::string> documents;
  size_t top_n = SIZE_MAX;
  bool raw = false;
  bool with_documents = false;
};

bool has_objects(const JsonElement& documents) {
  simdjson::dom::array array;
  if (documents.get_array().get(array)) return false;
  for (const JsonElement item : array)
    if (item.is_object()) return true;
  return false;
}

// A string, or an object with one in "text".
Result<std::string> read_document(const JsonElement& item, const std::string& param,
                                  const ScoreOptions& options) {
  JsonObject object;
  if (item.get_object().get(object)) {
    if (item.is_string()) return read_text(item, param, options);
    return invalid(concat(param, ": want a string or {\"text\": ...}, got ", json_kind(item)),
                   param);
  }
  const auto text = field_of(object, "text");
  if (!text) return invalid(concat(param, " has no 'text'"), param);
  return read_text(*text, param + ".text", options);
}

Status read_documents(const JsonObject& body, const ScoreOptions& options, RerankCall& call) {
  const bool tei = call.dialect == RerankDialect::kTei;
  const char* key = tei ? "texts" : "documents";
  const auto value = field_of(body, key);
  if (!value) return invalid(concat(key, " is missing"), key);
  simdjson::dom::array array;
  if (value->get_array().get(array))
    return invalid(concat(key, ": want an array of strings, got ", json_kind(*value)), key);
  size_t count = 0;
  for ([[maybe_unused]] const JsonElement item : array) ++count;
  if (count == 0 && call.dialect != RerankDialect::kOwn) {
    Error error = invalid(concat(key, " is an empty array"), key);
    error.reason = kEmptyReason;
    return error;
  }
  SIS_TRY(check_count(count, options.texts_max, key, "documents", "MAX_BATCH_SIZE"));
  call.documents.reserve(count);
  for (const JsonElement item : array) {
    const std::string param = concat(key, "[", call.documents.size(), "]");
    auto document = tei ? read_text(item, param, options) : read_document(item, param, options);
    if (!document.ok()) return std::move(document).error();
    call.documents.push_back(std::move(*document));
  }
  return {};
}

// Of a query and a document together.
int32_t pair_tokens_max(const ScorePlace& place) {
  if (place.options.rerank_tokens_max > 0) return place.options.rerank_tokens_max;
  return place.model.service ? place.model.service->model().tokens_max : 0;
}

// How pairs are cut: by the server's limit, and where cutting is forbidden by the model's alone.
Status read_pair_truncation(const JsonObject& body, const ScorePlace& place,
                            tasks::EmbedRequest& request) {
  request.tokens_max = place.options.rerank_tokens_max;
  SIS_TRY(read_truncation(body, request));
  if (!request.truncate) request.tokens_max = 0;
  return {};
}

// Known fields of the others that would change the results.
Status refuse_unsupported(const JsonObject& body, int32_t tokens_max) {
  if (const auto fields = field_of(body, "rank_fields")) {
    simdjson::dom::array names;
    std::string_view name;
    if (fields->get_array().get(names) || names.size() != 1 || names.at(0).get(name) ||
        name != "text")
      return invalid("rank_fields: only [\"text\"] is supported", "rank_fields");
  }
  std::optional<int64_t> chunks, per_document;
  SIS_TRY(read_count(body, "max_chunks_per_doc", chunks));  // a document is one chunk here
  SIS_TRY(read_count(body, "max_tokens_per_doc", per_document));
  if (per_document && *per_document < tokens_max)
    return invalid(concat("max_tokens_per_doc: documents are cut where query and document together"
                          " have ",
                          tokens_max, " tokens; a lower limit than that is not supported, got ",
                          *per_document),
                   "max_tokens_per_doc");
  return {};
}

void append_results(std::string& out, const RerankCall& call, std::span<const float> relevance) {
  const bool tei = call.dialect == RerankDialect::kTei;
  const auto order = tasks::columns_by_value(relevance);
  const size_t count = std::min(order.size(), call.top_n);
  out += '[';
  for (size_t i = 0; i < count; ++i) {
    const size_t index = order[i];
    out += i > 0 ? R"(,{"index":)" : R"({"index":)";
    append_int(out, static_cast<int64_t>(index));
    out += tei ? R"(,"score":)" : R"(,"relevance_score":)";
    append_float(out, call.raw ? relevance[index] : tasks::sigmoid(relevance[index]));
    if (call.with_documents) {
      out += tei                                   ? R"(,"text":)"
             : call.dialect == RerankDialect::kOwn ? R"(,"document":)"
                                                   : R"(,"document":{"text":)";
      telemetry::append_json_string(out, call.documents[index]);
      if (!tei && call.dialect != RerankDialect::kOwn) out += '}';
    }
    out += '}';
  }
  out += ']';
}

std::string write_rerank(const RerankCall& call, const ScorePlace& place,
                         const tasks::EmbedAnswer& answer) {
  std::vector<float> relevance;
  if (!answer.items.empty()) relevance = tasks::relevance_of(place.model.service->model(), answer);
  std::string out;
  if (call.dialect == RerankDialect::kTei) {
    append_results(out, call, relevance);
    return out;
  }
  // What Jina's, Cohere's and infinity's clients look for, side by side: they skip the others'
  // keys.
  out += R"({"object":"rerank",)";
  append_identity(out, "rerank", place);
  out += R"(,"results":)";
  append_results(out, call, relevance);
  append_usage(out, place.options.count_tokens ? answer.tokens : 0);
  out += R"(,"meta":{"api_version":{"version":")";
  out += call.dialect == RerankDialect::kCohere2 ? '2' : '1';
  out += R"("},"billed_units":{"search_units":1}}})";
  return out;
}

std::string write_scores(const std::vector<float>& scores, const ScorePlace& place,
                         int64_t tokens) {
  std::string out = R"({"object":"list",)";
  append_identity(out, "score", place);
  out += R"(,"data":[)";
  for (size_t i = 0; i < scores.size(); ++i) {
    out += i > 0 ? R"(,{"index":)" : R"({"index":)";
    append_int(out, static_cast<int64_t>(i));
    out += R"(,"object":"score","score":)";
    append_float(out, scores[i]);
    out += '}';
  }
  out += ']';
  append_usage(out, place.options.count_tokens ? tokens : 0);
  out += '}';
  return out;
}

// vLLM's name for "not logits".
Status read_raw(const JsonObject& body, bool& raw) {
  SIS_TRY(read_flag(body, "raw_scores", raw));
  for (const char* key : {"activation", "use_activation"}) {
    std::optional<bool> activation;
    SIS_TRY(read_flag(body, key, activation));
    if (activation) raw = !*activation;
  }
  return {};
}

}  // namespace

RerankDialect rerank_dialect(std::string_view path, const JsonObject& body) {
  if (field_of(body, "texts")) return RerankDialect::kTei;
  if (path == "/v2/rerank") return RerankDialect::kCohere2;
  if (path != "/v1/rerank") return RerankDialect::kJina;
  if (first_field(body, {"return_documents", "rank_fields", "max_chunks_per_doc"}))
    return RerankDialect::kJina;
  const auto documents = field_of(body, "documents");
  return documents && has_objects(*documents) ? RerankDialect::kJina : RerankDialect::kOwn;
}

Result<ScoreCall> parse_rerank(RerankDialect dialect, const JsonObject& body,
                               const ScorePlace& place) {
  RerankCall call{.dialect = dialect};
  const bool tei = dialect == RerankDialect::kTei;
  call.raw = dialect == RerankDialect::kOwn;
  call.with_documents = dialect == RerankDialect::kOwn || dialect == RerankDialect::kJina;

  const auto query_field = field_of(body, "query");
  if (!query_field) return invalid("query is missing", "query");
  SIS_ASSIGN(const std::string query, read_text(*query_field, "query", place.options));
  if (query.empty()) return invalid("query is an empty string", "query");
  SIS_TRY(read_documents(body, place.options, call));
  if (!tei) {
    std::optional<int64_t> top_n;
    SIS_TRY(read_count(body, "top_n", top_n));
    if (top_n) call.top_n = static_cast<size_t>(*top_n);
    SIS_TRY(refuse_unsupported(body, pair_tokens_max(place)));
  }
  SIS_TRY(read_flag(body, tei ? "return_text" : "return_documents", call.with_documents));
  SIS_TRY(read_raw(body, call.raw));

  ScoreCall out;
  out.inputs_name = tei ? "texts" : "documents";
  out.request = tasks::rerank_request(query, call.documents);
  out.request.truncate = !tei;
  SIS_TRY(read_pair_truncation(body, place, out.request));
  SIS_TRY(check_fields(body,
                       {"model", "query", "documents", "texts", "top_n", "return_documents",
                        "return_text", "raw_scores", "activation", "use_activation", "truncate",
                        "truncate_prompt_tokens", "truncation_direction", "rank_fields",
                        "max_chunks_per_doc", "max_tokens_per_doc", "priority", "user"},
                       place.options.strict_fields));
  out.write = [call = std::move(call), place](const tasks::EmbedAnswer& answer) {
    return write_rerank(call, place, answer);
  };
  return out;
}

Result<ScoreCall> parse_score(const JsonObject& body, const ScorePlace& place) {
  const auto first = first_field(body, {"text_1", "queries", "data_1"});
  const auto second = first_field(body, {"text_2", "documents", "data_2"});
  if (!first) return invalid("text_1 is missing", "text_1");
  if (!second) return invalid("text_2 is missing", "text_2");
  const auto read = [&](const auto& field) {
    return read_texts(field.second, field.first, place.options.texts_max, "MAX_BATCH_SIZE",
                      place.options);
  };
  SIS_ASSIGN(auto firsts, read(*first));
  SIS_ASSIGN(auto seconds, read(*second));
  if (firsts.size() != seconds.size() && firsts.size() != 1)
    return invalid(concat(first->first, " has ", firsts.size(), " texts, ", second->first, " has ",
                          seconds.size(), ": want as many, or one in ", first->first),
                   first->first);
  bool raw = false;
  SIS_TRY(read_raw(body, raw));
  SIS_TRY(check_fields(
      body,
      {"model", "text_1", "text_2", "queries", "documents", "data_1", "data_2", "raw_scores",
       "activation", "use_activation", "truncate", "truncate_prompt_tokens", "truncation_direction",
       "encoding_format", "priority", "user"},
      place.options.strict_fields));

  ScoreCall out;
  out.inputs_name = second->first;
  const size_t pairs = seconds.size(), singles = firsts.size();
  if (place.model.embeds) {
    SIS_TRY(read_truncation(body, out.request));
    // Every text once; the service joins equal ones.
    for (auto* texts : {&firsts, &seconds})
      for (auto& text : *texts) {
        if (text.empty()) return invalid("an empty string has no vector", out.inputs_name);
        out.request.inputs.push_back({.text = std::move(text)});
      }
    out.write = [place, pairs, singles](const tasks::EmbedAnswer& answer) {
      std::vector<float> scores;
      for (size_t i = 0; i < pairs; ++i)
        scores.push_back(tasks::cosine(answer.items[singles == 1 ? 0 : i]->vector,
                                       answer.items[singles + i]->vector));
      return write_scores(scores, place, answer.tokens);
    };
  } else {
    for (size_t i = 0; i < pairs; ++i)
      out.request.inputs.push_back(
          {.text = firsts[singles == 1 ? 0 : i], .pair = std::move(seconds[i])});
    SIS_TRY(read_pair_truncation(body, place, out.request));
    out.write = [place, raw](const tasks::EmbedAnswer& answer) {
      auto scores = tasks::relevance_of(place.model.service->model(), answer);
      if (!raw)
        for (float& score : scores) score = tasks::sigmoid(score);
      return write_scores(scores, place, answer.tokens);
    };
  }
  return out;
}

}  // namespace sis::api
