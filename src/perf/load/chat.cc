#include "perf/load/chat.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/load/chat_judge.h"
#include "perf/load/openai_http.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kPoolMax = 4096;                   // different requests
constexpr size_t kPoolBytesMax = size_t{64} << 20;  // of all of them
constexpr uint64_t kPrefixSeed = 0x5EED0F9E;        // shared words do not depend on the prompts'

Result<Json> parse_extra(std::string_view text) {
  Json extra = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!extra.is_object())
    return Error{Code::kInvalidArgument, concat("want a JSON object, got ", in_quotes(text))};
  for (const char* name : {"model", "messages", "stream"})
    if (extra.contains(name))
      return Error{Code::kInvalidArgument,
                   concat("want fields other than '", name, "', which has a flag of its own")};
  if (const auto n = extra.find("n"); n != extra.end()) {
    if (!n->is_number_integer() || *n < 1 || *n > kChoicesMax)
      return Error{Code::kInvalidArgument,
                   concat("n: want a whole number 1..", kChoicesMax, ", got ", n->dump())};
  }
  return extra;
}

// The body without its messages, which come last: {..., "messages":[
std::string body_front(const ChatOptions& options, const Json& extra) {
  Json body;
  body["model"] = options.model;
  body["max_tokens"] = options.max_tokens;
  body["temperature"] = options.temperature;
  body["top_p"] = options.top_p;
  body["stream"] = options.stream;
  if (options.stream) body["stream_options"] = {{"include_usage", true}};
  if (options.ignore_eos) body["ignore_eos"] = true;
  body.merge_patch(extra);
  std::string front = body.dump();
  front.pop_back();
  return front + R"(,"messages":[)";
}

struct Message {
  const char* role;
  std::string before, after;  // the tag stands between them
  bool tagged = false;
};

// Appends the message; the place of its tag when it has one.
std::optional<size_t> append_message(const Message& message, std::string& body) {
  static const std::string kTagMark(kTagBytes, 'x');
  body += concat(R"({"role":")", message.role, R"(","content":)");
  std::string before = Json(message.before).dump();
  before.pop_back();
  body += before;
  std::optional<size_t> tag;
  if (message.tagged) {
    tag = body.size();
    body += kTagMark;
    if (!message.after.empty()) body += ' ';
  }
  const std::string after = Json(message.after).dump();
  body += std::string_view(after).substr(1);
  body += '}';
  return tag;
}

}  // namespace

Status check_extra(std::string_view text) {
  SIS_TRY(parse_extra(text));
  return {};
}

Result<std::unique_ptr<ChatWorkload>> ChatWorkload::create(const ChatOptions& options) {
  auto workload = std::make_unique<ChatWorkload>();
  workload->options_ = options;
  Json extra = Json::object();
  if (!options.extra.empty()) {
    SIS_ASSIGN(extra, parse_extra(options.extra));
    workload->choices_ = extra.value("n", 1);
  }
  const std::string front = body_front(options, extra);

  size_t wanted = 1;
  if (!options.prompts.empty())
    wanted = options.prompts.size();
  else if (options.lengths)
    wanted = kPoolMax;
  if (options.requests > 0) wanted = std::min<size_t>(wanted, options.requests);

  Rng rng(options.seed), prefix_rng(options.seed ^ kPrefixSeed);
  std::string prefix = random_text(prefix_rng, options.shared_prefix_words);
  if (!prefix.empty()) prefix += ' ';
  const bool tag_in_system = options.distinct && !options.system.empty() && prefix.empty();

  size_t pool_bytes = 0;
  for (size_t i = 0; i < wanted && (i == 0 || pool_bytes < kPoolBytesMax); ++i) {
    std::string text;
    if (!options.prompts.empty()) {
      text = options.prompts[i];
    } else if (!options.lengths) {
      text = options.prompt;
    } else {
      // The distinct tag counts towards the wanted length.
      int64_t words = options.lengths->sample(rng);
      if (options.distinct) words -= static_cast<int64_t>(kTagWords);
      text = random_text(rng, std::max<int64_t>(words, 0));
    }

    std::string body = front;
    std::optional<size_t> tag;
    if (!options.system.empty()) {
      tag = append_message({.role = "system", .after = options.system, .tagged = tag_in_system},
                           body);
      body += ',';
    }
    const Message user{.role = "user",
                       .before = prefix,
                       .after = std::move(text),
                       .tagged = options.distinct && !tag_in_system};
    if (const auto place = append_message(user, body)) tag = place;
    body += "]}";

    const size_t body_bytes = body.size();
    SIS_ASSIGN(std::string bytes,
               post_bytes({.url = options.url,
                           .path = options.path,
                           .api_key = options.api_key,
                           .accept = options.stream ? "text/event-stream" : "application/json",
                           .keep_alive = options.keep_alive},
                          std::move(body)));
    pool_bytes += bytes.size();
    const size_t tag_at = tag ? *tag + bytes.size() - body_bytes : 0;
    workload->pool_.push_back({std::move(bytes), tag_at});
  }
  return workload;
}

std::string_view ChatWorkload::request(uint64_t index, std::string& scratch) const {
  const Prebuilt& prebuilt = pool_[index % pool_.size()];
  if (prebuilt.tag == 0) return prebuilt.bytes;
  scratch.assign(prebuilt.bytes);
  write_tag(options_.salt + index, scratch.data() + prebuilt.tag);
  return scratch;
}

std::unique_ptr<Judge> ChatWorkload::make_judge() const {
  return make_chat_judge({.choices = choices_, .stream = options_.stream});
}

}  // namespace sis::perf
