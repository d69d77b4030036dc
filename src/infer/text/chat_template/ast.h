// A parsed template: statements and expressions with every variable resolved to a slot.
//
// Built by the parser, completed by resolve_names() (scopes.h), read-only afterwards and shared by
// all renderings. Nodes belong to the Program.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

struct FilterEntry;
struct TestEntry;

// Where a variable lives: in the frame of the function `hops` function definitions further out, or
// among the values given to render().
struct SlotRef {
  static constexpr uint32_t kContext = UINT32_MAX;
  uint32_t hops = 0;
  uint32_t index = 0;
};

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kTuple,
  kList,
  kDict,    // children: key, value, key, value, ...
  kSum,     // children: a + b + c, computed from the left
  kBinary,  // children: left, right
  kUnary,   // children: operand
  kNot,
  kAnd,
  kOr,
  kCompare,  // children: a, b, c with ops between
  kConcat,   // a ~ b ~ c
  kCond,     // children: test, then, else (which may be null)
  kGetattr,  // children: owner; value: the name
  kGetitem,  // children: owner, key
  kSlice,    // children: owner, start, stop, step (which may be null)
  kCall,     // children: callee
  kFilter,   // children: subject (null in blocks); value: the name
  kTest,     // children: subject; value: the name
  kNsRef,    // target only: a namespace's attribute; value: the attribute
};

enum class Op : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow, kNeg, kPos };
enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expr;

struct CallSyntax {
  std::vector<Expr*> positional;
  std::vector<std::pair<Value, Expr*>> named;
  Expr* more_positional = nullptr;  // *x
  Expr* more_named = nullptr;       // **x
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  Op op = Op::kAdd;
  bool stores = false;       // a kName that is assigned to
  bool dict_member = false;  // a kGetattr whose name every dict has: .items, .get
  uint16_t height = 1;       // of the tree below
  uint32_t line = 0;
  Value value;      // a constant, or a name
  Value undefined;  // what a missing variable gives; of kGetattr, for a dict without the key
  SlotRef slot;     // of kName and kNsRef
  std::vector<Expr*> children;
  std::vector<CompareOp> compares;
  std::unique_ptr<CallSyntax> call;
  const FilterEntry* filter = nullptr;
  const TestEntry* test = nullptr;
};

enum class StmtKind : uint8_t {
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kGeneration,  // a call block whose caller is printed at once
  kFilterBlock,
  kWith,
  kBreak,
  kContinue,
};

struct Stmt;
using Block = std::vector<Stmt*>;

struct OutputPart {
  std::string text;
  Expr* expr = nullptr;  // null: print the text
};

// What entering a scope does to one slot of the frame.
struct SlotInit {
  enum From : uint8_t { kNothing, kOuter };
  uint32_t slot = 0;
  From from = kNothing;
  SlotRef outer;  // of kOuter
};

struct Function;

struct Stmt {
  StmtKind kind = StmtKind::kOutput;
  uint32_t line = 0;
  std::vector<OutputPart> parts;  // kOutput
  // kIf: tests and branches (the last may have no test); kWith: targets and values
  std::vector<std::pair<Expr*, Block>> branches;
  std::vector<std::pair<Expr*, Expr*>> bindings;
  Expr* target = nullptr;  // kFor, kSet, kSetBlock, kMacro (a name)
  Expr* value = nullptr;   // kFor: what to loop over; kSet; kCallBlock: the call
  Expr* test = nullptr;    // kFor: the filter
  Expr* filter = nullptr;  // kSetBlock, kFilterBlock: innermost subject is null
  Block body;
  Block otherwise;  // kFor
  bool recursive = false;
  bool wants_loop = false;  // the body mentions `loop`
  uint32_t loop_slot = 0;
  std::vector<SlotInit> enter;            // kFor: before each turn; others: before the body
  std::vector<SlotInit> enter_otherwise;  // kFor
  std::vector<SlotInit> enter_test;       // kFor
  Expr* test_target = nullptr;            // kFor: the target once more, in the filter's scope
  std::unique_ptr<Function> function;     // kMacro, kCallBlock, kGeneration, recursive kFor
};

struct Parameter {
  Value name;
  Expr* fallback = nullptr;
  Expr* target = nullptr;
  Value undefined;  // when not given
};

// Code with a frame of its own: the template, a macro, a call block's body, a recursive loop.
struct Function {
  Value name;  // undefined for call blocks
  std::vector<Parameter> parameters;
  bool wants_caller = false;
  bool wants_named = false;       // kwargs
  bool wants_positional = false;  // varargs
  bool explicit_caller = false;   // a parameter is called so
  uint32_t caller_slot = 0;
  uint32_t named_slot = 0;
  uint32_t positional_slot = 0;
  uint32_t slot_count = 0;
  uint32_t depth = 0;  // how many functions are around it
  std::vector<SlotInit> enter;
};

struct Program {
  Program() = default;
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  // Call once when complete: constants may then be used by many threads without counting.
  void seal();

  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  Block body;
  Function root;
  std::vector<Value> context_names;  // by context slot
  size_t text_bytes = 0;             // of all text between tags
};

}  // namespace sis::text::tmpl
