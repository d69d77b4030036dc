#include "perf/load/completions.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/load/chat_judge.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> parse_extra(std::string_view text) {
  if (text.empty()) return Json::object();
  Json extra = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!extra.is_object())
    return Error{Code::kInvalidArgument, concat("want a JSON object, got ", in_quotes(text))};
  for (const char* name : {"model", "prompt", "stream"})
    if (extra.contains(name))
      return Error{Code::kInvalidArgument,
                   concat("want fields other than '", name, "', which has a flag of its own")};
  if (const auto n = extra.find("n"); n != extra.end())
    if (!n->is_number_integer() || *n < 1 || *n > kChoicesMax)
      return Error{Code::kInvalidArgument,
                   concat("n: want a whole number 1..", kChoicesMax, ", got ", n->dump())};
  return extra;
}

}  // namespace

Status check_completions_extra(std::string_view text) {
  SIS_TRY(parse_extra(text));
  return {};
}

Result<std::unique_ptr<CompletionsWorkload>> CompletionsWorkload::create(
    const CompletionsOptions& options) {
  auto workload = std::make_unique<CompletionsWorkload>();
  workload->salt_ = options.salt;
  workload->stream_ = options.stream;
  SIS_ASSIGN(const Json extra, parse_extra(options.extra));
  const int64_t choices = options.batch * extra.value("n", int64_t{1});
  if (choices > kChoicesMax)
    return Error{Code::kInvalidArgument, concat("batch: want at most ", kChoicesMax,
                                                " completions per request, got ", choices)};
  workload->choices_ = static_cast<int>(choices);

  Rng rng(options.seed);
  size_t wanted =
      options.prompts.requests_wanted(static_cast<size_t>(options.batch), options.requests);
  if (options.output_lengths)
    wanted = options.requests > 0 ? options.requests : RequestPool::kRequestsMax;
  uint64_t next_prompt = 0;
  for (size_t i = 0; i < wanted && !workload->pool_.full(); ++i) {
    Json front;
    front["model"] = options.model;
    front["max_tokens"] =
        options.output_lengths ? options.output_lengths->sample(rng) : options.max_tokens;
    front["temperature"] = options.temperature;
    front["top_p"] = options.top_p;
    front["stream"] = options.stream;
    if (options.stream) front["stream_options"] = {{"include_usage", true}};
    if (options.ignore_eos) front["ignore_eos"] = true;
    front.merge_patch(extra);
    std::string text = front.dump();
    text.pop_back();

    TaggedBody body;
    body.json(text).json(R"(,"prompt":)");
    if (options.batch > 1) body.json("[");
    for (int k = 0; k < options.batch; ++k) {
      if (k > 0) body.json(",");
      body.string(options.prompts.get(next_prompt++, options.distinct, rng), options.distinct);
    }
    body.json(options.batch > 1 ? "]}" : "}");
    const JsonPost post{.url = options.url,
                        .path = options.path,
                        .api_key = options.api_key,
                        .accept = options.stream ? "text/event-stream" : "application/json",
                        .keep_alive = options.keep_alive};
    SIS_ASSIGN(PooledRequest request, std::move(body).post(post));
    workload->pool_.add(std::move(request));
  }
  return workload;
}

std::unique_ptr<Judge> CompletionsWorkload::make_judge() const {
  return make_chat_judge(
      {.choices = choices_, .stream = stream_, .shape = AnswerShape::kCompletion});
}

}  // namespace sis::perf
