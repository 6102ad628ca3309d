// jinja2's parser (parser.py), rule by rule.
#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "text/template_ast.h"
#include "text/template_lexer.h"

namespace godwit::jinja {
namespace {

constexpr int kNesting = 100;         // blocks, brackets, signs and else-branches within each other
constexpr uint32_t kTreeDepth = 400;  // of an expression: a + b + c is three deep
constexpr uint32_t kNodes = 200'000;

class Parser {
 public:
  Parser(std::string_view source, const std::string& name) : lexer_(source, name), name_(name) {
    current_ = lexer_.next();
  }

  Tree parse() {
    Tree tree;
    tree.body = body({});
    tree.strings = strings_;
    return tree;
  }

 private:
  using Names = std::vector<std::string_view>;

  // Counts the nesting while it lives.
  struct Nested {
    explicit Nested(Parser& owner) : parser(owner) {
      if (++parser.nesting_ > kNesting) parser.fail(fmt::format("nested over {} deep", kNesting));
    }
    ~Nested() { --parser.nesting_; }
    Parser& parser;
  };

  [[noreturn]] void fail(const std::string& what) const {
    invalid("{}: line {}: {}", printable_path(name_), current_.line, what);
  }
  [[noreturn]] void expected(std::string_view what) const {
    fail(fmt::format("expected {}, got {}", what, describe(current_)));
  }

  Token take() {
    Token token = std::move(current_);
    if (ahead_) {
      current_ = std::move(*ahead_);
      ahead_.reset();
    } else {
      current_ = lexer_.next();
    }
    return token;
  }
  const Token& look() {
    if (!ahead_) ahead_ = lexer_.next();
    return *ahead_;
  }
  bool at_operator(std::string_view text) const { return current_.is_operator(text); }
  bool at_name(std::string_view text) const { return current_.is_name(text); }
  bool skip_operator(std::string_view text) {
    if (!at_operator(text)) return false;
    take();
    return true;
  }
  bool skip_name(std::string_view text) {
    if (!at_name(text)) return false;
    take();
    return true;
  }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) expected(fmt::format("'{}'", text));
  }
  void expect(TokenKind kind, std::string_view what) {
    if (current_.kind != kind) expected(what);
    take();
  }
  std::string expect_name() {
    if (current_.kind != TokenKind::kName) expected("a name");
    return take().text;
  }

  ExprPtr make(ExprKind kind, uint32_t line) {
    if (++nodes_ > kNodes) fail(fmt::format("more than {} expressions and statements", kNodes));
    return std::make_unique<Expr>(kind, line);
  }
  StmtPtr make(StmtKind kind, uint32_t line) {
    if (++nodes_ > kNodes) fail(fmt::format("more than {} expressions and statements", kNodes));
    return std::make_unique<Stmt>(kind, line);
  }
  void grow(Expr& parent, const Expr* child) {
    if (child == nullptr) return;
    parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kTreeDepth)
      fail(fmt::format("an expression of over {} operations within each other", kTreeDepth));
  }
  void add(Expr& parent, ExprPtr child) {
    grow(parent, child.get());
    parent.children.push_back(std::move(child));
  }
  ExprPtr string_constant(std::string text, uint32_t line) {
    ExprPtr node = make(ExprKind::kConstant, line);
    node->constant = std::move(text);
    node->constant_index = strings_++;
    return node;
  }
  ExprPtr constant(Constant value, uint32_t line) {
    ExprPtr node = make(ExprKind::kConstant, line);
    node->constant = std::move(value);
    return node;
  }

  // Statements.

  /// Statements up to a block that begins with one of `ends` (left as the current token); without, to the end.
  Body body(const Names& ends) {
    Body result;
    const auto output = [&](ExprPtr expr) {
      if (result.empty() || result.back()->kind != StmtKind::kOutput) {
        result.push_back(make(StmtKind::kOutput, expr->line));
      }
      result.back()->exprs.push_back(std::move(expr));
    };
    for (;;) {
      if (current_.kind == TokenKind::kEnd) {
        if (!ends.empty()) expected(tag_names(ends));
        return result;
      }
      if (current_.kind == TokenKind::kData) {
        Token token = take();
        output(string_constant(std::move(token.text), token.line));
      } else if (current_.kind == TokenKind::kVariableBegin) {
        take();
        output(tuple());
        expect(TokenKind::kVariableEnd, "'}}'");
      } else {
        take();  // kBlockBegin: nothing else comes between blocks
        if (current_.kind == TokenKind::kName && std::find(ends.begin(), ends.end(), current_.text) != ends.end()) {
          return result;
        }
        statement(result, ends);
        expect(TokenKind::kBlockEnd, "'%}'");
      }
    }
  }

  static std::string tag_names(const Names& ends) {
    std::string text = "{% ";
    for (const std::string_view end : ends)
      fmt::format_to(std::back_inserter(text), "{}{}", text.size() > 3 ? " or " : "", end);
    return text + " %}";
  }

  /// The body of a block whose head has been read, up to its end tag, which is the current token or, where it is the
  /// only one, taken.
  Body block(const Names& ends) {
    const Nested nested(*this);
    skip_operator(":");
    expect(TokenKind::kBlockEnd, "'%}'");
    Body result = body(ends);
    if (ends.size() == 1) take();
    return result;
  }

  void statement(Body& to, const Names& ends) {
    if (current_.kind != TokenKind::kName) expected("the name of a tag");
    const Token tag = take();
    const uint32_t line = tag.line;
    const std::string& name = tag.text;
    if (name == "for") return to.push_back(for_loop(line));
    if (name == "if") return to.push_back(if_chain(line));
    if (name == "set") return to.push_back(set(line));
    if (name == "macro") return to.push_back(macro(line));
    if (name == "call") return to.push_back(call_block(line));
    if (name == "filter") return to.push_back(filter_block(line));
    if (name == "with") return to.push_back(with(line));
    if (name == "generation") {
      StmtPtr stmt = make(StmtKind::kGeneration, line);
      const int loops = std::exchange(loops_, 0);
      stmt->bodies.push_back(block({"endgeneration"}));
      loops_ = loops;
      return to.push_back(std::move(stmt));
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) fail(fmt::format("{{% {} %}} outside of a loop", name));
      return to.push_back(make(name == "break" ? StmtKind::kBreak : StmtKind::kContinue, line));
    }
    if (name == "print") {
      StmtPtr stmt = make(StmtKind::kOutput, line);
      while (current_.kind != TokenKind::kBlockEnd) {
        if (!stmt->exprs.empty()) expect_operator(",");
        stmt->exprs.push_back(expression());
      }
      return to.push_back(std::move(stmt));
    }
    static constexpr std::array kElsewhere = {"block", "extends", "include", "import", "from", "autoescape"};
    if (std::find(kElsewhere.begin(), kElsewhere.end(), name) != kElsewhere.end()) {
      fail(fmt::format("{{% {} %}} is not for chat templates", name));
    }
    fail(fmt::format("unknown tag '{}'{}{}", printable(name, 40), ends.empty() ? "" : "; expected a statement or ",
                     ends.empty() ? "" : tag_names(ends)));
  }

  StmtPtr for_loop(uint32_t line) {
    StmtPtr stmt = make(StmtKind::kFor, line);
    stmt->target = target(false, {"in"});
    refuse_loop(*stmt->target);
    if (!skip_name("in")) expected("'in'");
    stmt->value = tuple(false, {"recursive"});
    if (skip_name("if")) stmt->test = expression();
    stmt->recursive = skip_name("recursive");
    ++loops_;
    stmt->bodies.push_back(block({"endfor", "else"}));
    --loops_;
    if (take().text == "else") stmt->bodies.push_back(block({"endfor"}));
    return stmt;
  }

  void refuse_loop(const Expr& to) const {
    if (to.kind == ExprKind::kName && to.name == "loop") fail("cannot assign to 'loop' as a loop's variable");
    for (const ExprPtr& child : to.children) refuse_loop(*child);
  }

  StmtPtr if_chain(uint32_t line) {
    StmtPtr stmt = make(StmtKind::kIf, line);
    for (;;) {
      stmt->exprs.push_back(tuple(false));
      stmt->bodies.push_back(block({"elif", "else", "endif"}));
      const Token end = take();
      if (end.text == "elif") continue;
      if (end.text == "else") stmt->bodies.push_back(block({"endif"}));
      return stmt;
    }
  }

  StmtPtr set(uint32_t line) {
    ExprPtr to = target(true, {});
    if (skip_operator("=")) {
      StmtPtr stmt = make(StmtKind::kSet, line);
      stmt->target = std::move(to);
      stmt->value = tuple();
      return stmt;
    }
    StmtPtr stmt = make(StmtKind::kSetBlock, line);
    stmt->target = std::move(to);
    stmt->value = filter(nullptr, false);
    stmt->bodies.push_back(block({"endset"}));
    return stmt;
  }

  void signature(Stmt& stmt) {
    expect_operator("(");
    while (!at_operator(")")) {
      if (!stmt.parameters.empty()) expect_operator(",");
      ExprPtr parameter = name_target();
      for (const ExprPtr& other : stmt.parameters) {
        if (other->name == parameter->name) fail("two parameters named '" + printable(parameter->name, 40) + "'");
      }
      if (stmt.parameters.size() >= 255) fail("more than 255 parameters");
      stmt.parameters.push_back(std::move(parameter));
      if (skip_operator("=")) {
        stmt.defaults.push_back(expression());
      } else if (!stmt.defaults.empty()) {
        fail("a parameter without a default behind one with a default");
      }
    }
    expect_operator(")");
  }

  StmtPtr macro(uint32_t line) {
    StmtPtr stmt = make(StmtKind::kMacro, line);
    stmt->name = expect_name();
    signature(*stmt);
    const int loops = std::exchange(loops_, 0);
    stmt->bodies.push_back(block({"endmacro"}));
    loops_ = loops;
    return stmt;
  }

  StmtPtr call_block(uint32_t line) {
    StmtPtr stmt = make(StmtKind::kCallBlock, line);
    if (at_operator("(")) signature(*stmt);
    stmt->value = expression();
    if (stmt->value->kind != ExprKind::kCall) expected("a call");
    const int loops = std::exchange(loops_, 0);
    stmt->bodies.push_back(block({"endcall"}));
    loops_ = loops;
    return stmt;
  }

  StmtPtr filter_block(uint32_t line) {
    StmtPtr stmt = make(StmtKind::kFilterBlock, line);
    stmt->value = filter(nullptr, true);
    stmt->bodies.push_back(block({"endfilter"}));
    return stmt;
  }

  StmtPtr with(uint32_t line) {
    StmtPtr stmt = make(StmtKind::kWith, line);
    stmt->target = make(ExprKind::kTuple, line);
    while (current_.kind != TokenKind::kBlockEnd) {
      if (!stmt->exprs.empty()) expect_operator(",");
      stmt->target->children.push_back(target(false, {}));
      expect_operator("=");
      stmt->exprs.push_back(expression());
    }
    stmt->bodies.push_back(block({"endwith"}));
    return stmt;
  }

  ExprPtr name_target() {
    const uint32_t line = current_.line;
    if (current_.kind == TokenKind::kName && reserved(current_.text)) expected("a name");
    ExprPtr node = make(ExprKind::kName, line);
    node->name = expect_name();
    return node;
  }

  static bool reserved(std::string_view name) {
    static constexpr std::string_view kWords[] = {"true", "false", "none", "True", "False", "None"};
    return std::find(std::begin(kWords), std::end(kWords), name) != std::end(kWords);
  }

  /// Appends items with commas between them, up to one of the ends. True where there was a comma: then it is a tuple.
  template <class F>
  bool comma_list(std::vector<ExprPtr>& items, const Names& ends, F item) {
    bool is_tuple = false;
    for (;;) {
      if (!items.empty()) expect_operator(",");
      if (tuple_ends(ends)) break;
      items.push_back(item());
      if (!at_operator(",")) break;
      is_tuple = true;
    }
    return is_tuple;
  }

  ExprPtr target(bool with_namespace, const Names& ends) {
    const Nested nested(*this);
    const uint32_t line = current_.line;
    std::vector<ExprPtr> items;
    const bool is_tuple = comma_list(items, ends, [&] { return target_item(with_namespace); });
    if (!is_tuple) {
      if (items.empty()) expected("a name");
      return std::move(items[0]);
    }
    ExprPtr node = make(ExprKind::kTuple, line);
    for (ExprPtr& item : items) add(*node, std::move(item));
    return node;
  }

  ExprPtr target_item(bool with_namespace) {
    if (skip_operator("(")) {
      ExprPtr inner = target(with_namespace, {});
      expect_operator(")");
      return inner;
    }
    ExprPtr node = name_target();
    if (with_namespace && skip_operator(".")) {
      node->kind = ExprKind::kNamespaceItem;
      node->attribute = expect_name();
    }
    return node;
  }

  // Expressions, loosest first.

  bool tuple_ends(const Names& ends) const {
    return current_.kind == TokenKind::kVariableEnd || current_.kind == TokenKind::kBlockEnd || at_operator(")") ||
           (current_.kind == TokenKind::kName && std::find(ends.begin(), ends.end(), current_.text) != ends.end());
  }

  ExprPtr tuple(bool conditional = true, const Names& ends = {}, bool in_parentheses = false) {
    const uint32_t line = current_.line;
    std::vector<ExprPtr> items;
    const bool is_tuple = comma_list(items, ends, [&] { return expression(conditional); });
    if (!is_tuple) {
      if (!items.empty()) return std::move(items[0]);
      if (!in_parentheses) expected("an expression");
    }
    ExprPtr node = make(ExprKind::kTuple, line);
    for (ExprPtr& item : items) add(*node, std::move(item));
    return node;
  }

  ExprPtr expression(bool conditional = true) {
    const Nested nested(*this);
    if (!conditional) return any_of();
    const uint32_t line = current_.line;
    ExprPtr value = any_of();
    while (skip_name("if")) {
      ExprPtr node = make(ExprKind::kConditional, line);
      add(*node, std::move(value));
      add(*node, any_of());
      add(*node, skip_name("else") ? expression() : nullptr);
      value = std::move(node);
    }
    return value;
  }

  ExprPtr pair(ExprKind kind, ExprPtr left, ExprPtr right) {
    ExprPtr node = make(kind, left->line);
    add(*node, std::move(left));
    add(*node, std::move(right));
    return node;
  }

  ExprPtr any_of() {
    ExprPtr left = all_of();
    while (skip_name("or")) left = pair(ExprKind::kOr, std::move(left), all_of());
    return left;
  }

  ExprPtr all_of() {
    ExprPtr left = negation();
    while (skip_name("and")) left = pair(ExprKind::kAnd, std::move(left), negation());
    return left;
  }

  ExprPtr negation() {
    if (!at_name("not")) return comparison();
    const Nested nested(*this);
    ExprPtr node = make(ExprKind::kNot, take().line);
    add(*node, negation());
    return node;
  }

  std::optional<Comparison> comparison_operator() {
    static constexpr std::pair<std::string_view, Comparison> kOperators[] = {
        {"==", Comparison::kEqual},     {"!=", Comparison::kNotEqual}, {"<", Comparison::kLess},
        {"<=", Comparison::kLessEqual}, {">", Comparison::kGreater},   {">=", Comparison::kGreaterEqual}};
    if (current_.kind == TokenKind::kOperator) {
      for (const auto& known : kOperators) {
        if (skip_operator(known.first)) return known.second;
      }
      return std::nullopt;
    }
    if (skip_name("in")) return Comparison::kIn;
    if (at_name("not") && look().is_name("in")) {
      take();
      take();
      return Comparison::kNotIn;
    }
    return std::nullopt;
  }

  ExprPtr comparison() {
    ExprPtr first = sum();
    ExprPtr node;
    while (const std::optional<Comparison> comparison = comparison_operator()) {
      if (!node) {
        node = make(ExprKind::kCompare, first->line);
        add(*node, std::move(first));
      }
      node->comparisons.push_back(*comparison);
      add(*node, sum());
    }
    return node ? std::move(node) : std::move(first);
  }

  ExprPtr sum() {
    ExprPtr left = concatenation();
    for (;;) {
      if (skip_operator("+")) {
        left = pair(ExprKind::kAdd, std::move(left), concatenation());
      } else if (skip_operator("-")) {
        left = pair(ExprKind::kSubtract, std::move(left), concatenation());
      } else {
        return left;
      }
    }
  }

  ExprPtr concatenation() {
    ExprPtr first = product();
    if (!at_operator("~")) return first;
    ExprPtr node = make(ExprKind::kConcat, first->line);
    add(*node, std::move(first));
    while (skip_operator("~")) add(*node, product());
    return node;
  }

  ExprPtr product() {
    ExprPtr left = power();
    for (;;) {
      if (skip_operator("*")) {
        left = pair(ExprKind::kMultiply, std::move(left), power());
      } else if (skip_operator("/")) {
        left = pair(ExprKind::kDivide, std::move(left), power());
      } else if (skip_operator("//")) {
        left = pair(ExprKind::kFloorDivide, std::move(left), power());
      } else if (skip_operator("%")) {
        left = pair(ExprKind::kModulo, std::move(left), power());
      } else {
        return left;
      }
    }
  }

  ExprPtr power() {
    ExprPtr left = unary(true);
    while (skip_operator("**")) left = pair(ExprKind::kPower, std::move(left), unary(true));
    return left;
  }

  ExprPtr unary(bool with_filter) {
    ExprPtr node;
    if (at_operator("-") || at_operator("+")) {
      const Nested nested(*this);
      const Token sign = take();
      node = make(sign.text == "-" ? ExprKind::kNegative : ExprKind::kPositive, sign.line);
      add(*node, unary(false));
    } else {
      node = primary();
    }
    node = postfix(std::move(node));
    return with_filter ? filters(std::move(node)) : std::move(node);
  }

  ExprPtr primary() {
    const uint32_t line = current_.line;
    switch (current_.kind) {
      case TokenKind::kName: {
        const std::string& text = current_.text;
        if (reserved(text)) {
          Constant value = None{};
          if (text == "true" || text == "True") value = true;
          if (text == "false" || text == "False") value = false;
          take();
          return constant(std::move(value), line);
        }
        ExprPtr node = make(ExprKind::kName, line);
        node->name = take().text;
        return node;
      }
      case TokenKind::kString: {
        std::string text = take().text;
        while (current_.kind == TokenKind::kString) text += take().text;
        return string_constant(std::move(text), line);
      }
      case TokenKind::kInteger:
        return constant(take().integer, line);
      case TokenKind::kFloat:
        return constant(take().real, line);
      default:
        break;
    }
    if (skip_operator("(")) {
      ExprPtr node = tuple(true, {}, true);
      expect_operator(")");
      return node;
    }
    if (skip_operator("[")) {
      ExprPtr node = make(ExprKind::kList, line);
      while (!at_operator("]")) {
        if (!node->children.empty()) expect_operator(",");
        if (at_operator("]")) break;
        add(*node, expression());
      }
      take();
      return node;
    }
    if (skip_operator("{")) {
      ExprPtr node = make(ExprKind::kDict, line);
      while (!at_operator("}")) {
        if (!node->children.empty()) expect_operator(",");
        if (at_operator("}")) break;
        add(*node, expression());
        expect_operator(":");
        add(*node, expression());
      }
      take();
      return node;
    }
    expected("an expression");
  }

  ExprPtr postfix(ExprPtr node) {
    for (;;) {
      if (at_operator(".") || at_operator("[")) {
        node = subscript(std::move(node));
      } else if (at_operator("(")) {
        node = call(std::move(node));
      } else {
        return node;
      }
    }
  }

  ExprPtr filters(ExprPtr node) {
    for (;;) {
      if (at_operator("|")) {
        node = filter(std::move(node), false);
      } else if (at_name("is")) {
        node = test(std::move(node));
      } else if (at_operator("(")) {
        node = call(std::move(node));
      } else {
        return node;
      }
    }
  }

  ExprPtr subscript(ExprPtr of) {
    const Token token = take();
    if (token.text == ".") {
      if (current_.kind == TokenKind::kName) {
        ExprPtr node = make(ExprKind::kAttribute, token.line);
        add(*node, std::move(of));
        node->name = take().text;
        return node;
      }
      if (current_.kind != TokenKind::kInteger) expected("a name or a number");
      return pair(ExprKind::kItem, std::move(of), constant(take().integer, token.line));
    }
    const Nested nested(*this);
    std::vector<ExprPtr> items;
    while (!at_operator("]")) {
      if (!items.empty()) expect_operator(",");
      items.push_back(slice_or_item());
    }
    take();
    if (items.size() == 1 && items[0]->kind == ExprKind::kSlice) {
      ExprPtr node = std::move(items[0]);
      grow(*node, of.get());
      node->children.insert(node->children.begin(), std::move(of));
      return node;
    }
    if (items.size() == 1) return pair(ExprKind::kItem, std::move(of), std::move(items[0]));
    ExprPtr key = make(ExprKind::kTuple, token.line);
    for (ExprPtr& item : items) {
      if (item->kind == ExprKind::kSlice) fail("a slice within a tuple of subscripts");
      add(*key, std::move(item));
    }
    return pair(ExprKind::kItem, std::move(of), std::move(key));
  }

  ExprPtr slice_or_item() {
    const uint32_t line = current_.line;
    ExprPtr first;
    if (!at_operator(":")) {
      first = expression();
      if (!at_operator(":")) return first;
    }
    take();
    const auto part_ends = [&] { return at_operator(":") || at_operator("]") || at_operator(","); };
    ExprPtr node = make(ExprKind::kSlice, line);
    add(*node, std::move(first));
    add(*node, part_ends() ? nullptr : expression());
    add(*node, skip_operator(":") && !part_ends() ? expression() : nullptr);
    return node;
  }

  std::unique_ptr<CallArguments> arguments(Expr& owner) {
    expect_operator("(");
    auto result = std::make_unique<CallArguments>();
    const auto ensure = [&](bool allowed) {
      if (!allowed) fail("arguments out of order: expected positional, then named, then * and **");
    };
    bool comma = false;
    while (!at_operator(")")) {
      if (comma) {
        expect_operator(",");
        if (at_operator(")")) break;
      }
      comma = true;
      if (skip_operator("*")) {
        ensure(!result->star && !result->stars);
        result->star = expression();
        grow(owner, result->star.get());
      } else if (skip_operator("**")) {
        ensure(!result->stars);
        result->stars = expression();
        grow(owner, result->stars.get());
      } else if (current_.kind == TokenKind::kName && look().is_operator("=")) {
        ensure(!result->stars);
        std::string name = take().text;
        take();
        for (const auto& other : result->named) {
          if (other.first == name) fail("two arguments named '" + printable(name, 40) + "'");
        }
        if (result->named.size() >= 255) fail("more than 255 named arguments");
        result->named.emplace_back(std::move(name), expression());
        grow(owner, result->named.back().second.get());
      } else {
        ensure(!result->star && !result->stars && result->named.empty());
        result->positional.push_back(expression());
        grow(owner, result->positional.back().get());
      }
    }
    take();
    return result;
  }

  ExprPtr call(ExprPtr of) {
    ExprPtr node = make(ExprKind::kCall, current_.line);
    add(*node, std::move(of));
    node->arguments = arguments(*node);
    return node;
  }

  std::string dotted_name() {
    std::string name = expect_name();
    while (skip_operator(".")) name += "." + expect_name();
    return name;
  }

  ExprPtr filter(ExprPtr of, bool at_name) {
    while (at_name || at_operator("|")) {
      if (!at_name) take();
      at_name = false;
      ExprPtr node = make(ExprKind::kFilter, current_.line);
      node->name = dotted_name();
      add(*node, std::move(of));
      node->arguments = at_operator("(") ? arguments(*node) : std::make_unique<CallArguments>();
      of = std::move(node);
    }
    return of;
  }

  ExprPtr test(ExprPtr of) {
    const uint32_t line = take().line;
    const bool negated = skip_name("not");
    ExprPtr node = make(ExprKind::kTest, line);
    node->name = dotted_name();
    add(*node, std::move(of));
    const bool begins_argument = current_.kind == TokenKind::kName || current_.kind == TokenKind::kString ||
                                 current_.kind == TokenKind::kInteger || current_.kind == TokenKind::kFloat ||
                                 at_operator("[") || at_operator("{");
    if (at_operator("(")) {
      node->arguments = arguments(*node);
    } else {
      node->arguments = std::make_unique<CallArguments>();
      if (begins_argument && !at_name("else") && !at_name("or") && !at_name("and")) {
        if (at_name("is")) fail("tests cannot be chained with 'is'");
        const Nested nested(*this);
        node->arguments->positional.push_back(postfix(primary()));
        grow(*node, node->arguments->positional.back().get());
      }
    }
    if (!negated) return node;
    ExprPtr result = make(ExprKind::kNot, line);
    add(*result, std::move(node));
    return result;
  }

  Lexer lexer_;
  const std::string& name_;
  Token current_;
  std::optional<Token> ahead_;
  int nesting_ = 0;
  int loops_ = 0;  // around here, within the same macro
  uint32_t nodes_ = 0;
  uint32_t strings_ = 0;
};

}  // namespace

Tree parse_template(std::string_view source, const std::string& name) {
  Tree tree = Parser(source, name).parse();
  resolve_names(tree, name);
  return tree;
}

}  // namespace godwit::jinja
