// The values of a template while it runs: Python's, as far as templates can have them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/template_ast.h"
#include "text/template_text.h"

namespace godwit::jinja {

struct Object;

/// What one rendering has used of what it may take, and where it is.
class Runtime {
 public:
  /// Without limits, until start().
  explicit Runtime(const std::string& name) : name_(name) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Takes steps; `copied` and `scanned` by bytes moved or looked at.
  void step(uint64_t count = 1) {
    if (count > steps_) fail("more than {} steps: a loop that does not end soon", limits_.steps);
    steps_ -= count;
  }
  void copied(uint64_t bytes) { spend(bytes, 1024); }
  void scanned(uint64_t bytes) { spend(bytes, 64); }

  /// Looking for a pattern in a text, which takes both their lengths when they are all but alike.
  void searched(uint64_t text, uint64_t pattern) {
    scanned(text);
    if (pattern > 32) spend(text * (pattern / 8), 1024);
  }

  /// Throws unless so many more bytes fit into the values' memory. To be asked before the memory is taken.
  void check_room(uint64_t bytes) const {
    if (bytes > limits_.memory || used_ > limits_.memory - bytes) fail("more than {} bytes of values", limits_.memory);
  }
  void take(uint64_t bytes) { used_ += bytes; }
  void give(uint64_t bytes) { used_ -= bytes; }
  /// So many bytes more may be used.
  void allow(uint64_t bytes) { limits_.memory += bytes; }
  /// From here on the limits hold: what has been used so far, by the variables, does not count.
  void start(const RenderLimits& limits, uint64_t more_steps) {
    limits_ = limits;
    limits_.memory = std::min(limits.memory, uint64_t{1} << 31) + used_;
    limits_.output = std::min(limits.output, uint64_t{1} << 31);  // ranges are of 32 bits
    limits_.steps = limits.steps + std::min(more_steps, UINT64_MAX - limits.steps);
    steps_ = limits_.steps;
  }
  uint64_t used() const { return used_; }

  /// Destroys an object that nothing refers to any more: not at once when called from a destructor, so that a chain of
  /// objects of any length is no deep recursion.
  void bury(Object* object);

  /// Throws Error (kInvalid) with the template's name and line.
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    fail_with(fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail_with(const std::string& what) const;

  const RenderLimits& limits() const { return limits_; }

  uint32_t line = 0;  // of what is being run
  int depth = 0;      // of evaluation, in nested expressions, statements and values

 private:
  static RenderLimits unlimited() {
    RenderLimits limits;
    limits.steps = UINT64_MAX;
    limits.memory = UINT64_MAX / 2;
    return limits;
  }
  void spend(uint64_t bytes, uint64_t per_step) {
    carry_ += bytes * (1024 / per_step);
    if (carry_ >= 1024) step(carry_ / 1024);
    carry_ %= 1024;
  }

  RenderLimits limits_ = unlimited();
  uint64_t steps_ = UINT64_MAX;
  uint64_t carry_ = 0;
  uint64_t used_ = 0;
  const std::string& name_;
  std::vector<Object*> dead_;
  bool burying_ = false;
};

/// Guards recursion: of evaluation, or over values within values.
class Deeper {
 public:
  static constexpr int kMost = 1000;
  explicit Deeper(Runtime& runtime) : runtime_(runtime) {
    if (++runtime_.depth > kMost) {
      --runtime_.depth;
      runtime_.fail("more than {} operations within each other", kMost);
    }
  }
  ~Deeper() { --runtime_.depth; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  Runtime& runtime_;
};

enum class Kind : uint8_t {
  kMissing,  // not a value: an absent argument or an unset place
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,  // a dict's keys, values or items
  kRange,
  kIterator,
  kNamespace,
  kLoop,
  kMacro,
  kFunction,  // also a bound method
  kCycler,
  kJoiner,
};

/// What lives on the heap, counted in its Runtime's memory.
struct Object {
  Object(Runtime& r, uint64_t bytes) : runtime(r), size(bytes) { runtime.take(size); }
  virtual ~Object() { runtime.give(size); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  void resize(uint64_t bytes) {
    runtime.give(size);
    size = bytes;
    runtime.take(size);
  }

  Runtime& runtime;
  uint64_t size;
  uint32_t references = 0;
};

template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) ++object_->references;
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr && --object_->references == 0) object_->runtime.bury(object_);
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

class Value {
 public:
  Value() = default;
  Value(Kind kind, Ref<Object> object) : kind_(kind), object_(std::move(object)) {}
  static Value none() { return Value(Kind::kNone); }
  static Value of(bool value) {
    Value result(Kind::kBool);
    result.number_.boolean = value;
    return result;
  }
  static Value of(int64_t value) {
    Value result(Kind::kInt);
    result.number_.integer = value;
    return result;
  }
  static Value of(double value) {
    Value result(Kind::kFloat);
    result.number_.real = value;
    return result;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool missing() const { return kind_ == Kind::kMissing; }
  bool undefined() const { return kind_ == Kind::kUndefined; }
  bool string() const { return kind_ == Kind::kString; }
  /// bool, int or float: Python's numbers.
  bool number() const { return kind_ == Kind::kBool || kind_ == Kind::kInt || kind_ == Kind::kFloat; }
  /// int or bool, which is an int.
  bool integral() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }

  bool boolean() const { return number_.boolean; }
  int64_t integer() const { return kind_ == Kind::kBool ? (number_.boolean ? 1 : 0) : number_.integer; }
  double real() const { return kind_ == Kind::kFloat ? number_.real : static_cast<double>(integer()); }
  template <class T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  Object* object() const { return object_.get(); }

  /// Whether a number, true, false or none came from data. Strings know it themselves.
  bool from_data() const { return from_data_; }
  Value&& marked(bool from_data) && {
    from_data_ = from_data;
    return std::move(*this);
  }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kMissing;
  bool from_data_ = false;
  union {
    bool boolean;
    int64_t integer;
    double real;
  } number_ = {.integer = 0};
  Ref<Object> object_;
};

using Values = std::vector<Value>;

struct StringObject : Object {
  StringObject(Runtime& r, Text t, bool is_markup);
  Text text;
  bool markup;            // jinja2's Markup: escapes what is added to it
  size_t length() const;  // in code points
  /// The byte at which code point `index` (up to length()) begins.
  size_t offset(size_t index) const;

 private:
  mutable size_t length_ = static_cast<size_t>(-1);
};

struct UndefinedObject : Object {
  UndefinedObject(Runtime& r, std::string why) : Object(r, sizeof(*this) + why.size()), message(std::move(why)) {}
  std::string message;
};

/// A list or a tuple. None ever changes: the sandbox of transformers forbids it.
struct ListObject : Object {
  ListObject(Runtime& r, Values list)
      : Object(r, sizeof(*this) + list.size() * sizeof(Value)), items(std::move(list)) {}
  Values items;
  bool group = false;  // of groupby: .grouper and .list
};

struct DictObject : Object {
  explicit DictObject(Runtime& r) : Object(r, sizeof(*this)) {}
  std::vector<std::pair<Value, Value>> items;         // in order of insertion
  std::map<std::string, size_t, std::less<>> places;  // by hash_key

  const Value* find(std::string_view key) const {
    const auto found = places.find(key);
    return found == places.end() ? nullptr : &items[found->second].second;
  }
};

struct ViewObject : Object {
  enum class Part : uint8_t { kKeys, kValues, kItems };
  ViewObject(Runtime& r, Ref<DictObject> of, Part p) : Object(r, sizeof(*this)), dict(std::move(of)), part(p) {}
  Ref<DictObject> dict;
  Part part;
};

struct RangeObject : Object {
  RangeObject(Runtime& r, int64_t from, int64_t to, int64_t by, int64_t n)
      : Object(r, sizeof(*this)), start(from), stop(to), step(by), count(n) {}
  int64_t start, stop, step, count;
  /// The number at `index` < count. What overflows on the way comes back by the end.
  int64_t at(int64_t index) const {
    return static_cast<int64_t>(static_cast<uint64_t>(start) +
                                static_cast<uint64_t>(index) * static_cast<uint64_t>(step));
  }
};

/// Gives its values one after the other, once: a generator, too.
struct IteratorObject : Object {
  using Next = std::function<bool(Value&)>;
  IteratorObject(Runtime& r, Next f) : Object(r, sizeof(*this) + 64), function(std::move(f)) {}
  /// The next value; false at the end. An iterator may ask others: they count as depth.
  bool next(Value& out) {
    const Deeper deeper(runtime);
    return function(out);
  }
  Next function;
};

struct NamespaceObject : Object {
  explicit NamespaceObject(Runtime& r) : Object(r, sizeof(*this)) {}
  std::map<std::string, Value, std::less<>> attributes;
};

/// The places of a scope that is being run.
struct ScopeObject : Object {
  ScopeObject(Runtime& r, const Frame& f, Ref<ScopeObject> outside)
      : Object(r, sizeof(*this) + f.loads.size() * sizeof(Value)),
        frame(f),
        parent(std::move(outside)),
        places(f.loads.size()) {}
  const Frame& frame;
  Ref<ScopeObject> parent;
  Values places;
};

struct LoopObject : Object {
  LoopObject(Runtime& r, Value over, Ref<IteratorObject> i)
      : Object(r, sizeof(*this)), iterable(std::move(over)), iterator(std::move(i)) {}
  Value iterable;
  Ref<IteratorObject> iterator;
  int64_t index0 = -1;
  int64_t length = -1;  // -1: not asked yet
  int64_t depth0 = 0;
  Value before, current, after;  // missing when there is none or, after, when it has not been looked at
  Values changed;
  bool has_changed = false;
  const Stmt* recursive = nullptr;  // the statement to run again, in this scope
  Ref<ScopeObject> scope;
};

struct MacroObject : Object {
  MacroObject(Runtime& r, const Stmt& s, Ref<ScopeObject> in)
      : Object(r, sizeof(*this)), stmt(s), scope(std::move(in)) {}
  const Stmt& stmt;
  Ref<ScopeObject> scope;
};

class Interpreter;
struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
  bool names_from_data = false;  // some name is of ** of a dict whose keys are data
};

struct FunctionObject : Object {
  using Body = std::function<Value(Interpreter&, Arguments&)>;
  FunctionObject(Runtime& r, Body b, std::string n)
      : Object(r, sizeof(*this) + 64), body(std::move(b)), name(std::move(n)) {}
  Body body;
  std::string name;
};

struct CyclerObject : Object {
  CyclerObject(Runtime& r, Values v) : Object(r, sizeof(*this) + v.size() * sizeof(Value)), items(std::move(v)) {}
  Values items;
  size_t at = 0;
};

struct JoinerObject : Object {
  JoinerObject(Runtime& r, Value s) : Object(r, sizeof(*this)), separator(std::move(s)) {}
  Value separator;
  bool used = false;
};

/// Makes an object of `kind`, once its size has been found to fit.
template <class T, class... Args>
Ref<T> make_object(Runtime& runtime, Args&&... args) {
  runtime.check_room(sizeof(T));
  return Ref<T>(new T(runtime, std::forward<Args>(args)...));
}
template <class T>
Value wrap(Kind kind, const Ref<T>& object) {
  return Value(kind, Ref<Object>(object.get()));
}

Value make_string(Runtime& runtime, Text text, bool markup = false);
Value make_list(Runtime& runtime, Values items, Kind kind = Kind::kList);
Value make_undefined(Runtime& runtime, std::string message);
Value make_iterator(Runtime& runtime, IteratorObject::Next next);

/// What Python calls the type.
const char* type_name(const Value& value);

/// Builds a text within the memory that values may take, counting its steps.
class Builder {
 public:
  explicit Builder(Runtime& runtime) : runtime_(runtime) {}
  /// What is shown in the end: within the limit of its own.
  static Builder output(Runtime& runtime) {
    Builder builder(runtime);
    builder.output_ = true;
    return builder;
  }
  void add(std::string_view text, bool is_data) {
    grow(text.size());
    text_.append(text, is_data);
  }
  void add(const Text& text) { add(text, 0, text.bytes.size()); }
  void add(const Text& text, size_t begin, size_t end) {
    grow(end - begin + (text.data.empty() ? 0 : sizeof(TextRange)));
    text_.append(text, begin, end);
  }
  Text& text() { return text_; }
  Value value(bool markup = false) { return make_string(runtime_, std::move(text_), markup); }

 private:
  void grow(size_t bytes) {
    runtime_.copied(bytes);
    if (!output_) return runtime_.check_room(text_.bytes.size() + text_.data.size() * sizeof(TextRange) + bytes);
    const uint64_t most = runtime_.limits().output;
    if (text_.bytes.size() + bytes > most) runtime_.fail("more than {} bytes of output", most);
  }
  Runtime& runtime_;
  bool output_ = false;
  Text text_;
};

/// A string that tells equal keys, as Python's dict does (1, 1.0 and true are one), from others. Throws for what Python
/// cannot hash.
std::string hash_key(Runtime& runtime, const Value& value);
void dict_set(Runtime& runtime, DictObject& dict, Value key, Value value);
const Value* dict_find(Runtime& runtime, const DictObject& dict, const Value& key);

bool truth(Runtime& runtime, const Value& value);
bool equal(Runtime& runtime, const Value& a, const Value& b);
/// Python's a < b, > b, ...: throws for what has no order. `or_equal`: <= and >=.
bool less(Runtime& runtime, const Value& a, const Value& b, bool or_equal);
bool contains(Runtime& runtime, const Value& in, const Value& item);
/// Python's len; throws for what has none.
int64_t length(Runtime& runtime, const Value& value);
bool has_length(const Value& value);

/// Python's iter; throws for what cannot be gone through.
Ref<IteratorObject> iterate(Runtime& runtime, const Value& value);
bool iterable(const Value& value);
/// Python's list(value).
Values to_values(Runtime& runtime, const Value& value);

/// Python's str and repr.
Text to_text(Runtime& runtime, const Value& value);
Text to_repr(Runtime& runtime, const Value& value);
std::string float_repr(double value);

/// Python's json.dumps.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  bool indented = false;
  Text indent;
  Text item_separator = Text(", ", false);
  Text key_separator = Text(": ", false);
};
Text to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace godwit::jinja
