#include "perf/load/embeddings.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "perf/load/json_answer.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

constexpr size_t kGivenMax = size_t{1} << 20;  // requests of given texts
constexpr size_t kUsageWindow = 512;
constexpr uint64_t kAlwaysChecked = 100;

int64_t find_number_after(std::string_view text, size_t at, std::string_view key) {
  size_t i = at + key.size();
  while (i < text.size() && (text[i] == ' ' || text[i] == ':')) ++i;
  int64_t value = 0;
  const size_t begin = i;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9' && i - begin < 15; ++i)
    value = value * 10 + (text[i] - '0');
  return i == begin ? -1 : value;
}

class EmbeddingsJudge final : public Judge {
 public:
  EmbeddingsJudge(int batch, uint64_t check_every)
      : batch_(static_cast<size_t>(batch)), check_every_(check_every) {}

  Judgement judge(uint64_t, const Answer& answer) override {
    if (answer.status != 200) return wrong_status(answer);
    const std::string_view body = trim(answer.body);
    if (body.empty() || body.front() != '{' || body.back() != '}')
      return {.error = concat("status 200 without a JSON object: ", in_quotes(body, 60))};
    if (seen_ < kAlwaysChecked || seen_ % check_every_ == 0) {
      if (std::string why = check(body); !why.empty()) return {.error = std::move(why)};
    }
    ++seen_;
    return {.ok = true,
            .items = static_cast<uint32_t>(batch_),
            .prompt_tokens = find_prompt_tokens(body)};
  }

 private:
  std::string check(std::string_view body) {
    simdjson::dom::element document;
    if (const auto error = json_.read(body, document); error)
      return concat("answer is not JSON: ", simdjson::error_message(error));
    simdjson::dom::array data;
    if (document["data"].get(data)) return "answer has no array 'data'";
    size_t count = 0, width = 0;
    for (const auto item : data) {
      int64_t index;
      if (item["index"].get(index) || index != static_cast<int64_t>(count))
        return concat("data[", count, "].index: want ", count);
      simdjson::dom::element vector;
      if (item["embedding"].get(vector)) return concat("data[", count, "] has no 'embedding'");
      size_t numbers = 0;
      if (std::string why = check_vector(vector, count, numbers); !why.empty()) return why;
      if (width != 0 && numbers != width)
        return concat("data[", count, "]: ", numbers, " numbers, but data[0] has ", width);
      width = numbers;
      ++count;
    }
    if (count != batch_) return concat("answer has ", count, " embeddings for ", batch_, " texts");
    return {};
  }

  // Either a list of finite numbers or base64 of 4-byte ones.
  std::string check_vector(simdjson::dom::element vector, size_t item, size_t& numbers) {
    std::string_view base64;
    if (!vector.get(base64)) {
      const size_t pad = base64.ends_with("==") ? 2 : base64.ends_with("=") ? 1 : 0;
      const size_t bytes = base64.size() / 4 * 3 - pad;
      if (base64.empty() || base64.size() % 4 != 0 || bytes % 4 != 0)
        return concat("data[", item, "].embedding: base64 of ", base64.size(),
                      " characters is not a list of 4-byte floats");
      numbers = bytes / 4;
      return {};
    }
    simdjson::dom::array list;
    if (vector.get(list))
      return concat("data[", item, "].embedding: want a list of numbers or base64");
    for (const auto element : list) {
      double value;
      if (element.get(value) || !std::isfinite(value))
        return concat("data[", item, "].embedding[", numbers, "]: want a number");
      ++numbers;
    }
    return numbers > 0 ? std::string() : concat("data[", item, "].embedding is empty");
  }

  size_t batch_;
  uint64_t check_every_, seen_ = 0;
  JsonAnswer json_;
};

}  // namespace

Result<std::unique_ptr<EmbeddingsWorkload>> EmbeddingsWorkload::create(
    const EmbeddingsOptions& options) {
  auto workload = std::make_unique<EmbeddingsWorkload>();
  workload->salt_ = options.salt;
  workload->batch_ = options.batch;
  workload->check_every_ = options.check_every;
  Rng rng(options.seed);
  const auto batch = static_cast<size_t>(options.batch);

  // One pass over the given texts, or enough made-up requests that their lengths are the wanted
  // mix.
  const size_t given = options.texts.texts.size();
  size_t wanted = 1;
  if (given > 0) {
    // Whole passes: with 10 texts and batches of 4, five requests hold each text twice.
    size_t texts = given;
    while (texts % batch != 0 && texts < given * batch) texts += given;
    wanted = std::min(texts / batch, kGivenMax);
  } else if (options.texts.lengths) {
    wanted = RequestPool::kRequestsMax;
  }
  if (options.requests > 0) wanted = std::min<size_t>(wanted, options.requests);

  const JsonPost post{.url = options.url,
                      .path = options.path,
                      .api_key = options.api_key,
                      .keep_alive = options.keep_alive};
  uint64_t next_text = 0;
  for (size_t i = 0; i < wanted && workload->pool_.bytes() < RequestPool::kBytesMax; ++i) {
    TaggedBody body;
    body.json(R"({"model":)").string(options.model);
    if (options.encoding != VectorEncoding::kDefault)
      body.json(options.encoding == VectorEncoding::kFloat ? R"(,"encoding_format":"float")"
                                                           : R"(,"encoding_format":"base64")");
    body.json(batch > 1 ? R"(,"input":[)" : R"(,"input":)");
    for (size_t k = 0; k < batch; ++k) {
      if (k > 0) body.json(",");
      body.string(options.texts.get(next_text++, options.distinct, rng), options.distinct);
    }
    body.json(batch > 1 ? "]}" : "}");
    SIS_ASSIGN(PooledRequest request, std::move(body).post(post));
    workload->pool_.add(std::move(request));
  }
  return workload;
}

std::unique_ptr<Judge> EmbeddingsWorkload::make_judge() const {
  return std::make_unique<EmbeddingsJudge>(batch_, check_every_);
}

int64_t find_prompt_tokens(std::string_view body) {
  static constexpr std::string_view kKey = "\"prompt_tokens\"";
  // The vectors between the two ends are most of the body and hold no keys of interest.
  const std::string_view tail =
      body.size() > kUsageWindow ? body.substr(body.size() - kUsageWindow) : body;
  if (const size_t at = tail.rfind(kKey); at != std::string_view::npos)
    return find_number_after(tail, at, kKey);
  if (body.size() <= kUsageWindow) return -1;
  const std::string_view front = body.substr(0, kUsageWindow);
  const size_t at = front.find(kKey);
  return at == std::string_view::npos ? -1 : find_number_after(front, at, kKey);
}

}  // namespace sis::perf
