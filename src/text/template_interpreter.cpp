#include "text/template_interpreter.h"

#include <algorithm>

#include "base/text.h"

namespace godwit::jinja {

Interpreter::Interpreter(const Tree& tree, const std::string& name)
    : runtime_(name), tree_(tree), strings_(tree.strings) {}

Interpreter::~Interpreter() {
  // Macros refer to scopes that hold them, and namespaces may hold themselves.
  for (const Ref<ScopeObject>& scope : captured_) scope->places.clear();
  for (const Ref<NamespaceObject>& space : spaces_) space->attributes.clear();
}

void Interpreter::set_variable(const std::string& name, Value value) {
  variables_.insert_or_assign(name, std::move(value));
}

Text Interpreter::render() {
  Builder out = Builder::output(runtime_);
  const Scope root = enter(tree_.frame, Scope());
  run(tree_.body, root, out);
  return std::move(out.text());
}

// Scopes.

Interpreter::Scope Interpreter::enter(const Frame& frame, const Scope& outside) {
  runtime_.check_room(frame.loads.size() * sizeof(Value));
  Scope scope = make_object<ScopeObject>(runtime_, frame, outside);
  load(*scope);
  return scope;
}

void Interpreter::load(ScopeObject& scope) {
  runtime_.step(scope.places.size() / 8);
  for (size_t i = 0; i < scope.places.size(); ++i) {
    const Load& load = scope.frame.loads[i];
    switch (load.kind) {
      case Load::Kind::kParameter:
        break;
      case Load::Kind::kUndefined:
        scope.places[i] = Value();
        break;
      case Load::Kind::kAlias: {
        const ScopeObject* outer = &scope;
        for (uint32_t up = load.outer.up; up > 0; --up) outer = outer->parent.get();
        scope.places[i] = outer->places[load.outer.slot];
        break;
      }
      case Load::Kind::kResolve: {
        const auto known = variables_.find(load.name);
        scope.places[i] = known != variables_.end() ? known->second : find_function(*this, load.name);
        break;
      }
    }
  }
}

void Interpreter::capture(const Scope& scope) {
  if (captured_.empty() || captured_.back().get() != scope.get()) captured_.push_back(scope);
}

void Interpreter::assign(const Expr& target, const Value& value, const Scope& scope) {
  if (target.kind == ExprKind::kTuple) {
    Values items = to_values(runtime_, value);
    if (items.size() != target.children.size()) {
      runtime_.fail("expected {} values to assign to {} names, got {}", target.children.size(), target.children.size(),
                    items.size());
    }
    for (size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i], scope);
    return;
  }
  ScopeObject* at = scope.get();
  for (uint32_t up = target.place.up; up > 0; --up) at = at->parent.get();
  Value& place = at->places[target.place.slot];
  if (target.kind == ExprKind::kName) {
    place = value;
    return;
  }
  if (!place.is(Kind::kNamespace)) runtime_.fail("cannot assign an attribute on what is no namespace");
  if (target.attribute.starts_with('_')) {
    runtime_.fail("the attribute '{}' of a namespace begins with an underscore", printable(target.attribute, 40));
  }
  runtime_.step();
  NamespaceObject& space = place.as<NamespaceObject>();
  if (space.attributes.find(target.attribute) == space.attributes.end()) {
    runtime_.check_room(160 + target.attribute.size());
    space.resize(space.size + 160 + target.attribute.size());
  }
  space.attributes.insert_or_assign(target.attribute, value);
}

// Statements.

void Interpreter::output(const Value& value, Builder& out) {
  if (value.string()) {
    out.add(value.as<StringObject>().text);
  } else if (value.number() || value.is(Kind::kNone)) {
    out.add(to_text(runtime_, value).bytes, value.from_data());
  } else {
    out.add(to_text(runtime_, value));
  }
}

Text Interpreter::run_buffer(const Body& body, const Scope& scope) {
  Builder out(runtime_);
  run(body, scope, out);
  return std::move(out.text());
}

Interpreter::Flow Interpreter::run(const Body& body, const Scope& scope, Builder& out) {
  for (const StmtPtr& stmt : body) {
    const Flow flow = run(*stmt, scope, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const Stmt& stmt, const Scope& scope, Builder& out) {
  const Deeper deeper(runtime_);
  runtime_.step();
  runtime_.line = stmt.line;
  switch (stmt.kind) {
    case StmtKind::kOutput:
      for (const ExprPtr& expr : stmt.exprs) output(eval(*expr, scope), out);
      return Flow::kNext;
    case StmtKind::kIf:
      for (size_t i = 0; i < stmt.bodies.size(); ++i) {
        if (i >= stmt.exprs.size() || truth(runtime_, eval(*stmt.exprs[i], scope))) {
          return run(stmt.bodies[i], scope, out);
        }
      }
      return Flow::kNext;
    case StmtKind::kFor:
      run_for(stmt, scope, out);
      return Flow::kNext;
    case StmtKind::kSet: {
      const Value value = eval(*stmt.value, scope);
      assign(*stmt.target, value, scope);
      return Flow::kNext;
    }
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock: {
      const Scope inner = enter(stmt.frame, scope);
      Value value = text(run_buffer(stmt.bodies[0], inner));
      if (stmt.value) value = filter_block(*stmt.value, value, inner);
      if (stmt.target) {
        assign(*stmt.target, value, scope);
      } else {
        out.add(string(value, "the text around a filter block"));  // jinja2 prints no other result
      }
      return Flow::kNext;
    }
    case StmtKind::kWith: {
      Values values;
      for (const ExprPtr& expr : stmt.exprs) values.push_back(eval(*expr, scope));
      const Scope inner = enter(stmt.frame, scope);
      for (size_t i = 0; i < values.size(); ++i) assign(*stmt.target->children[i], values[i], inner);
      return run(stmt.bodies[0], inner, out);
    }
    case StmtKind::kMacro:
      capture(scope);
      scope->places[stmt.place.slot] = wrap(Kind::kMacro, make_object<MacroObject>(runtime_, stmt, scope));
      return Flow::kNext;
    case StmtKind::kCallBlock: {
      capture(scope);
      const Value caller = wrap(Kind::kMacro, make_object<MacroObject>(runtime_, stmt, scope));
      out.add(string(eval_call(*stmt.value, scope, caller), "the text around a call block"));
      return Flow::kNext;
    }
    case StmtKind::kGeneration:
      run(stmt.bodies[0], enter(stmt.frame, scope), out);
      return Flow::kNext;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Interpreter::run_for(const Stmt& stmt, const Scope& scope, Builder& out) {
  const Value iterable = eval(*stmt.value, scope);
  if (!stmt.recursive) return run_loop(stmt, iterable, 0, scope, out);
  Builder inner(runtime_);
  run_loop(stmt, iterable, 0, scope, inner);
  out.add(inner.text());
}

void Interpreter::run_loop(const Stmt& stmt, const Value& iterable, int64_t depth, const Scope& scope, Builder& out) {
  Ref<IteratorObject> iterator = iterate(runtime_, iterable);
  Value over = iterable;
  if (stmt.test) {
    // Tested when asked for, as Python's generator is: the body may change what the test reads.
    const Scope test = enter(stmt.test_frame, scope);
    Interpreter* const self = this;
    const Stmt* const loop = &stmt;
    iterator = make_object<IteratorObject>(runtime_, [self, loop, test, iterator](Value& item) {
      while (iterator->next(item)) {
        self->load(*test);
        self->assign(*loop->target, item, test);
        if (truth(self->runtime_, self->eval(*loop->test, test))) return true;
      }
      return false;
    });
    over = wrap(Kind::kIterator, iterator);
  }
  const Scope body = enter(stmt.frame, scope);
  Value loop;
  if (stmt.wants_loop) {
    const Ref<LoopObject> object = make_object<LoopObject>(runtime_, over, iterator);
    object->depth0 = depth;
    if (stmt.recursive) {
      object->recursive = &stmt;
      object->scope = scope;
    }
    loop = wrap(Kind::kLoop, object);
  }
  bool any = false;  // went to the body's end: as jinja2 has it, `else` is for loops that never did
  for (Value item; loop.missing() ? iterator->next(item) : loop_next(loop.as<LoopObject>(), item);) {
    runtime_.step();
    if (stmt.wants_loop) body->places[0] = loop;
    assign(*stmt.target, item, body);
    load(*body);
    const Flow flow = run(stmt.bodies[0], body, out);
    if (flow == Flow::kBreak) break;
    any = any || flow == Flow::kNext;
  }
  // What a macro defined in the body still refers to ends with the loop.
  std::fill(body->places.begin(), body->places.end(), Value());
  if (!any && stmt.bodies.size() > 1) run(stmt.bodies[1], enter(stmt.else_frame, scope), out);
}

bool Interpreter::loop_next(LoopObject& loop, Value& item) {
  if (!loop.after.missing()) {
    item = std::exchange(loop.after, Value());
  } else if (!loop.iterator->next(item)) {
    return false;
  }
  ++loop.index0;
  loop.before = std::move(loop.current);
  loop.current = item;
  return true;
}

bool Interpreter::peek(LoopObject& loop) {
  if (!loop.after.missing()) return true;
  Value item;
  if (!loop.iterator->next(item)) return false;
  loop.after = std::move(item);
  return true;
}

Value Interpreter::loop_attribute(const Value& value, std::string_view name) {
  LoopObject& loop = value.as<LoopObject>();
  if (name == "index0") return Value::of(loop.index0);
  if (name == "index") return Value::of(loop.index0 + 1);
  if (name == "first") return Value::of(loop.index0 == 0);
  if (name == "last") return Value::of(!peek(loop));
  if (name == "length") return Value::of(length(runtime_, value));
  if (name == "revindex0") return Value::of(length(runtime_, value) - loop.index0 - 1);
  if (name == "revindex") return Value::of(length(runtime_, value) - loop.index0);
  if (name == "depth0") return Value::of(loop.depth0);
  if (name == "depth") return Value::of(loop.depth0 + 1);
  if (name == "previtem") {
    return loop.index0 == 0 ? make_undefined(runtime_, "there is no previous item") : loop.before;
  }
  if (name == "nextitem") return peek(loop) ? loop.after : make_undefined(runtime_, "there is no next item");
  if (name == "cycle") {
    return function("cycle", [value](Interpreter& in, Arguments& arguments) {
      if (arguments.positional.empty()) in.runtime().fail("cycle() needs values to go through");
      const LoopObject& of = value.as<LoopObject>();
      return arguments.positional[static_cast<size_t>(of.index0) % arguments.positional.size()];
    });
  }
  if (name == "changed") {
    return function("changed", [value](Interpreter& in, Arguments& arguments) {
      LoopObject& of = value.as<LoopObject>();
      bool same = of.has_changed && of.changed.size() == arguments.positional.size();
      for (size_t i = 0; same && i < of.changed.size(); ++i) {
        same = equal(in.runtime(), of.changed[i], arguments.positional[i]);
      }
      if (!same) of.changed = arguments.positional;
      of.has_changed = true;
      return Value::of(!same);
    });
  }
  return Value();
}

// Calls.

Value Interpreter::call_macro(const MacroObject& macro, Arguments& arguments) {
  const Stmt& stmt = macro.stmt;
  if (++calls_ > runtime_.limits().depth) {
    --calls_;
    runtime_.fail("macros that call each other over {} deep", runtime_.limits().depth);
  }
  struct Leave {
    int& calls;
    ~Leave() { --calls; }
  } const leave{calls_};
  const Scope scope = enter(stmt.frame, macro.scope);
  const size_t count = stmt.parameters.size();
  size_t next = 0;  // the scope's first places are the parameters
  Values& given = arguments.positional;
  bool explicit_caller = false;
  for (const ExprPtr& parameter : stmt.parameters) {
    if (next < given.size()) {
      scope->places[next] = given[next];
    } else {
      const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                      [&](const auto& argument) { return argument.first == parameter->name; });
      if (named != arguments.named.end()) {
        scope->places[next] = named->second;
        arguments.named.erase(named);
      }
    }
    explicit_caller |= parameter->name == "caller";
    ++next;
  }
  if (stmt.wants_caller && !explicit_caller) {
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [](const auto& argument) { return argument.first == "caller"; });
    if (named == arguments.named.end()) {
      scope->places[next++] = make_undefined(runtime_, "there is no caller");
    } else {
      scope->places[next++] = named->second;
      arguments.named.erase(named);
    }
  }
  const std::string name = stmt.name.empty() ? "caller" : printable(stmt.name, 40);
  if (stmt.wants_named) {
    const Ref<DictObject> dict = make_object<DictObject>(runtime_);
    for (auto& argument : arguments.named) {
      dict_set(runtime_, *dict, text(Text(argument.first, arguments.names_from_data)), std::move(argument.second));
    }
    scope->places[next++] = wrap(Kind::kDict, dict);
  } else if (!arguments.named.empty()) {
    runtime_.fail("macro '{}' takes no argument named '{}'", name, printable(arguments.named[0].first, 40));
  }
  if (stmt.wants_more) {
    Values more;
    for (size_t i = count; i < given.size(); ++i) more.push_back(given[i]);
    scope->places[next++] = make_list(runtime_, std::move(more), Kind::kTuple);
  } else if (given.size() > count) {
    runtime_.fail("macro '{}' takes at most {} arguments, got {}", name, count, given.size());
  }
  for (size_t i = 0; i < count; ++i) {
    if (!scope->places[i].missing()) continue;
    const size_t without = count - stmt.defaults.size();
    if (i >= without) {
      scope->places[i] = eval(*stmt.defaults[i - without], scope);
    } else {
      const std::string parameter = printable(stmt.parameters[i]->name, 40);
      scope->places[i] = make_undefined(runtime_, "the argument '" + parameter + "' was not given");
    }
  }
  const uint32_t line = runtime_.line;
  Value result = text(run_buffer(stmt.bodies[0], scope));
  runtime_.line = line;
  return result;
}

Value Interpreter::call(const Value& function, Arguments& arguments) {
  const Deeper deeper(runtime_);
  runtime_.step();
  switch (function.kind()) {
    case Kind::kFunction: {
      const Ref<FunctionObject> keep(&function.as<FunctionObject>());
      return keep->body(*this, arguments);
    }
    case Kind::kMacro: {
      const Ref<MacroObject> keep(&function.as<MacroObject>());
      return call_macro(*keep, arguments);
    }
    case Kind::kJoiner: {
      JoinerObject& joiner = function.as<JoinerObject>();
      if (!std::exchange(joiner.used, true)) return text({});
      return joiner.separator;
    }
    case Kind::kLoop: {
      const Ref<LoopObject> loop(&function.as<LoopObject>());
      if (loop->recursive == nullptr) runtime_.fail("a loop that is called needs the word 'recursive'");
      if (arguments.positional.size() != 1) runtime_.fail("loop() takes one argument");
      if (++calls_ > runtime_.limits().depth) {
        --calls_;
        runtime_.fail("loops that call themselves over {} deep", runtime_.limits().depth);
      }
      Builder out(runtime_);
      run_loop(*loop->recursive, arguments.positional[0], loop->depth0 + 1, loop->scope, out);
      --calls_;
      return out.value();
    }
    case Kind::kMissing:
    case Kind::kUndefined:
      undefined_used(function);
    default:
      runtime_.fail("a {} cannot be called", type_name(function));
  }
}

Value Interpreter::function(std::string name, FunctionObject::Body body) {
  return wrap(Kind::kFunction, make_object<FunctionObject>(runtime_, std::move(body), std::move(name)));
}

Values Interpreter::bind(const Signature& signature, Arguments& arguments) {
  std::vector<std::string_view> names;
  for (std::string_view rest = signature.parameters; !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    names.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (arguments.positional.size() > names.size()) {
    runtime_.fail("{}() takes at most {} arguments, got {}", signature.name, names.size(), arguments.positional.size());
  }
  Values bound(names.size());
  std::move(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (auto& argument : arguments.named) {
    const auto known = std::find(names.begin(), names.end(), argument.first);
    if (known == names.end()) {
      runtime_.fail("{}() takes no argument named '{}'", signature.name, printable(argument.first, 40));
    }
    Value& place = bound[static_cast<size_t>(known - names.begin())];
    if (!place.missing()) runtime_.fail("{}() got its argument '{}' twice", signature.name, argument.first);
    place = std::move(argument.second);
  }
  for (size_t i = 0; i < signature.required; ++i) {
    if (bound[i].missing()) runtime_.fail("{}() lacks its argument '{}'", signature.name, names[i]);
  }
  return bound;
}

int64_t Interpreter::integer(const Value& value, int64_t otherwise) {
  if (value.missing() || value.is(Kind::kNone)) return otherwise;
  if (value.undefined()) undefined_used(value);
  if (!value.integral()) runtime_.fail("expected a whole number, got a {}", type_name(value));
  return value.integer();
}

const Text& Interpreter::string(const Value& value, const char* what) {
  if (value.undefined()) undefined_used(value);
  if (!value.string()) runtime_.fail("{} takes a string, got a {}", what, type_name(value));
  return value.as<StringObject>().text;
}

void Interpreter::undefined_used(const Value& value) {
  runtime_.fail_with(value.undefined() ? value.as<UndefinedObject>().message : "an undefined value");
}

}  // namespace godwit::jinja
