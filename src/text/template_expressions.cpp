// Expressions, with Python's operators.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "text/template_interpreter.h"

namespace godwit::jinja {

Value Interpreter::eval(const Expr& expr, const Scope& scope) {
  const Deeper deeper(runtime_);
  runtime_.step();
  switch (expr.kind) {
    case ExprKind::kConstant:
      return constant(expr);
    case ExprKind::kName:
      return eval_name(expr, scope);
    case ExprKind::kTuple:
    case ExprKind::kList:
      return eval_items(expr, scope);
    case ExprKind::kDict:
      return eval_dict(expr, scope);
    case ExprKind::kAdd:
    case ExprKind::kSubtract:
    case ExprKind::kMultiply:
    case ExprKind::kDivide:
    case ExprKind::kFloorDivide:
    case ExprKind::kModulo:
    case ExprKind::kPower: {
      const Value left = eval(*expr.children[0], scope);
      const Value right = eval(*expr.children[1], scope);
      runtime_.line = expr.line;
      return binary(expr.kind, left, right);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = eval(*expr.children[0], scope);
      return truth(runtime_, left) == (expr.kind == ExprKind::kAnd) ? eval(*expr.children[1], scope) : left;
    }
    case ExprKind::kNot:
      return Value::of(!truth(runtime_, eval(*expr.children[0], scope)));
    case ExprKind::kNegative:
    case ExprKind::kPositive:
      return eval_unary(expr, scope);
    case ExprKind::kCompare:
      return eval_compare(expr, scope);
    case ExprKind::kConcat:
      return eval_concat(expr, scope);
    case ExprKind::kAttribute: {
      const Value of = eval(*expr.children[0], scope);
      runtime_.line = expr.line;
      return attribute(of, expr.name);
    }
    case ExprKind::kItem: {
      const Value of = eval(*expr.children[0], scope);
      const Value key = eval(*expr.children[1], scope);
      runtime_.line = expr.line;
      return item(of, key);
    }
    case ExprKind::kSlice:
      return eval_slice(expr, scope);
    case ExprKind::kCall:
      return eval_call(expr, scope, Value());
    case ExprKind::kFilter:
      return eval_filter(expr, eval(*expr.children[0], scope), scope);
    case ExprKind::kTest:
      return eval_test(expr, scope);
    case ExprKind::kConditional:
      return eval_conditional(expr, scope);
    case ExprKind::kNamespaceItem:
      break;
  }
  return Value::none();
}

Value Interpreter::constant(const Expr& expr) {
  if (const bool* value = std::get_if<bool>(&expr.constant)) return Value::of(*value);
  if (const int64_t* value = std::get_if<int64_t>(&expr.constant)) return Value::of(*value);
  if (const double* value = std::get_if<double>(&expr.constant)) return Value::of(*value);
  const std::string* string = std::get_if<std::string>(&expr.constant);
  if (string == nullptr) return Value::none();
  Value& kept = strings_[expr.constant_index];
  if (kept.missing()) {
    runtime_.allow(string->size() + sizeof(StringObject));  // the template's source is bounded
    kept = text(Text(*string, false));
  }
  return kept;
}

Value Interpreter::eval_name(const Expr& expr, const Scope& scope) {
  const ScopeObject* at = scope.get();
  for (uint32_t up = expr.place.up; up > 0; --up) at = at->parent.get();
  const Value& value = at->places[expr.place.slot];
  if (!value.missing()) return value;
  return make_undefined(runtime_, "'" + printable(expr.name, 60) + "' is undefined");
}

Value Interpreter::eval_items(const Expr& expr, const Scope& scope) {
  Values items;
  items.reserve(expr.children.size());
  for (const ExprPtr& child : expr.children) items.push_back(eval(*child, scope));
  return make_list(runtime_, std::move(items), expr.kind == ExprKind::kList ? Kind::kList : Kind::kTuple);
}

Value Interpreter::eval_dict(const Expr& expr, const Scope& scope) {
  const Ref<DictObject> dict = make_object<DictObject>(runtime_);
  for (size_t i = 0; i < expr.children.size(); i += 2) {
    Value key = eval(*expr.children[i], scope);
    dict_set(runtime_, *dict, std::move(key), eval(*expr.children[i + 1], scope));
  }
  return wrap(Kind::kDict, dict);
}

Value Interpreter::eval_unary(const Expr& expr, const Scope& scope) {
  const Value value = eval(*expr.children[0], scope);
  runtime_.line = expr.line;
  if (value.undefined()) undefined_used(value);
  if (!value.number()) runtime_.fail("a {} has no sign", type_name(value));
  const bool negative = expr.kind == ExprKind::kNegative;
  if (value.is(Kind::kFloat)) return Value::of(negative ? -value.real() : value.real()).marked(value.from_data());
  int64_t result = value.integer();
  if (negative && __builtin_sub_overflow(int64_t{0}, result, &result)) runtime_.fail("a number beyond 64 bits");
  return Value::of(result).marked(value.from_data());
}

bool Interpreter::compare(Comparison comparison, const Value& left, const Value& right) {
  switch (comparison) {
    case Comparison::kEqual:
      return equal(runtime_, left, right);
    case Comparison::kNotEqual:
      return !equal(runtime_, left, right);
    case Comparison::kLess:
      return less(runtime_, left, right, false);
    case Comparison::kLessEqual:
      return less(runtime_, left, right, true);
    case Comparison::kGreater:
      return less(runtime_, right, left, false);
    case Comparison::kGreaterEqual:
      return less(runtime_, right, left, true);
    case Comparison::kIn:
      return contains(runtime_, right, left);
    case Comparison::kNotIn:
      return !contains(runtime_, right, left);
  }
  return false;
}

Value Interpreter::eval_compare(const Expr& expr, const Scope& scope) {
  Value left = eval(*expr.children[0], scope);
  for (size_t i = 0; i < expr.comparisons.size(); ++i) {
    Value right = eval(*expr.children[i + 1], scope);
    runtime_.line = expr.line;
    if (!compare(expr.comparisons[i], left, right)) return Value::of(false);
    left = std::move(right);
  }
  return Value::of(true);
}

Value Interpreter::eval_concat(const Expr& expr, const Scope& scope) {
  Builder out(runtime_);
  for (const ExprPtr& child : expr.children) output(eval(*child, scope), out);
  return out.value();
}

Value Interpreter::eval_slice(const Expr& expr, const Scope& scope) {
  const Value of = eval(*expr.children[0], scope);
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) {
    const Expr* part = expr.children[i + 1].get();
    parts[i] = part != nullptr ? eval(*part, scope) : Value::none();
  }
  runtime_.line = expr.line;
  return slice(of, parts[0], parts[1], parts[2]);
}

Arguments Interpreter::eval_arguments(const CallArguments& arguments, const Scope& scope) {
  Arguments result;
  for (const ExprPtr& argument : arguments.positional) result.positional.push_back(eval(*argument, scope));
  for (const auto& argument : arguments.named) {
    result.named.emplace_back(argument.first, eval(*argument.second, scope));
  }
  if (arguments.star) {
    for (Value& value : to_values(runtime_, eval(*arguments.star, scope))) {
      result.positional.push_back(std::move(value));
    }
  }
  if (arguments.stars) {
    const Value more = eval(*arguments.stars, scope);
    if (more.undefined()) undefined_used(more);
    if (!more.is(Kind::kDict)) runtime_.fail("expected a dict after **, got a {}", type_name(more));
    std::map<std::string, bool> names;
    for (const auto& argument : result.named) names[argument.first] = true;
    for (const auto& argument : more.as<DictObject>().items) {
      const std::string& name = string(argument.first, "** of a call").bytes;
      result.names_from_data |= from_data(argument.first);
      if (!names.emplace(name, true).second) runtime_.fail("two arguments named '{}'", printable(name, 40));
      result.named.emplace_back(name, argument.second);
    }
  }
  return result;
}

Value Interpreter::eval_call(const Expr& expr, const Scope& scope, const Value& caller) {
  const Value function = eval(*expr.children[0], scope);
  Arguments arguments = eval_arguments(*expr.arguments, scope);
  if (!caller.missing()) arguments.named.emplace_back("caller", caller);
  runtime_.line = expr.line;
  return call(function, arguments);
}

Value Interpreter::eval_filter(const Expr& expr, const Value& value, const Scope& scope) {
  Arguments arguments = eval_arguments(*expr.arguments, scope);
  runtime_.line = expr.line;
  return call_filter(expr.name, value, std::move(arguments));
}

Value Interpreter::filter_block(const Expr& expr, const Value& block, const Scope& scope) {
  const Deeper deeper(runtime_);
  // The first filter of a chain lies deepest, and has nothing before it.
  return eval_filter(expr, expr.children[0] ? filter_block(*expr.children[0], block, scope) : block, scope);
}

Value Interpreter::call_filter(std::string_view name, const Value& value, Arguments arguments) {
  const Deeper deeper(runtime_);
  runtime_.step();
  const Filter filter = find_filter(name);
  if (filter == nullptr) runtime_.fail("no filter named '{}'", printable(name, 40));
  return filter(*this, value, arguments);
}

bool Interpreter::call_test(std::string_view name, const Value& value, Arguments arguments) {
  const Deeper deeper(runtime_);
  runtime_.step();
  const Test test = find_test(name);
  if (test == nullptr) runtime_.fail("no test named '{}'", printable(name, 40));
  if (!test_takes_argument(name)) bind({"the test", "", 0}, arguments);
  return test(*this, value, arguments);
}

Value Interpreter::eval_test(const Expr& expr, const Scope& scope) {
  const Value value = eval(*expr.children[0], scope);
  Arguments arguments = eval_arguments(*expr.arguments, scope);
  runtime_.line = expr.line;
  return Value::of(call_test(expr.name, value, std::move(arguments)));
}

Value Interpreter::eval_conditional(const Expr& expr, const Scope& scope) {
  if (truth(runtime_, eval(*expr.children[1], scope))) return eval(*expr.children[0], scope);
  if (expr.children[2]) return eval(*expr.children[2], scope);
  return make_undefined(runtime_, "the value of an 'if' without 'else' whose condition is false");
}

// Operators.

Text Interpreter::escaped(const Value& value) {
  Text plain = to_text(runtime_, value);
  return value.string() && value.as<StringObject>().markup ? plain : escape_html(runtime_, plain);
}

Value Interpreter::add(const Value& left, const Value& right) {
  if (left.string() && right.string()) {
    const bool markup = left.as<StringObject>().markup || right.as<StringObject>().markup;
    Builder out(runtime_);
    out.add(markup ? escaped(left) : left.as<StringObject>().text);
    out.add(markup ? escaped(right) : right.as<StringObject>().text);
    return out.value(markup);
  }
  if (left.kind() == right.kind() && (left.is(Kind::kList) || left.is(Kind::kTuple))) {
    const Values& a = left.as<ListObject>().items;
    const Values& b = right.as<ListObject>().items;
    runtime_.step((a.size() + b.size()) / 16);
    runtime_.check_room((a.size() + b.size()) * sizeof(Value));
    Values items;
    items.reserve(a.size() + b.size());
    items.insert(items.end(), a.begin(), a.end());
    items.insert(items.end(), b.begin(), b.end());
    return make_list(runtime_, std::move(items), left.kind());
  }
  return Value();
}

Value Interpreter::repeat(const Value& value, int64_t times) {
  const uint64_t count = times > 0 ? static_cast<uint64_t>(times) : 0;
  const uint64_t most = runtime_.limits().memory;
  if (value.string()) {
    const StringObject& string = value.as<StringObject>();
    const uint64_t each = string.text.bytes.size() + string.text.data.size() * sizeof(TextRange);
    if (each == 0 || count == 0) return text({}, string.markup);
    if (count > most / each) runtime_.fail("more than {} bytes of values", most);
    runtime_.check_room(count * each);
    // Twice as much each time: many copies of a short text are a few of a long one.
    Builder out(runtime_);
    Text piece = string.text;
    for (uint64_t left = count;; left >>= 1) {
      if ((left & 1) != 0) out.add(piece);
      if (left <= 1) break;
      Builder twice(runtime_);
      twice.add(piece);
      twice.add(piece);
      piece = std::move(twice.text());
    }
    return out.value(string.markup);
  }
  const Values& from = value.as<ListObject>().items;
  if (!from.empty() && count > most / sizeof(Value) / from.size()) runtime_.fail("more than {} bytes of values", most);
  runtime_.check_room(count * from.size() * sizeof(Value));
  runtime_.step(count * from.size() / 16);
  Values items;
  items.reserve(count * from.size());
  for (uint64_t i = 0; i < count && !from.empty(); ++i) items.insert(items.end(), from.begin(), from.end());
  return make_list(runtime_, std::move(items), value.kind());
}

Value Interpreter::power(const Value& left, const Value& right) {
  if (left.integral() && right.integral() && right.integer() >= 0) {
    int64_t base = left.integer();
    int64_t result = 1;
    bool overflow = false;
    for (uint64_t left_over = static_cast<uint64_t>(right.integer()); left_over > 0; left_over >>= 1) {
      if ((left_over & 1) != 0) overflow |= __builtin_mul_overflow(result, base, &result);
      if (left_over > 1) {
        if (__builtin_mul_overflow(base, base, &base)) overflow = true;
      }
      if (overflow) runtime_.fail("a number beyond 64 bits");
    }
    return Value::of(result);
  }
  const double x = left.real();
  const double y = right.real();
  if (x == 0 && y < 0) runtime_.fail("zero cannot be raised to a negative power");
  if (x < 0 && y != std::floor(y) && std::isfinite(y)) runtime_.fail("a power that is a complex number");
  const double result = std::pow(x, y);
  if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) runtime_.fail("a number too large");
  return Value::of(result);
}

Value Interpreter::binary(ExprKind kind, const Value& left, const Value& right) {
  if (left.undefined()) undefined_used(left);
  if (kind == ExprKind::kModulo && left.string()) return format_percent(*this, left, right);
  if (right.undefined()) undefined_used(right);
  const bool data = left.from_data() || right.from_data();
  if (kind == ExprKind::kAdd) {
    Value sum = add(left, right);
    if (!sum.missing()) return sum;
  }
  if (kind == ExprKind::kMultiply) {
    const auto repeats = [](const Value& a) { return a.string() || a.is(Kind::kList) || a.is(Kind::kTuple); };
    // As often as users say: then theirs.
    const auto theirs = [&](const Value& value, const Value& times) {
      if (!value.string() || !times.from_data()) return value;
      const StringObject& string = value.as<StringObject>();
      return text(Text(string.text.bytes, true), string.markup);
    };
    if (repeats(left) && right.integral()) return repeat(theirs(left, right), right.integer());
    if (repeats(right) && left.integral()) return repeat(theirs(right, left), left.integer());
  }
  if (!left.number() || !right.number()) {
    runtime_.fail("a {} and a {} cannot be {}", type_name(left), type_name(right),
                  kind == ExprKind::kAdd ? "added" : "reckoned with");
  }
  if (kind == ExprKind::kPower) return power(left, right).marked(data);
  const bool divides = kind == ExprKind::kDivide || kind == ExprKind::kFloorDivide || kind == ExprKind::kModulo;
  if (divides && right.real() == 0) runtime_.fail("division by zero");
  if (left.integral() && right.integral() && kind != ExprKind::kDivide) {
    const int64_t a = left.integer();
    const int64_t b = right.integer();
    int64_t result = 0;
    bool overflow = false;
    switch (kind) {
      case ExprKind::kAdd:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
      case ExprKind::kSubtract:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
      case ExprKind::kMultiply:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
      default:
        // Rounded down, the remainder with the divisor's sign.
        if (b == -1) {
          overflow = kind == ExprKind::kFloorDivide && __builtin_sub_overflow(int64_t{0}, a, &result);
          if (kind == ExprKind::kModulo) result = 0;
        } else {
          const int64_t remainder = a % b;
          const bool down = remainder != 0 && (remainder < 0) != (b < 0);
          result = kind == ExprKind::kModulo ? remainder + (down ? b : 0) : a / b - (down ? 1 : 0);
        }
    }
    if (overflow) runtime_.fail("a number beyond 64 bits");
    return Value::of(result).marked(data);
  }
  const double a = left.real();
  const double b = right.real();
  double result = 0;
  switch (kind) {
    case ExprKind::kAdd:
      result = a + b;
      break;
    case ExprKind::kSubtract:
      result = a - b;
      break;
    case ExprKind::kMultiply:
      result = a * b;
      break;
    case ExprKind::kDivide:
      result = a / b;
      break;
    default: {
      // As CPython's float_divmod.
      double remainder = std::fmod(a, b);
      double quotient = (a - remainder) / b;
      if (remainder != 0) {
        if ((b < 0) != (remainder < 0)) {
          remainder += b;
          quotient -= 1;
        }
      } else {
        remainder = std::copysign(0.0, b);
      }
      double floored = std::copysign(0.0, a / b);
      if (quotient != 0) {
        floored = std::floor(quotient);
        if (quotient - floored > 0.5) floored += 1;
      }
      result = kind == ExprKind::kModulo ? remainder : floored;
    }
  }
  return Value::of(result).marked(data);
}

}  // namespace godwit::jinja
