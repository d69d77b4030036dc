// POST /tokenize, /detokenize, /decode: three servers' request shapes to one native call, and back.
//
//   vLLM          {"prompt": "..."} or {"messages": [...]} ->
//   {"count","max_model_len","tokens","token_strs"} llama-server  {"content": "..."} -> {"tokens":
//   [1, 2] | [{"id","piece"}]} TEI           {"inputs": "..." | ["..."]} ->
//   [[{"id","text","special","start","stop"}]]
//
// The field that carries the text tells which one speaks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/tasks/conversation.h"
#include "serve/tasks/text_model.h"

namespace sis::api {

// Of one request.
struct TextLimits {
  int64_t texts_max = 32;         // texts, or rows of ids
  int64_t chars_max = 1'000'000;  // code points of all texts or of the rendered prompt; ids
};

enum class TokenizeShape : uint8_t { kPrompt, kContent, kInputs };

struct TokenizeCall {
  TokenizeShape shape = TokenizeShape::kPrompt;
  std::string model;  // empty: the first loaded
  std::vector<std::string> texts;
  std::optional<tasks::Conversation> conversation;  // in the place of the one text
  bool add_special_tokens = true;
  bool with_pieces = false;  // the tokens' texts as well (return_token_strs, with_pieces)
};

struct DetokenizeCall {
  bool tei = false;  // {"ids": ...} -> ["..."]
  std::string model;
  std::vector<std::vector<int32_t>> ids;
  bool skip_special_tokens = false;
};

// Faults are kInvalidArgument with the field in `param`.
Result<TokenizeCall> parse_tokenize(std::string_view body, const TextLimits& limits);
Result<DetokenizeCall> parse_detokenize(std::string_view body, const TextLimits& limits);

// What a conversation became. kInvalidArgument when it is too long.
Status check_prompt(std::string_view prompt, const TextLimits& limits);

// Runs the call; kInvalidArgument for ids the model does not have and for conversations it cannot
// render or that become too long.
Result<std::string> run_tokenize(TokenizeCall call, const tasks::TextModel& model,
                                 const TextLimits& limits);
Result<std::string> run_detokenize(const DetokenizeCall& call, const tasks::TextModel& model);

}  // namespace sis::api
