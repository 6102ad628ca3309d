// Runs a template's tree: statements and expressions, the protocol of objects (attributes, items, calls), and the
// tables of filters, tests, functions and methods.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/template_ast.h"
#include "text/template_value.h"

namespace godwit::jinja {

/// A function's parameters by their Python names, so that arguments may be given by place or by name. Those from
/// `required` on may be absent, and are then of kind kMissing.
struct Signature {
  const char* name;
  const char* parameters;  // names, with spaces between
  size_t required;
};

class Interpreter {
 public:
  Interpreter(const Tree& tree, const std::string& name);
  ~Interpreter();

  Runtime& runtime() { return runtime_; }
  /// A variable for the template to read.
  void set_variable(const std::string& name, Value value);
  Text render();

  // The protocol of objects.

  /// value.name, as jinja2's sandboxed environment looks it up; undefined when there is none.
  Value attribute(const Value& value, std::string_view name);
  /// value[key].
  Value item(const Value& value, const Value& key);
  Value slice(const Value& value, const Value& from, const Value& to, const Value& step);
  Value call(const Value& function, Arguments& arguments);
  Value call_filter(std::string_view name, const Value& value, Arguments arguments);
  bool call_test(std::string_view name, const Value& value, Arguments arguments);

  /// The arguments by parameter; throws what Python would throw for too many, too few or unknown ones.
  Values bind(const Signature& signature, Arguments& arguments);

  // Shorthands for functions' arguments.

  Value text(Text value, bool markup = false) { return make_string(runtime_, std::move(value), markup); }
  Value function(std::string name, FunctionObject::Body body);
  /// An integer argument (bool counts), or `otherwise` when it is absent or none.
  int64_t integer(const Value& value, int64_t otherwise);
  bool flag(const Value& value, bool otherwise) { return value.missing() ? otherwise : truth(runtime_, value); }
  const Text& string(const Value& value, const char* what);
  [[noreturn]] void undefined_used(const Value& value);

  Value binary(ExprKind kind, const Value& left, const Value& right);
  bool compare(Comparison comparison, const Value& left, const Value& right);
  /// Text to show: jinja2's escape for a Markup's other half.
  Text escaped(const Value& value);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  using Scope = Ref<ScopeObject>;

  Flow run(const Body& body, const Scope& scope, Builder& out);
  Flow run(const Stmt& stmt, const Scope& scope, Builder& out);
  void run_for(const Stmt& stmt, const Scope& scope, Builder& out);
  void run_loop(const Stmt& stmt, const Value& iterable, int64_t depth, const Scope& scope, Builder& out);
  bool loop_next(LoopObject& loop, Value& item);
  bool peek(LoopObject& loop);
  Value loop_attribute(const Value& value, std::string_view name);
  Text run_buffer(const Body& body, const Scope& scope);
  Value call_macro(const MacroObject& macro, Arguments& arguments);
  Scope enter(const Frame& frame, const Scope& outside);
  void load(ScopeObject& scope);
  void capture(const Scope& scope);
  void assign(const Expr& target, const Value& value, const Scope& scope);
  void output(const Value& value, Builder& out);

  Value eval(const Expr& expr, const Scope& scope);
  Value eval_name(const Expr& expr, const Scope& scope);
  Value eval_items(const Expr& expr, const Scope& scope);
  Value eval_dict(const Expr& expr, const Scope& scope);
  Value eval_compare(const Expr& expr, const Scope& scope);
  Value eval_concat(const Expr& expr, const Scope& scope);
  Value eval_slice(const Expr& expr, const Scope& scope);
  Value eval_call(const Expr& expr, const Scope& scope, const Value& caller);
  Value eval_filter(const Expr& expr, const Value& value, const Scope& scope);
  Value filter_block(const Expr& expr, const Value& block, const Scope& scope);
  Value eval_test(const Expr& expr, const Scope& scope);
  Value eval_conditional(const Expr& expr, const Scope& scope);
  Value eval_unary(const Expr& expr, const Scope& scope);
  Arguments eval_arguments(const CallArguments& arguments, const Scope& scope);
  Value constant(const Expr& expr);
  Value power(const Value& left, const Value& right);
  Value repeat(const Value& value, int64_t times);
  Value add(const Value& left, const Value& right);

  Runtime runtime_;
  const Tree& tree_;
  Values strings_;  // of the constants, made when first used
  std::map<std::string, Value, std::less<>> variables_;
  std::vector<Ref<ScopeObject>> captured_;    // by macros: what may lie in a ring of references,
  std::vector<Ref<NamespaceObject>> spaces_;  // as may what namespaces hold
  int calls_ = 0;                             // of macros within each other

  friend Value make_namespace(Interpreter& in, Arguments& arguments);
};

using Filter = Value (*)(Interpreter& in, const Value& value, Arguments& arguments);
using Test = bool (*)(Interpreter& in, const Value& value, Arguments& arguments);

/// Null when there is none of this name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);
bool test_takes_argument(std::string_view name);
/// The filters for sequences, a part of find_filter's.
Filter find_sequence_filter(std::string_view name);
/// A global function (range, namespace, ...); missing when there is none.
Value find_function(Interpreter& in, std::string_view name);
/// The bound method of a str, dict, list, tuple or cycler; missing when it has none of this name.
Value find_method(Interpreter& in, const Value& value, std::string_view name);
Value find_string_method(Interpreter& in, const Value& value, std::string_view name);

/// Python's template % values, and template.format(*positional, **named).
Value format_percent(Interpreter& in, const Value& pattern, const Value& values);
Value format_braces(Interpreter& in, const Value& pattern, Arguments& arguments);
/// Python's format(value, specification).
Text format_value(Interpreter& in, const Value& value, const Text& specification);

/// Python's str methods on texts with origins, for filters and methods.
enum class Case : uint8_t { kUpper, kLower, kFolded, kSwapped, kCapitalized, kTitle };
Text to_case(Runtime& runtime, const Text& text, Case to);
Text replace(Runtime& runtime, const Text& text, const Text& from, const Text& to, int64_t most);
std::vector<Text> split(Runtime& runtime, const Text& text, const Text* separator, int64_t most, bool from_right);
std::vector<Text> split_lines(Runtime& runtime, const Text& text, bool keep_ends);
/// Where the text goes in a width: kCenter as str.center, kMiddle as a format's ^ (they differ in odd spaces).
enum class Align : uint8_t { kLeft, kRight, kCenter, kMiddle };
Text pad(Runtime& runtime, const Text& text, int64_t width, const Text& fill, Align align);
Text escape_html(Runtime& runtime, const Text& text);
/// Python's int(text, base) and float(text); false when it is none.
bool parse_int(std::string_view text, int base, int64_t& value);
bool parse_float(std::string_view text, double& value);
/// Whether any byte of the value came from data.
bool from_data(const Value& value);

/// strftime in the C locale, of local time; `now` in seconds since 1970.
std::string format_time(Interpreter& in, std::string_view format, int64_t now);

}  // namespace godwit::jinja
