// Which variable a name means is decided before anything runs, as jinja2's compiler does it (idtracking.py): a scope
// (the template, a loop's body, a macro, ...) has a place for each name that it stores, and for each that it reads and
// no scope around it knows. What a place holds when its scope is entered follows from the whole scope: a name that is
// only set further down is undefined before, even where the variables have it.
#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "text/template_ast.h"

namespace godwit::jinja {
namespace {

// One scope while its names are being found.
struct Symbols {
  Symbols* parent = nullptr;
  Frame* frame = nullptr;
  std::map<std::string, uint32_t, std::less<>> slots = {};
  std::set<std::string, std::less<>> stored = {};
  std::vector<std::string> stores = {};  // in order, each once

  uint32_t define(const std::string& name, Load load) {
    load.name = name;
    const auto known = slots.find(name);
    if (known != slots.end()) {
      frame->loads[known->second] = std::move(load);
      return known->second;
    }
    const uint32_t slot = static_cast<uint32_t>(frame->loads.size());
    frame->loads.push_back(std::move(load));
    slots.emplace(name, slot);
    return slot;
  }

  // Where this scope sees `name`; false when no scope knows it.
  bool find(std::string_view name, Place& place) const {
    uint32_t up = 0;
    for (const Symbols* scope = this; scope != nullptr; scope = scope->parent, ++up) {
      const auto known = scope->slots.find(name);
      if (known != scope->slots.end()) {
        place = {up, known->second};
        return true;
      }
    }
    return false;
  }

  bool find_outside(std::string_view name, Place& place) const {
    if (parent == nullptr || !parent->find(name, place)) return false;
    ++place.up;
    return true;
  }

  void mark_stored(const std::string& name) {
    if (stored.insert(name).second) stores.push_back(name);
  }

  void load(const std::string& name) {
    Place place;
    if (!find(name, place)) define(name, {Load::Kind::kResolve, {}, {}});
  }
  void store(const std::string& name) {
    mark_stored(name);
    if (slots.find(name) != slots.end()) return;
    Place outer;
    if (find_outside(name, outer)) {
      define(name, {Load::Kind::kAlias, outer, {}});
    } else {
      define(name, {Load::Kind::kUndefined, {}, {}});
    }
  }
  void parameter(const std::string& name) {
    mark_stored(name);
    define(name, {Load::Kind::kParameter, {}, {}});
  }
};

class Resolver {
 public:
  explicit Resolver(const std::string& name) : name_(name) {}

  void run(Tree& tree) {
    for (StmtPtr& stmt : tree.body) mark(*stmt);
    Symbols root{nullptr, &tree.frame};
    inner(tree.body, root);
    collect(tree.frame);
    for (const StmtPtr& stmt : tree.body) collect(*stmt);
    tree.outside.assign(outside_.begin(), outside_.end());
  }

 private:
  enum class Use : uint8_t { kLoad, kStore, kParameter };

  // First pass over a scope: its names. What begins a scope of its own is not gone into.

  void find(const Expr* expr, Symbols& scope, Use use = Use::kLoad) {
    if (expr == nullptr) return;
    if (expr->kind == ExprKind::kName) {
      if (use == Use::kLoad) scope.load(expr->name);
      if (use == Use::kStore) scope.store(expr->name);
      if (use == Use::kParameter) scope.parameter(expr->name);
      return;
    }
    if (expr->kind == ExprKind::kNamespaceItem) return scope.load(expr->name);
    for (const ExprPtr& child : expr->children) find(child.get(), scope, use);
    if (!expr->arguments) return;
    for (const ExprPtr& argument : expr->arguments->positional) find(argument.get(), scope);
    for (const auto& argument : expr->arguments->named) find(argument.second.get(), scope);
    find(expr->arguments->star.get(), scope);
    find(expr->arguments->stars.get(), scope);
  }

  void find_all(const Body& body, Symbols& scope) {
    for (const StmtPtr& stmt : body) find(*stmt, scope);
  }

  void find(const Stmt& stmt, Symbols& scope) {
    switch (stmt.kind) {
      case StmtKind::kOutput:
      case StmtKind::kWith:
        for (const ExprPtr& expr : stmt.exprs) find(expr.get(), scope);
        break;
      case StmtKind::kIf: {
        const size_t before = scope.stores.size();
        for (size_t i = 0; i < stmt.bodies.size(); ++i) {
          if (i < stmt.exprs.size()) find(stmt.exprs[i].get(), scope);
          find_all(stmt.bodies[i], scope);
        }
        // What only some branch stores begins as what it is outside.
        for (size_t i = before; i < scope.stores.size(); ++i) {
          const std::string& name = scope.stores[i];
          Place outer;
          if (scope.find_outside(name, outer)) {
            scope.define(name, {Load::Kind::kAlias, outer, {}});
          } else {
            scope.define(name, {Load::Kind::kResolve, {}, {}});
          }
        }
        break;
      }
      case StmtKind::kSet:
        find(stmt.value.get(), scope);
        find(stmt.target.get(), scope, Use::kStore);
        break;
      case StmtKind::kSetBlock:
        find(stmt.target.get(), scope, Use::kStore);
        break;
      case StmtKind::kMacro:
        scope.store(stmt.name);
        break;
      case StmtKind::kFor:
      case StmtKind::kCallBlock:
      case StmtKind::kFilterBlock:
        find(stmt.value.get(), scope);
        break;
      case StmtKind::kGeneration:
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        break;
    }
  }

  // Marks, from the innermost block outwards, the loops whose bodies read `loop` and the macros that read caller,
  // kwargs and varargs. One pass over the tree: each body reports what is read within it.
  struct Reads {
    bool loop = false, caller = false, kwargs = false, varargs = false;
    void add(const Reads& other) {
      loop |= other.loop;
      caller |= other.caller;
      kwargs |= other.kwargs;
      varargs |= other.varargs;
    }
  };

  static void read(const Expr* expr, Reads& reads) {
    if (expr == nullptr) return;
    if (expr->kind == ExprKind::kName) {
      reads.loop |= expr->name == "loop";
      reads.caller |= expr->name == "caller";
      reads.kwargs |= expr->name == "kwargs";
      reads.varargs |= expr->name == "varargs";
    }
    for (const ExprPtr& child : expr->children) read(child.get(), reads);
    if (!expr->arguments) return;
    for (const ExprPtr& argument : expr->arguments->positional) read(argument.get(), reads);
    for (const auto& argument : expr->arguments->named) read(argument.second.get(), reads);
    read(expr->arguments->star.get(), reads);
    read(expr->arguments->stars.get(), reads);
  }

  static Reads mark(Stmt& stmt) {
    Reads heads;
    for (const ExprPtr& expr : stmt.exprs) read(expr.get(), heads);
    for (const ExprPtr& expr : stmt.defaults) read(expr.get(), heads);
    read(stmt.value.get(), heads);
    read(stmt.test.get(), heads);
    std::vector<Reads> bodies;
    for (const Body& body : stmt.bodies) {
      Reads within;
      for (const StmtPtr& inner : body) within.add(mark(*inner));
      bodies.push_back(within);
    }
    if (stmt.kind == StmtKind::kFor) stmt.wants_loop = stmt.recursive || bodies[0].loop;
    if (stmt.kind == StmtKind::kMacro || stmt.kind == StmtKind::kCallBlock) {
      stmt.wants_caller = bodies[0].caller;
      stmt.wants_named = bodies[0].kwargs;
      stmt.wants_more = bodies[0].varargs;
    }
    for (const Reads& within : bodies) heads.add(within);
    return heads;
  }

  // Second pass: gives the names of a scope that is wholly known their places, and goes into the scopes within.

  void place(Expr* expr, Symbols& scope, bool soft) {
    if (expr == nullptr) return;
    if (expr->kind == ExprKind::kName || expr->kind == ExprKind::kNamespaceItem) {
      if (!scope.find(expr->name, expr->place)) {
        scope.load(expr->name);
        scope.find(expr->name, expr->place);
      }
      return;
    }
    // jinja2 refuses an unknown filter or test at once, unless an `if` may keep it from being run.
    if (expr->kind == ExprKind::kFilter && !soft && !is_filter(expr->name)) unknown(*expr, "filter");
    if (expr->kind == ExprKind::kTest && !soft && !is_test(expr->name)) unknown(*expr, "test");
    soft = soft || expr->kind == ExprKind::kConditional;
    for (const ExprPtr& child : expr->children) place(child.get(), scope, soft);
    if (!expr->arguments) return;
    for (const ExprPtr& argument : expr->arguments->positional) place(argument.get(), scope, soft);
    for (const auto& argument : expr->arguments->named) place(argument.second.get(), scope, soft);
    place(expr->arguments->star.get(), scope, soft);
    place(expr->arguments->stars.get(), scope, soft);
  }

  [[noreturn]] void unknown(const Expr& expr, const char* what) const {
    invalid("{}: line {}: no {} named '{}'", printable_path(name_), expr.line, what, printable(expr.name, 40));
  }

  void place_all(Body& body, Symbols& scope, bool soft) {
    for (StmtPtr& stmt : body) place(*stmt, scope, soft);
  }

  // A body with a scope of its own, whose parameters are known.
  void inner(Body& body, Symbols& scope) {
    find_all(body, scope);
    place_all(body, scope, false);
  }

  void place(Stmt& stmt, Symbols& scope, bool soft) {
    switch (stmt.kind) {
      case StmtKind::kOutput:
        for (ExprPtr& expr : stmt.exprs) place(expr.get(), scope, soft);
        break;
      case StmtKind::kIf:
        for (ExprPtr& expr : stmt.exprs) place(expr.get(), scope, true);
        for (Body& body : stmt.bodies) place_all(body, scope, true);
        break;
      case StmtKind::kSet:
        place(stmt.value.get(), scope, soft);
        place(stmt.target.get(), scope, soft);
        break;
      case StmtKind::kFor:
        place_for(stmt, scope, soft);
        break;
      case StmtKind::kMacro:
      case StmtKind::kCallBlock:
        place_macro(stmt, scope, soft);
        break;
      case StmtKind::kSetBlock:
      case StmtKind::kFilterBlock: {
        Symbols within{&scope, &stmt.frame};
        find_all(stmt.bodies[0], within);
        find(stmt.value.get(), within);
        place_all(stmt.bodies[0], within, false);
        place(stmt.value.get(), within, false);
        if (stmt.target) place(stmt.target.get(), scope, soft);
        break;
      }
      case StmtKind::kWith: {
        for (ExprPtr& expr : stmt.exprs) place(expr.get(), scope, soft);
        Symbols within{&scope, &stmt.frame};
        find(stmt.target.get(), within, Use::kParameter);
        find_all(stmt.bodies[0], within);
        place(stmt.target.get(), within, false);
        place_all(stmt.bodies[0], within, false);
        break;
      }
      case StmtKind::kGeneration: {
        Symbols within{&scope, &stmt.frame};
        inner(stmt.bodies[0], within);
        break;
      }
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        break;
    }
  }

  void place_for(Stmt& stmt, Symbols& scope, bool soft) {
    place(stmt.value.get(), scope, soft);
    Symbols body{&scope, &stmt.frame};
    if (stmt.wants_loop) body.parameter("loop");
    find(stmt.target.get(), body, Use::kParameter);
    find_all(stmt.bodies[0], body);
    place(stmt.target.get(), body, false);
    place_all(stmt.bodies[0], body, false);
    if (stmt.test) {
      // The test has its own scope with the same variables: the loop's are the first of both.
      Symbols test{&scope, &stmt.test_frame};
      if (stmt.wants_loop) test.define("", {Load::Kind::kUndefined, {}, {}});
      find(stmt.target.get(), test, Use::kParameter);
      find(stmt.test.get(), test);
      place(stmt.test.get(), test, false);
    }
    if (stmt.bodies.size() > 1) {
      Symbols otherwise{&scope, &stmt.else_frame};
      inner(stmt.bodies[1], otherwise);
    }
  }

  void place_macro(Stmt& stmt, Symbols& scope, bool soft) {
    Symbols within{&scope, &stmt.frame};
    for (const ExprPtr& parameter : stmt.parameters) {
      within.parameter(parameter->name);
      if (parameter->name == "caller") stmt.wants_caller = false;
      if (parameter->name == "kwargs") stmt.wants_named = false;
      if (parameter->name == "varargs") stmt.wants_more = false;
    }
    if (stmt.wants_caller) within.parameter("caller");
    if (stmt.wants_named) within.parameter("kwargs");
    if (stmt.wants_more) within.parameter("varargs");
    for (const ExprPtr& value : stmt.defaults) find(value.get(), within);
    find_all(stmt.bodies[0], within);
    for (ExprPtr& value : stmt.defaults) place(value.get(), within, false);
    place_all(stmt.bodies[0], within, false);
    if (stmt.kind == StmtKind::kMacro) {
      scope.find(stmt.name, stmt.place);
    } else {
      place(stmt.value.get(), scope, soft);
    }
  }

  void collect(const Frame& frame) {
    for (const Load& load : frame.loads) {
      if (load.kind == Load::Kind::kResolve) outside_.insert(load.name);
    }
  }
  void collect(const Stmt& stmt) {
    collect(stmt.frame);
    collect(stmt.test_frame);
    collect(stmt.else_frame);
    for (const Body& body : stmt.bodies) {
      for (const StmtPtr& within : body) collect(*within);
    }
  }

  const std::string& name_;
  std::set<std::string> outside_;
};

}  // namespace

void resolve_names(Tree& tree, const std::string& name) { Resolver(name).run(tree); }

}  // namespace godwit::jinja
