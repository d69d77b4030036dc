// POST /v1/chat/completions: the body's JSON to a native request.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serve/api/openai/chat_fields.h"
#include "serve/tasks/generate.h"

namespace sis::api {

// A model by its name in the request, with what parsing must know of it.
struct FoundModel {
  ModelFacts facts;
  const tasks::TextModel* text = nullptr;  // null: it has no chat-completion capability
};
// kNotFound when there is none by this name.
using FindModel = std::function<Result<FoundModel>(const std::string& name)>;

struct ChatCall {
  std::string model;
  GenerateFields fields;
};

// Every field of the API is honoured, accepted without effect where it has none on the answer, or
// refused: kInvalidArgument with the field in `param`. Unknown fields are refused only when
// `strict_fields`. null means absent. `body` is valid for reads up to 64 bytes past its end
// (simdjson). The order is the API's: an object -> model -> the model exists -> fields -> messages.
Result<ChatCall> parse_chat_call(std::string_view body, bool strict_fields,
                                 const FindModel& find_model);

// The first part of it, for any route: the body as an object, its model found.
struct BodyWithModel {
  simdjson::dom::object object;
  std::string model;
  FoundModel found;
};
Result<BodyWithModel> parse_body_with_model(std::string_view body, const FindModel& find_model);
// The same of a body that is parsed already.
Result<BodyWithModel> find_body_model(const simdjson::dom::object& fields,
                                      const FindModel& find_model);

}  // namespace sis::api
