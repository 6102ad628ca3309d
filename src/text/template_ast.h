// A template as a tree, with every name resolved to a place.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace godwit::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

/// (a, b, name=c, *star, **stars)
struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;
  ExprPtr stars;
};

enum class ExprKind : uint8_t {
  kConstant,
  kName,
  kTuple,  // children
  kList,   // children
  kDict,   // key, value, key, value, ...
  kAdd,    // two children, as all up to kPower
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kAnd,
  kOr,
  kNot,
  kNegative,
  kPositive,
  kCompare,        // first, then one child for each of `comparisons`
  kConcat,         // children
  kAttribute,      // child . name
  kItem,           // child [child]
  kSlice,          // child [from : to : step], each null when absent
  kCall,           // child (arguments)
  kFilter,         // child | name(arguments); the child is null in a filter block
  kTest,           // child is name(arguments)
  kConditional,    // value, condition, otherwise (null when absent)
  kNamespaceItem,  // target only: `name`'s attribute `attribute`
};

enum class Comparison : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

struct None {};
using Constant = std::variant<None, bool, int64_t, double, std::string>;

/// Where a name lives: so many scopes up, at this place in the scope.
struct Place {
  uint32_t up = 0;
  uint32_t slot = 0;
};

struct Expr {
  ExprKind kind;
  uint32_t line;
  uint32_t depth = 1;  // of the tree below
  std::string name;
  std::vector<ExprPtr> children;
  std::unique_ptr<CallArguments> arguments;
  std::vector<Comparison> comparisons;
  Constant constant;
  uint32_t constant_index = 0;  // of a string, among the template's
  std::string attribute;
  Place place;

  Expr(ExprKind k, uint32_t l) : kind(k), line(l) {}
};

/// What a scope's places hold when it is entered.
struct Load {
  enum class Kind : uint8_t { kUndefined, kParameter, kResolve, kAlias };
  Kind kind = Kind::kUndefined;
  Place outer;  // kAlias: seen from this scope
  std::string name;
};

struct Frame {
  std::vector<Load> loads;
};

enum class StmtKind : uint8_t {
  kOutput,  // expressions, printed one after the other
  kFor,
  kIf,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kGeneration,
  kBreak,
  kContinue,
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

struct Stmt {
  StmtKind kind;
  uint32_t line;
  std::vector<ExprPtr> exprs;  // output; if: conditions; with: values
  std::vector<Body> bodies;    // if: one a condition, then else when there is one; for: body, else
  ExprPtr target;              // for, set, with (a tuple)
  ExprPtr value;               // for: what to go through; set; call: the call; set block and filter block: the filter
  ExprPtr test;                // for
  bool recursive = false;
  bool wants_loop = false;
  // Macro and call block.
  std::string name;
  std::vector<ExprPtr> parameters;                                     // names
  std::vector<ExprPtr> defaults;                                       // of the last parameters
  bool wants_caller = false, wants_named = false, wants_more = false;  // caller, kwargs, varargs
  Place place;                                                         // macro: where it goes
  Frame frame;                                                         // of the body
  Frame test_frame, else_frame;                                        // for

  Stmt(StmtKind k, uint32_t l) : kind(k), line(l) {}
};

struct Tree {
  Body body;
  Frame frame;
  uint32_t strings = 0;              // string constants, each with a constant_index below
  std::vector<std::string> outside;  // names read from the variables, sorted
};

/// Reads a template. Throws Error (kInvalid) with `name` and the line: bad syntax, nesting over 100, over 200,000
/// nodes.
Tree parse_template(std::string_view source, const std::string& name);

/// Gives every name its place, by the rules of jinja2's compiler (idtracking.py): part of parse_template.
void resolve_names(Tree& tree, const std::string& name);

bool is_filter(std::string_view name);
bool is_test(std::string_view name);

}  // namespace godwit::jinja
