// jinja2's tests (tests.py).
#include <algorithm>
#include <map>

#include "text/template_interpreter.h"
#include "text/template_unicode.h"

namespace godwit::jinja {
namespace {

Value only_argument(Interpreter& in, Arguments& arguments) { return in.bind({"the test", "other", 1}, arguments)[0]; }

template <Comparison comparison>
bool compares(Interpreter& in, const Value& value, Arguments& arguments) {
  return in.compare(comparison, value, only_argument(in, arguments));
}

int64_t remainder(Interpreter& in, const Value& value, const Value& divisor, bool& zero) {
  const Value rest = in.binary(ExprKind::kModulo, value, divisor);
  zero = rest.number() && rest.real() == 0;
  return rest.is(Kind::kInt) ? rest.integer() : 0;
}

bool is_odd_or_even(Interpreter& in, const Value& value, bool odd) {
  bool zero = false;
  const int64_t rest = remainder(in, value, Value::of(int64_t{2}), zero);
  return odd ? rest == 1 : zero;
}

bool has_letter_case(Interpreter& in, const Value& value, const char* method) {
  const Value text = in.text(to_text(in.runtime(), value));
  Arguments none;
  return in.call(find_string_method(in, text, method), none).boolean();
}

const std::map<std::string_view, Test>& tests() {
  using I = Interpreter&;
  using V = const Value&;
  using A = Arguments&;
  static const std::map<std::string_view, Test> table = {
      {"odd", [](I in, V value, A) { return is_odd_or_even(in, value, true); }},
      {"even", [](I in, V value, A) { return is_odd_or_even(in, value, false); }},
      {"divisibleby",
       [](I in, V value, A arguments) {
         bool zero = false;
         remainder(in, value, only_argument(in, arguments), zero);
         return zero;
       }},
      {"defined", [](I, V value, A) { return !value.undefined(); }},
      {"undefined", [](I, V value, A) { return value.undefined(); }},
      {"filter", [](I, V value, A) { return value.string() && is_filter(value.as<StringObject>().text.bytes); }},
      {"test", [](I, V value, A) { return value.string() && is_test(value.as<StringObject>().text.bytes); }},
      {"none", [](I, V value, A) { return value.is(Kind::kNone); }},
      {"boolean", [](I, V value, A) { return value.is(Kind::kBool); }},
      {"false", [](I, V value, A) { return value.is(Kind::kBool) && !value.boolean(); }},
      {"true", [](I, V value, A) { return value.is(Kind::kBool) && value.boolean(); }},
      {"integer", [](I, V value, A) { return value.is(Kind::kInt); }},
      {"float", [](I, V value, A) { return value.is(Kind::kFloat); }},
      {"lower", [](I in, V value, A) { return has_letter_case(in, value, "islower"); }},
      {"upper", [](I in, V value, A) { return has_letter_case(in, value, "isupper"); }},
      {"string", [](I, V value, A) { return value.string(); }},
      {"mapping", [](I, V value, A) { return value.is(Kind::kDict); }},
      {"number", [](I, V value, A) { return value.number(); }},
      {"sequence", [](I, V value, A) { return has_length(value) && !value.is(Kind::kLoop) && !value.is(Kind::kView); }},
      {"callable",
       [](I, V value, A) {
         switch (value.kind()) {
           case Kind::kUndefined:
           case Kind::kMacro:
           case Kind::kFunction:
           case Kind::kLoop:
           case Kind::kJoiner:
             return true;
           default:
             return false;
         }
       }},
      {"sameas",
       [](I in, V value, A arguments) {
         const Value other = only_argument(in, arguments);
         if (value.kind() != other.kind()) return false;
         if (value.object() == nullptr) return equal(in.runtime(), value, other);
         return value.object() == other.object();
       }},
      {"iterable", [](I, V value, A) { return iterable(value) || value.is(Kind::kLoop); }},
      {"escaped", [](I, V value, A) { return value.string() && value.as<StringObject>().markup; }},
      {"in", compares<Comparison::kIn>},
      {"eq", compares<Comparison::kEqual>},
      {"==", compares<Comparison::kEqual>},
      {"equalto", compares<Comparison::kEqual>},
      {"ne", compares<Comparison::kNotEqual>},
      {"!=", compares<Comparison::kNotEqual>},
      {"gt", compares<Comparison::kGreater>},
      {">", compares<Comparison::kGreater>},
      {"greaterthan", compares<Comparison::kGreater>},
      {"ge", compares<Comparison::kGreaterEqual>},
      {">=", compares<Comparison::kGreaterEqual>},
      {"lt", compares<Comparison::kLess>},
      {"<", compares<Comparison::kLess>},
      {"lessthan", compares<Comparison::kLess>},
      {"le", compares<Comparison::kLessEqual>},
      {"<=", compares<Comparison::kLessEqual>},
  };
  return table;
}

}  // namespace

Test find_test(std::string_view name) {
  const auto found = tests().find(name);
  return found == tests().end() ? nullptr : found->second;
}

bool test_takes_argument(std::string_view name) {
  static constexpr std::string_view kWithout[] = {"odd",      "even",     "defined", "undefined", "filter",  "test",
                                                  "none",     "boolean",  "false",   "true",      "integer", "float",
                                                  "lower",    "upper",    "string",  "mapping",   "number",  "sequence",
                                                  "callable", "iterable", "escaped"};
  return std::find(std::begin(kWithout), std::end(kWithout), name) == std::end(kWithout);
}

bool is_test(std::string_view name) { return find_test(name) != nullptr; }
bool is_filter(std::string_view name) { return find_filter(name) != nullptr; }

}  // namespace godwit::jinja
