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
constexpr size_t kInputBytesMax = size_t{1} << 30;  // of requests from files
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
std::string body_front(const ChatOptions& options, const Json& extra, int64_t max_tokens) {
  Json body;
  body["model"] = options.model;
  body["max_tokens"] = max_tokens;
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

// Messages of a file. The tag stands in front of the first one's text.
std::optional<size_t> append_messages(Json messages, bool distinct, std::string& body) {
  static const std::string kTagMark(kTagBytes, 'x');
  bool tagged = false;
  if (distinct) {
    Json* content = &messages.front()["content"];
    if (content->is_array())
      for (Json& part : *content)
        if (part.is_object() && part.contains("text") && part["text"].is_string()) {
          content = &part["text"];
          break;
        }
    if (content->is_string()) {
      *content = concat(kTagMark, " ", content->get_ref<const std::string&>());
      tagged = true;
    }
  }
  const size_t begin = body.size();
  for (size_t i = 0; i < messages.size(); ++i) {
    if (i > 0) body += ',';
    body += messages[i].dump();
  }
  return tagged ? std::optional(body.find(kTagMark, begin)) : std::nullopt;
}

// A whole body says itself whether it streams and how many choices it wants; all must say the same,
// since answers are judged alike.
Status take_payload_shape(const Json& payload, size_t number, bool& stream, int& choices) {
  const bool its_stream = payload.value("stream", false);
  int64_t its_choices = 1;
  if (const auto n = payload.find("n"); n != payload.end() && !n->is_null()) {
    if (!n->is_number_integer() || *n < 1 || *n > kChoicesMax)
      return Error{Code::kInvalidArgument,
                   concat("payload ", number, ": n: want a whole number 1..", kChoicesMax,
                          ", found ", n->dump())};
    its_choices = n->get<int64_t>();
  }
  if (number > 0 && (its_stream != stream || its_choices != choices))
    return Error{Code::kInvalidArgument,
                 concat("payload ", number, ": want stream ", stream, " and n ", choices,
                        " as in the first, found ", its_stream, " and ", its_choices)};
  stream = its_stream;
  choices = static_cast<int>(its_choices);
  return {};
}

}  // namespace

Status check_extra(std::string_view text) {
  SIS_TRY(parse_extra(text));
  return {};
}

Status ChatWorkload::add_request(const ChatOptions& options, std::string body, size_t tag) {
  const size_t body_bytes = body.size();
  SIS_ASSIGN(std::string bytes,
             post_bytes({.url = options.url,
                         .path = options.path,
                         .api_key = options.api_key,
                         .accept = stream_ ? "text/event-stream" : "application/json",
                         .keep_alive = options.keep_alive},
                        std::move(body)));
  pool_bytes_ += bytes.size();
  if (pool_bytes_ > kInputBytesMax)
    return Error{Code::kTooLarge, concat("want at most ", kInputBytesMax >> 20,
                                         " MiB of requests; take fewer or smaller inputs")};
  const size_t tag_at = tag > 0 ? tag + bytes.size() - body_bytes : 0;
  pool_.push_back({std::move(bytes), tag_at});
  return {};
}

Result<std::unique_ptr<ChatWorkload>> ChatWorkload::create(const ChatOptions& options) {
  auto workload = std::make_unique<ChatWorkload>();
  workload->salt_ = options.salt;
  workload->stream_ = options.stream;
  Json extra = Json::object();
  if (!options.extra.empty()) {
    SIS_ASSIGN(extra, parse_extra(options.extra));
    workload->choices_ = extra.value("n", 1);
  }
  Rng rng(options.seed), prefix_rng(options.seed ^ kPrefixSeed);
  const auto front = [&] {
    return body_front(
        options, extra,
        options.output_lengths ? options.output_lengths->sample(rng) : options.max_tokens);
  };

  if (options.inputs != nullptr) {
    size_t wanted = options.inputs->size();
    if (options.requests > 0) wanted = std::min<size_t>(wanted, options.requests);
    for (size_t i = 0; i < wanted; ++i) {
      const ChatInput& input = (*options.inputs)[i];
      if (!input.payload.is_null()) {
        SIS_TRY(take_payload_shape(input.payload, i, workload->stream_, workload->choices_));
        Json body = input.payload;
        if (!body.contains("model") && !options.model.empty()) body["model"] = options.model;
        SIS_TRY(workload->add_request(options, body.dump(), 0));
        continue;
      }
      std::string body = front();
      if (!options.system.empty()) {
        append_message({.role = "system", .after = options.system}, body);
        body += ',';
      }
      const auto tag = append_messages(input.messages, options.distinct, body);
      body += "]}";
      SIS_TRY(workload->add_request(options, std::move(body), tag.value_or(0)));
    }
    return workload;
  }

  const auto groups =
      static_cast<size_t>(options.shared_prefix_words > 0 ? std::max(1, options.prefix_groups) : 1);
  size_t wanted = groups;
  if (!options.prompts.texts.empty())
    wanted = std::max(groups, options.prompts.texts.size());
  else if (options.prompts.lengths || options.output_lengths)
    wanted = std::max(groups, kPoolMax);
  if (options.requests > 0) wanted = std::min<size_t>(wanted, options.requests);

  std::vector<std::string> prefixes;
  for (size_t group = 0; group < std::min(groups, wanted); ++group) {
    prefixes.push_back(random_text(prefix_rng, options.shared_prefix_words));
    if (!prefixes.back().empty()) prefixes.back() += ' ';
  }
  const bool tag_in_system =
      options.distinct && !options.system.empty() && prefixes.front().empty();

  // All groups take part, however long their prefixes are.
  for (size_t i = 0; i < wanted && (i < groups || workload->pool_bytes_ < kPoolBytesMax); ++i) {
    std::string text = options.prompts.get(i, options.distinct, rng);
    std::string body = front();
    std::optional<size_t> tag;
    if (!options.system.empty()) {
      tag = append_message({.role = "system", .after = options.system, .tagged = tag_in_system},
                           body);
      body += ',';
    }
    const Message user{.role = "user",
                       .before = prefixes[i % prefixes.size()],
                       .after = std::move(text),
                       .tagged = options.distinct && !tag_in_system};
    if (const auto place = append_message(user, body)) tag = place;
    body += "]}";
    SIS_TRY(workload->add_request(options, std::move(body), tag.value_or(0)));
  }
  return workload;
}

std::string_view ChatWorkload::request(uint64_t index, std::string& scratch) const {
  const Prebuilt& prebuilt = pool_[index % pool_.size()];
  if (prebuilt.tag == 0) return prebuilt.bytes;
  scratch.assign(prebuilt.bytes);
  write_tag(salt_ + index, scratch.data() + prebuilt.tag);
  return scratch;
}

std::unique_ptr<Judge> ChatWorkload::make_judge() const {
  return make_chat_judge({.choices = choices_, .stream = stream_});
}

}  // namespace sis::perf
