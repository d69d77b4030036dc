#include "infer/text/chat_template/chat_template.h"

#include <chrono>
#include <new>

#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/parser.h"
#include "infer/text/chat_template/scopes.h"

namespace sis::text {
namespace {

Error error_of(const tmpl::Fault& fault) {
  const std::string place =
      fault.line != 0 ? concat("chat template, line ", fault.line, ": ") : "chat template: ";
  return Error{fault.code, place + fault.message};
}

tmpl::LocalTime system_time() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  tmpl::LocalTime local;
  localtime_r(&seconds, &local.time);
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  local.microseconds = static_cast<int>(since.count() % 1'000'000);
  return local;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const TemplateLimits& limits) {
  try {
    auto program =
        tmpl::parse_program(source, {.source_bytes = limits.source_bytes, .tokens = limits.tokens});
    tmpl::resolve_names(*program);
    program->seal();
    ChatTemplate made;
    made.source_ = source;
    made.program_ = std::move(program);
    return made;
  } catch (const tmpl::Fault& fault) {
    return error_of(fault);
  }
}

Result<std::string> ChatTemplate::render(const tmpl::Value& context,
                                         const RenderOptions& options) const {
  if (!context.is(tmpl::Kind::kDict))
    return Error{Code::kInvalidArgument, concat("chat template: want a dict of variables, found ",
                                                tmpl::type_name(context))};
  if (context.depth() > tmpl::kValueDepthMax)
    return Error{Code::kTooLarge, concat("chat template: the variables are nested deeper than ",
                                         tmpl::kValueDepthMax, " levels")};
  try {
    tmpl::Interpreter interpreter(*program_,
                                  {.steps = options.limits.steps,
                                   .built_bytes = options.limits.built_bytes,
                                   .output_bytes = options.limits.output_bytes,
                                   .call_depth = options.limits.call_depth,
                                   .stack_bytes = options.limits.stack_bytes},
                                  options.now ? options.now : system_time);
    return interpreter.run([&](std::string_view name) { return context.as_dict().find(name); });
  } catch (const tmpl::Fault& fault) {
    return error_of(fault);
  } catch (const std::bad_alloc&) {
    return Error{Code::kTooLarge, "chat template: out of memory"};
  }
}

}  // namespace sis::text
