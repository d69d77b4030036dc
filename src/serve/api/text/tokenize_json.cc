#include "serve/api/text/tokenize_json.h"

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/json_text.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

Result<std::string> text_of(const element& value, const std::string& param) {
  std::string_view text;
  if (value.get_string().get(text))
    return invalid(concat(param, ": want a string, got ", json_kind(value)), param);
  return std::string(text);
}

Status read_flag(const object& body, const char* key, bool& flag) {
  element value;
  if (body.at_key(key).get(value) || value.is_null()) return {};
  const auto read = lenient_bool(value);
  if (!read) return invalid(concat(key, ": want true or false, got ", json_kind(value)), key);
  flag = *read;
  return {};
}

Status read_model(const object& body, std::string& model) {
  element value;
  if (body.at_key("model").get(value) || value.is_null()) return {};
  SIS_ASSIGN(model, text_of(value, "model"));
  return {};
}

Status read_inputs(const element& inputs, int64_t texts_max, std::vector<std::string>& texts) {
  if (!inputs.is_array()) {
    SIS_ASSIGN(auto text, text_of(inputs, "inputs"));
    texts.push_back(std::move(text));
    return {};
  }
  const auto array = inputs.get_array().value_unsafe();
  if (array.size() == 0) return invalid("inputs is an empty array", "inputs");
  if (static_cast<int64_t>(array.size()) > texts_max)
    return invalid(concat("inputs has ", array.size(), " texts, at most ", texts_max,
                          " are allowed per request (MAX_BATCH_SIZE)"),
                   "inputs");
  for (const element item : array) {
    SIS_ASSIGN(auto text, text_of(item, concat("inputs[", texts.size(), "]")));
    texts.push_back(std::move(text));
  }
  return {};
}

// Before a tokenizer sees them: its time and memory grow with them.
Status check_chars(const std::vector<std::string>& texts, const char* param,
                   const TextLimits& limits) {
  int64_t bytes = 0, chars = 0;
  for (const auto& text : texts) bytes += static_cast<int64_t>(text.size());
  if (bytes <= limits.chars_max) return {};
  for (const auto& text : texts) chars += count_code_points(text);
  if (chars <= limits.chars_max) return {};
  return invalid(concat(param, " has ", chars, " characters, at most ", limits.chars_max,
                        " are allowed per request (TOKENIZE_MAX_CHARS)"),
                 param);
}

void append_ids(std::string& out, const std::vector<int32_t>& ids) {
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    append_int(out, ids[i]);
  }
  out += ']';
}

// The token as the vocabulary writes it.
std::string_view token_text(const tasks::TextModel& model, int32_t id) {
  return model.tokenizer->id_to_token(id);
}

void write_prompt_answer(std::string& out, const TokenizeCall& call,
                         const tasks::TextModel& model) {
  const auto ids =
      model.tokenizer->encode(call.texts[0], {.add_special_tokens = call.add_special_tokens}).ids;
  out += R"({"count":)";
  append_int(out, static_cast<int64_t>(ids.size()));
  out += R"(,"max_model_len":)";
  append_int(out, model.tokens_max);
  out += R"(,"tokens":)";
  append_ids(out, ids);
  out += R"(,"token_strs":)";
  if (call.with_pieces) {
    out += '[';
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out += ',';
      telemetry::append_json_string(out, token_text(model, ids[i]));
    }
    out += "]}";
  } else {
    out += "null}";
  }
}

void write_content_answer(std::string& out, const TokenizeCall& call,
                          const tasks::TextModel& model) {
  const auto encoding = model.tokenizer->encode(
      call.texts[0],
      {.add_special_tokens = call.add_special_tokens, .with_offsets = call.with_pieces});
  out += R"({"tokens":)";
  if (!call.with_pieces) {
    append_ids(out, encoding.ids);
    out += '}';
    return;
  }
  out += '[';
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (i > 0) out += ',';
    out += R"({"id":)";
    append_int(out, encoding.ids[i]);
    out += R"(,"piece":)";
    // What the token covers; tokens that cover nothing stand for themselves.
    const auto [begin, end] = encoding.offsets[i];
    const std::string_view piece = std::string_view(call.texts[0]).substr(begin, end - begin);
    telemetry::append_json_string(out, piece.empty() ? token_text(model, encoding.ids[i]) : piece);
    out += '}';
  }
  out += "]}";
}

// TEI counts characters, not bytes.
void write_inputs_answer(std::string& out, const TokenizeCall& call,
                         const tasks::TextModel& model) {
  out += '[';
  for (size_t t = 0; t < call.texts.size(); ++t) {
    const std::string_view text = call.texts[t];
    const auto encoding = model.tokenizer->encode(
        text, {.add_special_tokens = call.add_special_tokens, .with_offsets = true});
    out += t > 0 ? ",[" : "[";
    int64_t chars = 0;
    int32_t counted = 0;
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      const auto [begin, end] = encoding.offsets[i];
      // Covers no text, and decoding would leave it out.
      const bool special = begin == end && !model.tokenizer->token_to_decode(
                                               encoding.ids[i], /*skip_special_tokens=*/true);
      out += i > 0 ? R"(,{"id":)" : R"({"id":)";
      append_int(out, encoding.ids[i]);
      out += R"(,"text":)";
      telemetry::append_json_string(
          out, special ? token_text(model, encoding.ids[i]) : text.substr(begin, end - begin));
      if (special) {
        out += R"(,"special":true,"start":null,"stop":null})";
        continue;
      }
      if (begin < counted) chars = counted = 0;  // byte tokens share a character
      chars += count_code_points(text.substr(counted, begin - counted));
      counted = begin;
      out += R"(,"special":false,"start":)";
      append_int(out, chars);
      out += R"(,"stop":)";
      append_int(out, chars + count_code_points(text.substr(begin, end - begin)));
      out += '}';
    }
    out += ']';
  }
  out += ']';
}

}  // namespace

Status check_prompt(std::string_view prompt, const TextLimits& limits) {
  if (static_cast<int64_t>(prompt.size()) <= limits.chars_max) return {};
  const int64_t chars = count_code_points(prompt);
  if (chars <= limits.chars_max) return {};
  return invalid(concat("messages make a prompt of ", chars, " characters, at most ",
                        limits.chars_max, " are allowed per request (TOKENIZE_MAX_CHARS)"),
                 "messages");
}

Result<TokenizeCall> parse_tokenize(std::string_view body, const TextLimits& limits) {
  SIS_ASSIGN(const object fields, parse_body(body));
  TokenizeCall call;
  SIS_TRY(read_model(fields, call.model));
  element text;
  if (!fields.at_key("prompt").get(text)) {
    call.shape = TokenizeShape::kPrompt;
    SIS_ASSIGN(auto prompt, text_of(text, "prompt"));
    call.texts.push_back(std::move(prompt));
    SIS_TRY(check_chars(call.texts, "prompt", limits));
    SIS_TRY(read_flag(fields, "add_special_tokens", call.add_special_tokens));
    SIS_TRY(read_flag(fields, "return_token_strs", call.with_pieces));
    return call;
  }
  if (!fields.at_key("messages").get(text)) {
    call.add_special_tokens = false;  // templates write their own
    SIS_TRY(read_flag(fields, "add_special_tokens", call.add_special_tokens));
    SIS_TRY(read_flag(fields, "return_token_strs", call.with_pieces));
    SIS_ASSIGN(call.conversation, tasks::parse_conversation(body));
    return call;
  }
  if (!fields.at_key("content").get(text)) {
    call.shape = TokenizeShape::kContent;
    SIS_ASSIGN(auto content, text_of(text, "content"));
    call.texts.push_back(std::move(content));
    SIS_TRY(check_chars(call.texts, "content", limits));
    call.add_special_tokens = false;
    bool parse_special = true;
    SIS_TRY(read_flag(fields, "add_special", call.add_special_tokens));
    SIS_TRY(read_flag(fields, "with_pieces", call.with_pieces));
    SIS_TRY(read_flag(fields, "parse_special", parse_special));
    if (!parse_special)
      return invalid("parse_special: false is not supported, special tokens are always found",
                     "parse_special");
    return call;
  }
  if (!fields.at_key("inputs").get(text)) {
    call.shape = TokenizeShape::kInputs;
    SIS_TRY(read_inputs(text, limits.texts_max, call.texts));
    SIS_TRY(check_chars(call.texts, "inputs", limits));
    SIS_TRY(read_flag(fields, "add_special_tokens", call.add_special_tokens));
    return call;
  }
  return invalid("want one of 'prompt', 'messages', 'content' or 'inputs'", "prompt");
}

Result<DetokenizeCall> parse_detokenize(std::string_view body, const TextLimits& limits) {
  SIS_ASSIGN(const object fields, parse_body(body));
  DetokenizeCall call;
  SIS_TRY(read_model(fields, call.model));
  element tokens;
  const char* key = "tokens";
  if (fields.at_key(key).get(tokens)) {
    key = "ids";
    call.tei = call.skip_special_tokens = true;
    if (fields.at_key(key).get(tokens)) return invalid("tokens is missing", "tokens");
  }
  SIS_TRY(read_flag(fields, "skip_special_tokens", call.skip_special_tokens));
  simdjson::dom::array array;
  if (tokens.get_array().get(array))
    return invalid(concat(key, ": want an array of token ids, got ", json_kind(tokens)), key);
  int64_t ids_left = limits.chars_max;
  const auto take_ids = [&](const simdjson::dom::array& ids) -> Status {
    ids_left -= static_cast<int64_t>(ids.size());
    if (ids_left >= 0) return {};
    return invalid(concat(key, ": at most ", limits.chars_max,
                          " ids are allowed per request (TOKENIZE_MAX_CHARS), got at least ",
                          limits.chars_max - ids_left),
                   key);
  };
  const bool nested = call.tei && array.size() > 0 && (*array.begin()).is_array();
  if (!nested) {
    SIS_TRY(take_ids(array));
    call.ids.emplace_back();
    if (array.size() > 0) {
      SIS_ASSIGN(call.ids.back(), token_ids(array, key));
    }
    return call;
  }
  if (static_cast<int64_t>(array.size()) > limits.texts_max)
    return invalid(concat(key, " has ", array.size(), " rows, at most ", limits.texts_max,
                          " are allowed per request (MAX_BATCH_SIZE)"),
                   key);
  for (const element row : array) {
    const std::string param = concat(key, "[", call.ids.size(), "]");
    simdjson::dom::array inner;
    if (row.get_array().get(inner))
      return invalid(concat(param, ": want an array of token ids, got ", json_kind(row)), param);
    SIS_TRY(take_ids(inner));
    SIS_ASSIGN(auto ids, token_ids(inner, param));
    call.ids.push_back(std::move(ids));
  }
  return call;
}

Result<std::string> run_tokenize(TokenizeCall call, const tasks::TextModel& model,
                                 const TextLimits& limits) {
  if (call.conversation) {
    SIS_ASSIGN(auto prompt, tasks::render_conversation(*call.conversation, model));
    SIS_TRY(check_prompt(prompt, limits));
    call.texts = {std::move(prompt)};
  }
  std::string out;
  switch (call.shape) {
    case TokenizeShape::kPrompt:
      write_prompt_answer(out, call, model);
      break;
    case TokenizeShape::kContent:
      write_content_answer(out, call, model);
      break;
    case TokenizeShape::kInputs:
      write_inputs_answer(out, call, model);
      break;
  }
  return out;
}

Result<std::string> run_detokenize(const DetokenizeCall& call, const tasks::TextModel& model) {
  std::vector<std::string> texts;
  for (const auto& ids : call.ids) {
    for (const int32_t id : ids)
      if (model.tokenizer->id_to_token(id).empty())
        return invalid(concat("tokens: ", in_quotes(model.name), " has no token ", id), "tokens");
    texts.push_back(model.tokenizer->decode(ids, call.skip_special_tokens));
  }
  std::string out;
  if (call.tei) {
    out += '[';
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) out += ',';
      telemetry::append_json_string(out, texts[i]);
    }
    out += ']';
    return out;
  }
  // vLLM's clients read "prompt", llama-server's read "content".
  out += R"({"prompt":)";
  telemetry::append_json_string(out, texts[0]);
  out += R"(,"content":)";
  telemetry::append_json_string(out, texts[0]);
  out += '}';
  return out;
}

}  // namespace sis::api
