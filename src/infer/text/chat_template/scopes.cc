#include "infer/text/chat_template/scopes.h"

#include <deque>
#include <map>
#include <set>
#include <string_view>

#include "infer/text/chat_template/fault.h"
#include "infer/text/chat_template/filters.h"
#include "infer/text/chat_template/methods.h"
#include "infer/text/chat_template/symbols.h"
#include "infer/text/chat_template/tests.h"
#include "infer/text/chat_template/walk.h"

namespace sis::text::tmpl {
namespace {

[[noreturn]] void fail_at(uint32_t line, std::string message) {
  throw Fault{std::move(message), Code::kInvalidArgument, line};
}

struct Scope {
  Scope(const Scope* outer, Function& owner)
      : symbols(outer == nullptr ? nullptr : &outer->symbols), parent(outer), function(&owner) {}

  Symbols symbols;
  const Scope* parent;
  Function* function;
  std::map<std::string_view, uint32_t> slots;
};

// What may be done where a statement stands.
struct Place {
  const Scope& scope;
  bool soft;     // below an `if`: unknown filters only fail when they are reached
  bool in_loop;  // `break` has something to leave
  int loops;     // loops around, in which `loop` may not be set
};

// The names a scope's statements read and write, not going into inner scopes.
class Survey {
 public:
  static void expr(Symbols& symbols, const Expr& expr) {
    if (expr.kind == ExprKind::kName) {
      if (expr.stores)
        symbols.store(expr.value.text());
      else
        symbols.load(expr.value.text());
    }
    for_each_part(expr, [&](const Expr& part) { Survey::expr(symbols, part); });
  }
  static void parameters(Symbols& symbols, const Expr& target) {
    if (target.kind == ExprKind::kName) symbols.declare_parameter(target.value.text());
    for_each_part(target, [&](const Expr& part) { parameters(symbols, part); });
  }
  static void block(Symbols& symbols, const Block& block) {
    for (const Stmt* stmt : block) statement(symbols, *stmt);
  }

 private:
  static void maybe(Symbols& symbols, const Expr* one) {
    if (one != nullptr) expr(symbols, *one);
  }
  static void statement(Symbols& symbols, const Stmt& stmt) {
    switch (stmt.kind) {
      case StmtKind::kOutput:
        for (const OutputPart& part : stmt.parts) maybe(symbols, part.expr);
        break;
      case StmtKind::kIf:
        branches(symbols, stmt);
        break;
      case StmtKind::kFor:
      case StmtKind::kCallBlock:
        expr(symbols, *stmt.value);
        break;
      case StmtKind::kSet:
        expr(symbols, *stmt.value);
        expr(symbols, *stmt.target);
        break;
      case StmtKind::kSetBlock:
        expr(symbols, *stmt.target);
        break;
      case StmtKind::kMacro:
        symbols.store(stmt.target->value.text());
        break;
      case StmtKind::kFilterBlock:
        expr(symbols, *stmt.filter);
        break;
      case StmtKind::kWith:
        for (const auto& [target, value] : stmt.bindings) expr(symbols, *value);
        break;
      case StmtKind::kGeneration:
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        break;
    }
  }
  static void branches(Symbols& symbols, const Stmt& stmt) {
    expr(symbols, *stmt.branches.front().first);
    std::vector<Symbols> layers;
    layers.reserve(3);
    layers.push_back(Symbols::layer(symbols));
    block(layers.back(), stmt.branches.front().second);
    // All `elif`s share a layer, each of them splitting it again.
    layers.push_back(Symbols::layer(symbols));
    layers.push_back(Symbols::layer(symbols));
    for (size_t i = 1; i < stmt.branches.size(); ++i) {
      const auto& [test, body] = stmt.branches[i];
      if (test == nullptr) {
        block(layers[2], body);
        continue;
      }
      expr(layers[1], *test);
      std::vector<Symbols> inner;
      inner.push_back(Symbols::layer(layers[1]));
      block(inner.back(), body);
      layers[1].merge(inner);
    }
    symbols.merge(layers);
  }
};

class Resolver {
 public:
  explicit Resolver(Program& program) : program_(program) {}

  void run() {
    Scope& scope = open(nullptr, program_.root);
    if (!undeclared(program_.body, {"self"}).empty())
      fail_at(1, "'self' (the blocks of a template) is not supported");
    Survey::block(scope.symbols, program_.body);
    program_.root.enter = close(scope);
    block(program_.body, {scope, false, false, 0});
  }

 private:
  Scope& open(const Scope* parent, Function& function) {
    return scopes_.emplace_back(parent, function);
  }

  // Gives the scope's variables their slots; returns what entering it does.
  std::vector<SlotInit> close(Scope& scope) {
    std::vector<SlotInit> enter;
    for (const auto& [name, entry] : scope.symbols.entries()) {
      if (entry.load == Symbols::Load::kNone) continue;
      // What is only read needs no copy of what render() was given.
      if (entry.load == Symbols::Load::kContext && !entry.stored) {
        context_slot(name);
        continue;
      }
      const uint32_t slot = scope.function->slot_count++;
      scope.slots[name] = slot;
      switch (entry.load) {
        case Symbols::Load::kContext:
          enter.push_back({slot, SlotInit::kOuter, {SlotRef::kContext, context_slot(name)}});
          break;
        case Symbols::Load::kOuter:
          enter.push_back({slot, SlotInit::kOuter, find(*scope.parent, name, *scope.function)});
          break;
        case Symbols::Load::kMissing:
          enter.push_back({slot, SlotInit::kNothing, {}});
          break;
        case Symbols::Load::kParameter:
        case Symbols::Load::kNone:
          break;
      }
    }
    return enter;
  }

  uint32_t context_slot(std::string_view name) {
    const auto [at, is_new] =
        context_.try_emplace(name, static_cast<uint32_t>(program_.context_names.size()));
    if (is_new) program_.context_names.push_back(Value::string(std::string(name)));
    return at->second;
  }

  SlotRef find(const Scope& from, std::string_view name, const Function& user) {
    for (const Scope* at = &from; at != nullptr; at = at->parent)
      if (const auto found = at->slots.find(name); found != at->slots.end())
        return {user.depth - at->function->depth, found->second};
    return {SlotRef::kContext, context_slot(name)};
  }

  // Which of `names` the block reads from outside.
  static std::set<std::string_view> undeclared(const Block& block,
                                               std::set<std::string_view> names) {
    std::set<std::string_view> found;
    for_each_name(block, [&](const Expr& name) {
      if (name.stores)
        names.erase(name.value.text());
      else if (names.contains(name.value.text()))
        found.insert(name.value.text());
    });
    return found;
  }

  void expr(Expr* one, const Place& place, bool soft) {
    if (one == nullptr) return;
    soft = soft || one->kind == ExprKind::kCond;
    if (one->kind == ExprKind::kName) {
      if (one->stores && place.loops > 0 && one->value.text() == "loop")
        fail_at(one->line, "can't assign to special loop variable in for-loop target");
      one->slot = find(place.scope, one->value.text(), *place.scope.function);
    } else if (one->kind == ExprKind::kGetattr) {
      one->dict_member = has_attribute(Kind::kDict, one->value.text());
    } else if (one->kind == ExprKind::kFilter) {
      one->filter = find_filter(one->value.text());
      check_known(*one, one->filter != nullptr, "filter", soft);
    } else if (one->kind == ExprKind::kTest) {
      one->test = find_test(one->value.text());
      check_known(*one, one->test != nullptr, "test", soft);
    }
    for_each_part(*one, [&](Expr& part) { expr(&part, place, soft); });
  }
  void expr(Expr* one, const Place& place) { expr(one, place, place.soft); }

  void check_known(const Expr& one, bool known, std::string_view what, bool soft) {
    const std::string_view name = one.value.text();
    if (what == "filter" && is_unsupported_filter(name))
      fail_at(one.line, concat("the filter '", name, "' is not supported"));
    if (!known && !soft) fail_at(one.line, concat("no ", what, " named '", name, "'"));
  }

  void block(const Block& block, const Place& place) {
    for (Stmt* stmt : block) statement(*stmt, place);
  }

  void statement(Stmt& stmt, const Place& place) {
    switch (stmt.kind) {
      case StmtKind::kOutput:
        for (OutputPart& part : stmt.parts) expr(part.expr, place);
        break;
      case StmtKind::kIf: {
        const Place inside{place.scope, true, place.in_loop, place.loops};
        for (auto& [test, body] : stmt.branches) {
          expr(test, inside);
          block(body, inside);
        }
        break;
      }
      case StmtKind::kFor:
        loop(stmt, place);
        break;
      case StmtKind::kSet:
        expr(stmt.value, place);
        expr(stmt.target, place);
        break;
      case StmtKind::kSetBlock:
      case StmtKind::kFilterBlock: {
        Scope& scope = open(&place.scope, *place.scope.function);
        Survey::block(scope.symbols, stmt.body);
        if (stmt.kind == StmtKind::kFilterBlock) Survey::expr(scope.symbols, *stmt.filter);
        stmt.enter = close(scope);
        const Place inside{scope, false, place.in_loop, place.loops};
        block(stmt.body, inside);
        expr(stmt.filter, inside);
        expr(stmt.target, place);
        break;
      }
      case StmtKind::kWith: {
        Scope& scope = open(&place.scope, *place.scope.function);
        for (const auto& [target, value] : stmt.bindings)
          Survey::parameters(scope.symbols, *target);
        Survey::block(scope.symbols, stmt.body);
        stmt.enter = close(scope);
        for (auto& [target, value] : stmt.bindings) {
          expr(target, {scope, false, false, 0});
          expr(value, place);
        }
        block(stmt.body, {scope, false, place.in_loop, place.loops});
        break;
      }
      case StmtKind::kMacro:
        stmt.target->slot = find(place.scope, stmt.target->value.text(), *place.scope.function);
        function(stmt, place);
        break;
      case StmtKind::kCallBlock:
        expr(stmt.value, place);
        function(stmt, place);
        break;
      case StmtKind::kGeneration:
        function(stmt, place);
        break;
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        if (!place.in_loop)
          fail_at(stmt.line, concat("'", stmt.kind == StmtKind::kBreak ? "break" : "continue",
                                    "' outside loop"));
        break;
    }
  }

  void function(Stmt& stmt, const Place& place) {
    Function& made = *stmt.function;
    made.depth = place.scope.function->depth + 1;
    Scope& scope = open(&place.scope, made);
    std::set<std::string_view> named;
    for (Parameter& parameter : made.parameters) {
      const std::string_view name = parameter.name.text();
      if (!named.insert(name).second)
        fail_at(stmt.line, concat("duplicate parameter '", name, "'"));
      scope.symbols.declare_parameter(name);
    }
    for (const Parameter& parameter : made.parameters)
      if (parameter.fallback != nullptr) Survey::expr(scope.symbols, *parameter.fallback);
    const auto wanted = undeclared(stmt.body, {"caller", "kwargs", "varargs"});
    made.explicit_caller = named.contains("caller");
    if (wanted.contains("caller")) {
      if (made.explicit_caller) {
        for (const Parameter& parameter : made.parameters)
          if (parameter.name.text() == "caller" && parameter.fallback == nullptr)
            fail_at(stmt.line,
                    "the special 'caller' argument must be omitted or be given a default");
      } else {
        scope.symbols.declare_parameter("caller");
      }
      made.wants_caller = true;
    }
    made.wants_named = wanted.contains("kwargs") && !named.contains("kwargs");
    made.wants_positional = wanted.contains("varargs") && !named.contains("varargs");
    if (made.wants_named) scope.symbols.declare_parameter("kwargs");
    if (made.wants_positional) scope.symbols.declare_parameter("varargs");
    Survey::block(scope.symbols, stmt.body);
    made.enter = close(scope);
    if (made.wants_caller && !made.explicit_caller) made.caller_slot = scope.slots.at("caller");
    if (made.wants_named) made.named_slot = scope.slots.at("kwargs");
    if (made.wants_positional) made.positional_slot = scope.slots.at("varargs");

    const Place inside{scope, false, false, place.loops};
    for (Parameter& parameter : made.parameters) {
      parameter.target->slot = find(scope, parameter.name.text(), made);
      expr(parameter.fallback, inside);
    }
    block(stmt.body, inside);
  }

  void loop(Stmt& stmt, const Place& place) {
    expr(stmt.value, place);
    if (stmt.recursive) {
      stmt.function = std::make_unique<Function>();
      stmt.function->depth = place.scope.function->depth + 1;
    }
    Function& owner = stmt.recursive ? *stmt.function : *place.scope.function;
    Scope& scope = open(&place.scope, owner);
    stmt.wants_loop = stmt.recursive || !undeclared(stmt.body, {"loop"}).empty();
    if (stmt.wants_loop) scope.symbols.declare_parameter("loop");
    Survey::parameters(scope.symbols, *stmt.target);
    Survey::block(scope.symbols, stmt.body);
    stmt.enter = close(scope);
    if (stmt.wants_loop) stmt.loop_slot = scope.slots.at("loop");
    expr(stmt.target, {scope, false, false, 1});

    if (stmt.test != nullptr) {
      Scope& filter = open(&place.scope, owner);
      Survey::parameters(filter.symbols, *stmt.test_target);
      Survey::expr(filter.symbols, *stmt.test);
      stmt.enter_test = close(filter);
      expr(stmt.test_target, {filter, false, false, 1});
      expr(stmt.test, {filter, false, false, 0});
    }
    block(stmt.body, {scope, false, true, place.loops + 1});
    if (!stmt.otherwise.empty()) {
      Scope& otherwise = open(&place.scope, owner);
      Survey::block(otherwise.symbols, stmt.otherwise);
      stmt.enter_otherwise = close(otherwise);
      block(stmt.otherwise, {otherwise, false, place.in_loop && !stmt.recursive, place.loops + 1});
    }
  }

  Program& program_;
  std::deque<Scope> scopes_;
  std::map<std::string_view, uint32_t> context_;
};

}  // namespace

void resolve_names(Program& program) { Resolver(program).run(); }

}  // namespace sis::text::tmpl
