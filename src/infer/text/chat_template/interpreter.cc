#include "infer/text/chat_template/interpreter.h"

#include "infer/text/chat_template/globals.h"
#include "infer/text/chat_template/operators.h"
#include "infer/text/chat_template/python_text.h"
#include "infer/text/chat_template/unicode.h"

namespace sis::text::tmpl {

Interpreter::Interpreter(const Program& program, const RunLimits& limits,
                         std::function<LocalTime()> now)
    : program_(program),
      limits_(limits),
      now_(std::move(now)),
      meter_(limits.steps, limits.built_bytes) {}

Interpreter::~Interpreter() {
  // Whatever may refer to itself lets go first.
  for (Value& value : kept_)
    if (value.is(Kind::kNamespace)) {
      Value::Entries entries;
      entries.swap(value.as<NamespaceObject>().entries);
    }
  for (Frame& frame : frames_) frame.slots.clear();
}

std::string Interpreter::run(const std::function<const Value*(std::string_view)>& find) {
  stack_base_ = static_cast<const char*>(__builtin_frame_address(0));
  context_.reserve(program_.context_names.size());
  for (const Value& name : program_.context_names) {
    const Value* given = find(name.text());
    context_.push_back(given != nullptr ? *given : find_global(name.text()));
  }
  out_.reserve(program_.text_bytes + 4096);
  try {
    Frame& frame = open_frame(program_.root, nullptr);
    enter(program_.root.enter, frame);
    run_block(program_.body, frame);
  } catch (Fault& fault) {
    if (fault.line == 0) fault.line = line_;
    throw;
  }
  return std::move(out_);
}

bool Interpreter::is_true(const Value& value) { return truthy(value, meter_); }

std::string Interpreter::str(const Value& value) {
  std::string out;
  append_str(out, value, meter_);
  return out;
}

void Interpreter::check_stack() const {
  const auto* here = static_cast<const char*>(__builtin_frame_address(0));
  if (static_cast<size_t>(stack_base_ - here) > limits_.stack_bytes) [[unlikely]]
    fail_limit("the template calls itself too deeply");
}

void Interpreter::check_output() {
  if (out_.size() > limits_.output_bytes) [[unlikely]]
    fail_limit(concat("the output is longer than ", limits_.output_bytes, " bytes"));
}

Value Interpreter::take_output(size_t begin) {
  std::string text = out_.substr(begin);
  out_.resize(begin);
  return make_string(std::move(text), meter_);
}

Frame& Interpreter::open_frame(const Function& function, Frame* outer) {
  meter_.values(function.slot_count + 1);
  Frame* frame = nullptr;
  if (free_frames_.empty()) {
    frame = &frames_.emplace_back();
  } else {
    frame = free_frames_.back();
    free_frames_.pop_back();
  }
  frame->slots.resize(function.slot_count);
  frame->outer = outer;
  return *frame;
}

void Interpreter::close_frame(Frame& frame) {
  if (frame.captured) return;
  frame.slots.clear();
  free_frames_.push_back(&frame);
}

Value& Interpreter::slot(SlotRef ref, Frame& frame) {
  if (ref.hops == SlotRef::kContext) return context_[ref.index];
  Frame* at = &frame;
  for (uint32_t i = 0; i < ref.hops; ++i) at = at->outer;
  return at->slots[ref.index];
}

void Interpreter::enter(const std::vector<SlotInit>& enter, Frame& frame) {
  for (const SlotInit& init : enter)
    frame.slots[init.slot] =
        init.from == SlotInit::kOuter ? Value(slot(init.outer, frame)) : Value();
}

// ---- statements

Interpreter::Flow Interpreter::run_block(const Block& block, Frame& frame) {
  for (const Stmt* stmt : block)
    if (const Flow flow = run_statement(*stmt, frame); flow != Flow::kNormal) return flow;
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& stmt, Frame& frame) {
  meter_.steps();
  line_ = stmt.line;
  switch (stmt.kind) {
    case StmtKind::kOutput:
      run_output(stmt, frame);
      return Flow::kNormal;
    case StmtKind::kIf:
      return run_if(stmt, frame);
    case StmtKind::kFor:
      return run_for(stmt, frame);
    case StmtKind::kSet:
      run_set(stmt, frame);
      return Flow::kNormal;
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock:
      return run_captured(stmt, frame);
    case StmtKind::kMacro:
      slot(stmt.target->slot, frame) = make_macro(stmt, frame);
      return Flow::kNormal;
    case StmtKind::kCallBlock:
      run_call_block(stmt, frame);
      return Flow::kNormal;
    case StmtKind::kGeneration: {
      Arguments none;
      Value body = make_macro(stmt, frame);
      out_ += call_macro(body.as<MacroObject>(), none).text();
      check_output();
      return Flow::kNormal;
    }
    case StmtKind::kWith:
      return run_with(stmt, frame);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

void Interpreter::run_output(const Stmt& stmt, Frame& frame) {
  for (const OutputPart& part : stmt.parts) {
    if (part.expr == nullptr) {
      out_ += part.text;
    } else {
      line_ = part.expr->line;
      print(*part.expr, frame);
    }
    check_output();
  }
}

Interpreter::Flow Interpreter::run_if(const Stmt& stmt, Frame& frame) {
  for (const auto& [test, body] : stmt.branches) {
    if (test != nullptr) {
      line_ = test->line;
      if (!eval_truth(*test, frame)) continue;
    }
    check_stack();
    return run_block(body, frame);
  }
  return Flow::kNormal;
}

// A loop's items, filtered as they are asked for.
class Interpreter::Items final : public LoopSource {
 public:
  Items(Interpreter& interpreter, const Stmt& stmt, Value from, Frame& frame)
      : interpreter_(interpreter), stmt_(stmt), from_(std::move(from)), frame_(frame) {
    if (from_.is_sequence()) {
      list_ = &from_.items();
    } else if (!from_.is(Kind::kIterator) && !from_.is(Kind::kRange)) {
      own_ = iterate(from_, interpreter_.meter());
      list_ = &own_;
    }
    if (stmt_.test != nullptr) interpreter_.enter(stmt_.enter_test, frame_);
  }

  bool next(Value& out) override {
    while (pull(out)) {
      interpreter_.meter().steps();
      if (stmt_.test == nullptr) return true;
      interpreter_.assign(*stmt_.test_target, out, frame_);
      if (!interpreter_.eval_truth(*stmt_.test, frame_)) continue;
      // What was unpacked for the filter goes on as a tuple.
      if (stmt_.test_target->kind == ExprKind::kTuple)
        out = interpreter_.eval(*stmt_.test_target, frame_);
      return true;
    }
    return false;
  }

  int64_t size() const override {
    if (stmt_.test != nullptr || from_.is(Kind::kIterator)) return -1;
    return list_ != nullptr ? static_cast<int64_t>(list_->size()) : length(from_);
  }

 private:
  bool pull(Value& out) {
    if (list_ != nullptr) {
      if (at_ == list_->size()) return false;
      out = (*list_)[at_++];
      return true;
    }
    if (from_.is(Kind::kIterator)) return from_.as<IteratorObject>().next(out);
    const auto& range = from_.as<RangeObject>();
    if (static_cast<int64_t>(at_) == range.size()) return false;
    out = range.at(static_cast<int64_t>(at_++));
    return true;
  }

  Interpreter& interpreter_;
  const Stmt& stmt_;
  const Value from_;
  Frame& frame_;
  Value::Items own_;
  const Value::Items* list_ = nullptr;
  size_t at_ = 0;
};

Interpreter::Flow Interpreter::run_for(const Stmt& stmt, Frame& frame) {
  Value items = eval(*stmt.value, frame);
  check_stack();
  if (!stmt.recursive) return loop_over(stmt, std::move(items), frame, nullptr, 0);
  out_ += run_recursive(stmt, items, frame, 0).text();
  check_output();
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::loop_over(const Stmt& stmt, Value items, Frame& frame,
                                         Frame* recursion, int64_t depth0) {
  Items source(*this, stmt, std::move(items), frame);
  bool finished_one = false;
  const auto turn = [&](Value item) {
    assign(*stmt.target, std::move(item), frame);
    enter(stmt.enter, frame);
    const Flow flow = run_block(stmt.body, frame);
    finished_one = finished_one || flow == Flow::kNormal;
    return flow != Flow::kBreak;
  };
  if (stmt.wants_loop) {
    auto* loop = new LoopObject(source);
    const Value holder = Value::adopt(loop);
    loop->recursive = recursion != nullptr ? &stmt : nullptr;
    loop->outer = recursion;
    loop->depth0 = depth0;
    // The source is a local, so a loop that was kept somewhere must forget it, come what may.
    struct Ending {
      ~Ending() {
        loop.source = nullptr;
        loop.changed_from.reset();
      }
      LoopObject& loop;
    } ending{*loop};
    while (loop->advance()) {
      frame.slots[stmt.loop_slot] = holder;
      if (!turn(loop->current)) break;
    }
  } else {
    for (Value item; source.next(item);)
      if (!turn(std::move(item))) break;
  }
  // As in Jinja: also when every turn was left early.
  if (finished_one || stmt.otherwise.empty()) return Flow::kNormal;
  enter(stmt.enter_otherwise, frame);
  return run_block(stmt.otherwise, frame);
}

Value Interpreter::run_recursive(const Stmt& stmt, const Value& items, Frame& outer,
                                 int64_t depth0) {
  if (++call_depth_ > limits_.call_depth)
    fail_limit(concat("calls are nested deeper than ", limits_.call_depth));
  check_stack();
  outer.captured = true;
  Frame& frame = open_frame(*stmt.function, &outer);
  const size_t begin = out_.size();
  const uint32_t line = line_;
  loop_over(stmt, items, frame, &outer, depth0);
  line_ = line;
  close_frame(frame);
  --call_depth_;
  return take_output(begin);
}

void Interpreter::check_namespaces(const Expr& target, Frame& frame) {
  if (target.kind == ExprKind::kTuple)
    for (const Expr* child : target.children) check_namespaces(*child, frame);
  if (target.kind == ExprKind::kNsRef && !name(*target.children[0], frame).is(Kind::kNamespace))
    fail("cannot assign attribute on non-namespace object");
}

void Interpreter::assign(const Expr& target, Value value, Frame& frame) {
  if (target.kind == ExprKind::kName) {
    slot(target.slot, frame) = std::move(value);
    return;
  }
  if (target.kind == ExprKind::kNsRef) {
    const Value& owner = name(*target.children[0], frame);
    if (!owner.is(Kind::kNamespace)) fail("cannot assign attribute on non-namespace object");
    if (target.value.text().starts_with('_'))
      fail("names of a namespace's attributes may not begin with an underscore, found '",
           target.value.text(), "'");
    meter_.values(2);
    owner.as<NamespaceObject>().set(target.value, std::move(value));
    return;
  }
  if (value.is_undefined() || !is_iterable(value)) {
    want_defined(value);
    fail("cannot unpack non-iterable ", type_name(value), " object");
  }
  Value::Items items = iterate(value, meter_);
  const size_t want = target.children.size();
  if (items.size() < want)
    fail("not enough values to unpack (expected ", want, ", got ", items.size(), ")");
  if (items.size() > want) fail("too many values to unpack (expected ", want, ")");
  for (size_t i = 0; i < want; ++i) assign(*target.children[i], std::move(items[i]), frame);
}

void Interpreter::run_set(const Stmt& stmt, Frame& frame) {
  if (stmt.target->kind != ExprKind::kName) check_namespaces(*stmt.target, frame);
  assign(*stmt.target, eval(*stmt.value, frame), frame);
}

Interpreter::Flow Interpreter::run_captured(const Stmt& stmt, Frame& frame) {
  enter(stmt.enter, frame);
  check_stack();
  const size_t begin = out_.size();
  const Flow flow = run_block(stmt.body, frame);
  Value text = take_output(begin);
  // Leaving a loop from inside loses what was captured.
  if (flow != Flow::kNormal) return flow;
  line_ = stmt.line;
  if (stmt.filter != nullptr) text = eval_filter(*stmt.filter, frame, &text);
  if (stmt.kind == StmtKind::kSetBlock) {
    assign(*stmt.target, std::move(text), frame);
  } else {
    append_str(out_, text, meter_);
    check_output();
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_with(const Stmt& stmt, Frame& frame) {
  enter(stmt.enter, frame);
  check_stack();
  for (const auto& [target, value] : stmt.bindings) assign(*target, eval(*value, frame), frame);
  return run_block(stmt.body, frame);
}

void Interpreter::run_call_block(const Stmt& stmt, Frame& frame) {
  const Value caller = make_macro(stmt, frame);
  append_str(out_, eval_call(*stmt.value, frame, &caller), meter_);
  check_output();
}

// ---- macros

Value Interpreter::make_macro(const Stmt& stmt, Frame& frame) {
  frame.captured = true;
  meter_.values(4);
  return Value::adopt(new MacroObject(stmt, frame));
}

Value Interpreter::call_macro(const MacroObject& macro, Arguments& arguments) {
  const Function& function = *macro.stmt.function;
  if (++call_depth_ > limits_.call_depth)
    fail_limit(concat("calls are nested deeper than ", limits_.call_depth));
  check_stack();
  Frame& frame = open_frame(function, &macro.frame);
  const size_t given = arguments.positional.size(), wanted = function.parameters.size();
  const auto take_named = [&](std::string_view name, Value& into) {
    for (auto at = arguments.named.begin(); at != arguments.named.end(); ++at)
      if (at->first.text() == name) {
        into = std::move(at->second);
        arguments.named.erase(at);
        return true;
      }
    return false;
  };
  boost::container::small_vector<bool, 8> is_given(wanted, false);
  bool found_caller = given >= wanted && function.explicit_caller;
  for (size_t i = 0; i < wanted; ++i) {
    const Parameter& parameter = function.parameters[i];
    Value& variable = frame.slots[parameter.target->slot.index];
    if (i < given) {
      variable = arguments.positional[i];
      is_given[i] = true;
    } else {
      is_given[i] = take_named(parameter.name.text(), variable);
      if (parameter.name.text() == "caller") found_caller = true;
    }
  }
  const std::string_view shown = macro.name();
  if (function.wants_caller && !found_caller) {
    Value caller;
    if (!take_named("caller", caller) || caller.is(Kind::kNone))
      caller = undefined_hint("No caller defined");
    frame.slots[function.caller_slot] = std::move(caller);
  }
  if (function.wants_named) {
    Value::Entries entries;
    for (auto& [name, value] : arguments.named) entries.emplace_back(name, std::move(value));
    frame.slots[function.named_slot] = make_dict(std::move(entries), meter_);
  } else if (!arguments.named.empty()) {
    if (arguments.find("caller") != nullptr)
      fail("macro '", shown, "' was invoked with two values for the special caller argument");
    fail("macro '", shown, "' takes no keyword argument '", arguments.named[0].first.text(), "'");
  }
  if (function.wants_positional) {
    Value::Items rest;
    for (size_t i = wanted; i < given; ++i) rest.push_back(arguments.positional[i]);
    frame.slots[function.positional_slot] = make_tuple(std::move(rest), meter_);
  } else if (given > wanted) {
    fail("macro '", shown, "' takes not more than ", wanted, " argument(s)");
  }
  enter(function.enter, frame);
  for (size_t i = 0; i < wanted; ++i) {
    if (is_given[i]) continue;
    const Parameter& parameter = function.parameters[i];
    Value fallback =
        parameter.fallback != nullptr ? eval(*parameter.fallback, frame) : parameter.undefined;
    frame.slots[parameter.target->slot.index] = std::move(fallback);
  }
  const size_t begin = out_.size();
  const uint32_t line = line_;
  run_block(macro.stmt.body, frame);
  line_ = line;
  close_frame(frame);
  --call_depth_;
  return take_output(begin);
}

}  // namespace sis::text::tmpl
