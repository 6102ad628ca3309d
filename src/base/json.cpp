#include "base/json.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace godwit {
namespace {

/// What the library's lexer would let pass or would buffer without bound: bytes that are not UTF-8, NUL (which it takes
/// for the end of the text) and tokens of any length.
void check_text(std::string_view text, const std::string& source) {
  if (const size_t at = find_invalid_utf8(text); at != std::string_view::npos)
    invalid("{}: byte {}: invalid UTF-8 (0x{:02x})", source, at, static_cast<unsigned char>(text[at]));
  if (const size_t at = text.find('\0'); at != std::string_view::npos) invalid("{}: byte {}: NUL in JSON", source, at);
  if (text.size() <= kJsonTokenBytes) return;
  bool in_string = false;
  size_t begin = 0;  // of the token
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (at - begin > kJsonTokenBytes) break;
    if (in_string ? c == '"' : (c == '"' || c == ',' || c == ':' || c == '[' || c == ']' || c == '{' || c == '}')) {
      if (c == '"') in_string = !in_string;
      begin = at + 1;
    } else if (in_string && c == '\\') {
      ++at;
    }
  }
  if (text.size() - begin > kJsonTokenBytes)
    invalid("{}: byte {}: a string, number or run of spaces is over {} bytes", source, begin, kJsonTokenBytes);
}

/// A position in the text that tells others how far it has come: the library does not say where an event was found.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* count_;
};

/// The library's events, counted for depth and passed on.
class Sax {
 public:
  Sax(std::string_view text, const std::string& source, size_t max_depth, JsonHandler& handler)
      : text_(text), source_(source), max_depth_(max_depth), handler_(handler) {}

  size_t count = 0;  // bytes read

  bool start_object(size_t /*elements*/) { return open() && (handler_.begin_object(), true); }
  bool start_array(size_t /*elements*/) { return open() && (handler_.begin_array(), true); }
  bool end_object() { return close() && (handler_.end_object(), true); }
  bool end_array() { return close() && (handler_.end_array(), true); }
  bool key(std::string& name) { return mark() && (handler_.key(std::move(name)), true); }
  bool string(std::string& value) { return mark() && (handler_.string(std::move(value)), true); }
  bool number_unsigned(uint64_t value) { return mark() && (handler_.unsigned_integer(value), true); }
  bool number_float(double value, const std::string& /*text*/) { return mark() && (handler_.real(value), true); }
  bool boolean(bool value) { return mark() && (handler_.boolean(value), true); }
  bool null() { return mark() && (handler_.null(), true); }
  bool binary(Json::binary_t& /*value*/) { return false; }  // JSON text has none
  bool number_integer(int64_t value) {
    mark();
    if (value < 0) {
      handler_.negative_integer(value);
    } else {
      handler_.real(-0.0);  // "-0"
    }
    return true;
  }

  template <class Exception>
  bool parse_error(size_t position, const std::string& /*last_token*/, const Exception& error) {
    constexpr int kOutOfRange = 406;
    const size_t at = std::min(position > 0 ? position - 1 : 0, text_.size());
    if (error.id == kOutOfRange) invalid("{}: byte {}: a number is outside the range of double", source_, at);
    if (at == text_.size()) invalid("{}: byte {}: invalid JSON: the text ends too early", source_, at);
    constexpr size_t kShown = 24;
    invalid("{}: byte {}: invalid JSON: unexpected {}", source_, at, quoted(text_.substr(at), kShown));
  }

 private:
  bool mark() {
    handler_.offset = count;
    return true;
  }
  bool open() {
    if (++depth_ > max_depth_) invalid("{}: byte {}: JSON nested deeper than {}", source_, count, max_depth_);
    return mark();
  }
  bool close() {
    --depth_;
    return mark();
  }

  std::string_view text_;
  const std::string& source_;
  size_t max_depth_, depth_ = 0;
  JsonHandler& handler_;
};

/// Builds the tree. Places are pointers: a parent gets no other child before the one being filled is complete.
class TreeBuilder : public JsonHandler {
 public:
  explicit TreeBuilder(const std::string& source) : source_(source) {}
  Json root;

  void begin_object() override { open_.push_back({&(next() = Json::object()), {}}); }
  void begin_array() override { open_.push_back({&(next() = Json::array()), {}}); }
  void end_array() override { open_.pop_back(); }
  void key(std::string&& name) override {
    auto& object = open_.back().node->get_ref<Json::object_t&>();
    // Appended, not inserted: inserting looks for the key, which takes quadratic time over a vocabulary.
    static_cast<Json::object_t::Container&>(object).emplace_back(std::move(name), Json());
    value_ = &object.back().second;
    open_.back().key_offsets.push_back(offset);
  }
  void end_object() override {
    const auto& object = open_.back().node->get_ref<const Json::object_t&>();
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& [name, value] : object) keys.push_back(name);
    if (const size_t i = find_duplicate(keys); i != std::string_view::npos)
      invalid("{}: byte {}: duplicate key {}", source_, open_.back().key_offsets[i], quoted(keys[i]));
    open_.pop_back();
  }
  void string(std::string&& value) override { next() = std::move(value); }
  void unsigned_integer(uint64_t value) override { next() = value; }
  void negative_integer(int64_t value) override { next() = value; }
  void real(double value) override { next() = value; }
  void boolean(bool value) override { next() = value; }
  void null() override { next() = nullptr; }

 private:
  struct Open {
    Json* node;
    std::vector<size_t> key_offsets;
  };

  Json& next() {
    if (open_.empty()) return root;
    if (open_.back().node->is_object()) return *value_;
    return open_.back().node->get_ref<Json::array_t&>().emplace_back();
  }

  const std::string& source_;
  std::vector<Open> open_;
  Json* value_ = nullptr;  // of the last key
};

}  // namespace

void walk_json(std::string_view text, const std::string& source, size_t max_depth, JsonHandler& handler) {
  check_text(text, source);
  Sax sax(text, source, max_depth, handler);
  const CountingIterator begin(text.data(), &sax.count);
  const CountingIterator end(text.data() + text.size(), &sax.count);
  Json::sax_parse(begin, end, &sax);
}

Json parse_json(std::string_view text, const std::string& source, size_t max_depth) {
  TreeBuilder builder(source);
  walk_json(text, source, max_depth, builder);
  return std::move(builder.root);
}

Json parse_python_json(std::string_view text, const std::string& source) {
  constexpr std::string_view kWords[] = {"-Infinity", "Infinity"};
  std::string changed;
  size_t copied = 0;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') in_string = !in_string;
    if (in_string) {
      at += text[at] == '\\' ? 1 : 0;
      continue;
    }
    for (const std::string_view word : kWords) {
      if (!text.substr(at).starts_with(word)) continue;
      changed.append(text.substr(copied, at - copied)).append(R"({"__float__":")").append(word).append("\"}");
      copied = at + word.size();
      at = copied - 1;
      break;
    }
  }
  if (copied == 0) return parse_json(text, source);
  return parse_json(changed.append(text.substr(copied)), source);
}

std::string dump_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace godwit
