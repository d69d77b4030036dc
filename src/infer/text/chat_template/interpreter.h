// Runs a Program on the values given to it: statements, expressions, calls.
//
// One rendering each. What the built-in filters, tests, methods and functions need from the
// template's point of view (attribute look-up, calling by name) is here as well.
#pragma once

#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "infer/text/chat_template/arguments.h"
#include "infer/text/chat_template/ast.h"
#include "infer/text/chat_template/meter.h"
#include "infer/text/chat_template/runtime_objects.h"

namespace sis::text::tmpl {

struct RunLimits {
  uint64_t steps = 0;
  uint64_t built_bytes = 0;
  size_t output_bytes = 0;
  int call_depth = 0;
  size_t stack_bytes = 0;
};

// The time for strftime_now: seconds broken down in the wanted zone, and microseconds.
struct LocalTime {
  std::tm time{};
  int microseconds = 0;
};

// The variables of one running function.
struct Frame {
  std::vector<Value> slots;
  Frame* outer = nullptr;  // of the function around it
  bool captured = false;   // a macro refers to it, so it stays until the end
};

class Interpreter {
 public:
  Interpreter(const Program& program, const RunLimits& limits, std::function<LocalTime()> now);
  ~Interpreter();

  // `find` gives render()'s value of a name, null when there is none. Throws Fault.
  std::string run(const std::function<const Value*(std::string_view)>& find);

  Meter& meter() { return meter_; }
  LocalTime now() const { return now_(); }

  Value get_attribute(const Value& owner, const Value& name);      // a.b
  Value get_own_attribute(const Value& owner, const Value& name);  // never a.['b']
  Value get_item(const Value& owner, const Value& key);            // a[b]
  Value call(const Value& callee, Arguments& arguments);
  Value call_filter(const Value& name, const Value& subject, Arguments& arguments);
  bool call_test(const Value& name, const Value& subject, Arguments& arguments);
  bool is_true(const Value& value);
  std::string str(const Value& value);
  // Namespaces can hold themselves; kept ones are emptied at the end.
  void keep(const Value& value) { kept_.push_back(value); }

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };
  class Items;

  void check_stack() const;
  void check_output();

  Flow run_block(const Block& block, Frame& frame);
  Flow run_statement(const Stmt& stmt, Frame& frame);
  void run_output(const Stmt& stmt, Frame& frame);
  Flow run_if(const Stmt& stmt, Frame& frame);
  Flow run_for(const Stmt& stmt, Frame& frame);
  // `recursion` is the frame around a recursive loop.
  Flow loop_over(const Stmt& stmt, Value items, Frame& frame, Frame* recursion, int64_t depth0);
  Value run_recursive(const Stmt& stmt, const Value& items, Frame& outer, int64_t depth0);
  void run_set(const Stmt& stmt, Frame& frame);
  // Everything printed since `begin`, taken back.
  Value take_output(size_t begin);
  Flow run_captured(const Stmt& stmt, Frame& frame);
  Flow run_with(const Stmt& stmt, Frame& frame);
  void run_call_block(const Stmt& stmt, Frame& frame);

  void enter(const std::vector<SlotInit>& enter, Frame& frame);
  void check_namespaces(const Expr& target, Frame& frame);
  void assign(const Expr& target, Value value, Frame& frame);
  Value& slot(SlotRef ref, Frame& frame);
  const Value& name(const Expr& expr, Frame& frame);

  Value eval(const Expr& expr, Frame& frame);
  Value eval_compound(const Expr& expr, Frame& frame);
  // A variable or constant without copying it, else eval() into `scratch`.
  const Value& peek(const Expr& expr, Frame& frame, Value& scratch);
  bool eval_truth(const Expr& expr, Frame& frame);
  Value eval_sum(const Expr& expr, Frame& frame);
  void print(const Expr& expr, Frame& frame);
  bool eval_compare(const Expr& expr, Frame& frame);
  Value eval_attribute(const Expr& expr, Frame& frame);
  Value eval_item(const Expr& expr, Frame& frame);
  Value eval_slice(const Expr& expr, Frame& frame);
  Value eval_call(const Expr& expr, Frame& frame, const Value* caller);
  // `captured` is the subject of the innermost filter in blocks.
  Value eval_filter(const Expr& expr, Frame& frame, const Value* captured);
  bool eval_test(const Expr& expr, Frame& frame);
  void eval_arguments(const CallSyntax& syntax, Frame& frame, Arguments& arguments);

  Value make_macro(const Stmt& stmt, Frame& frame);
  Value call_macro(const MacroObject& macro, Arguments& arguments);
  Frame& open_frame(const Function& function, Frame* outer);
  void close_frame(Frame& frame);

  const Program& program_;
  const RunLimits limits_;
  const std::function<LocalTime()> now_;
  Meter meter_;
  std::string out_;
  std::vector<Value> context_;
  std::deque<Frame> frames_;
  std::vector<Frame*> free_frames_;
  std::vector<Value> kept_;
  uint32_t line_ = 0;  // of what is being run, for faults
  int call_depth_ = 0;
  const char* stack_base_ = nullptr;
};

}  // namespace sis::text::tmpl
