#include "text/chat_template.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "text/template_interpreter.h"

namespace godwit::jinja {
namespace {

constexpr size_t kSourceBytes = size_t{1} << 20;

// Roles that templates know. Another word may be part of a control token, as in <|im_end|>, and stays data.
bool is_known_role(std::string_view role) {
  static constexpr std::array<std::string_view, 15> kRoles = {
      "system",  "user",  "assistant", "developer", "tool",   "tools",       "function",   "model",
      "ipython", "human", "gpt",       "bot",       "critic", "environment", "observation"};
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

// JSON as the template's values.
class Variables {
 public:
  explicit Variables(Interpreter& interpreter) : in_(interpreter), runtime_(interpreter.runtime()) {}

  Value convert(const Json& json, bool data) {
    const Deeper deeper(runtime_);
    steps_ += 1000;
    switch (json.type()) {
      case Json::value_t::boolean:
        return Value::of(json.get<bool>()).marked(data);
      case Json::value_t::number_integer:
        return Value::of(json.get<int64_t>()).marked(data);
      case Json::value_t::number_unsigned: {
        const uint64_t number = json.get<uint64_t>();
        if (number <= static_cast<uint64_t>(INT64_MAX)) return Value::of(static_cast<int64_t>(number)).marked(data);
        return Value::of(static_cast<double>(number)).marked(data);
      }
      case Json::value_t::number_float:
        return Value::of(json.get<double>()).marked(data);
      case Json::value_t::string:
        return text(json.get_ref<const std::string&>(), data);
      case Json::value_t::array: {
        Values items;
        items.reserve(json.size());
        for (const Json& item : json) items.push_back(convert(item, data));
        return make_list(runtime_, std::move(items));
      }
      case Json::value_t::object: {
        const Ref<DictObject> dict = make_object<DictObject>(runtime_);
        for (auto item = json.begin(); item != json.end(); ++item) {
          dict_set(runtime_, *dict, text(item.key(), data), convert(item.value(), data));
        }
        return wrap(Kind::kDict, dict);
      }
      default:
        return Value::none().marked(data);
    }
  }

  Value messages(const Json& json) {
    if (!json.is_array()) return convert(json, true);
    Values items;
    items.reserve(json.size());
    for (const Json& message : json)
      items.push_back(message.is_object() ? one_message(message) : convert(message, true));
    return make_list(runtime_, std::move(items));
  }

  /// The steps that what has been converted is worth (RenderLimits).
  uint64_t steps() const { return steps_; }

 private:
  Value one_message(const Json& json) {
    steps_ += 1000;
    const Ref<DictObject> dict = make_object<DictObject>(runtime_);
    // A message's reasoning has three names; transformers gives templates the two that they read.
    const Json* reasoning = nullptr;
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const auto found = json.find(name);
      if (reasoning == nullptr && found != json.end() && !found->is_null()) reasoning = &*found;
    }
    if (reasoning != nullptr) dict_set(runtime_, *dict, text("thinking", true), convert(*reasoning, true));
    for (auto item = json.begin(); item != json.end(); ++item) {
      const bool own =
          item.key() == "role" && item.value().is_string() && is_known_role(item.value().get_ref<const std::string&>());
      dict_set(runtime_, *dict, text(item.key(), true), convert(item.value(), !own));
    }
    if (reasoning != nullptr) dict_set(runtime_, *dict, text("reasoning_content", true), convert(*reasoning, true));
    return wrap(Kind::kDict, dict);
  }

  Value text(const std::string& bytes, bool data) {
    const size_t bad = find_invalid_utf8(bytes);
    if (bad != std::string::npos) {
      runtime_.fail("a variable's text is not UTF-8: {} at byte {}", quoted(std::string_view(bytes).substr(bad, 4)),
                    bad);
    }
    if (bytes.size() > (size_t{1} << 31)) runtime_.fail("a variable's text of over 2 GiB");
    steps_ += 8 * bytes.size();
    return in_.text(Text(bytes, data));
  }

  Interpreter& in_;
  Runtime& runtime_;
  uint64_t steps_ = 0;
};

}  // namespace
}  // namespace godwit::jinja

namespace godwit {

struct ChatTemplate::Program {
  std::string source;
  std::string name;
  jinja::Tree tree;
};

ChatTemplate::ChatTemplate(std::string source, std::string name) : program_(std::make_unique<Program>()) {
  program_->name = std::move(name);
  if (source.size() > jinja::kSourceBytes) {
    invalid("{}: a chat template of {} bytes; at most {} are read", printable_path(program_->name), source.size(),
            jinja::kSourceBytes);
  }
  const size_t bad = find_invalid_utf8(source);
  if (bad != std::string::npos) {
    invalid("{}: a chat template is not UTF-8: {} at byte {}", printable_path(program_->name),
            quoted(std::string_view(source).substr(bad, 4)), bad);
  }
  program_->source = std::move(source);
  program_->tree = jinja::parse_template(program_->source, program_->name);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

const std::string& ChatTemplate::source() const { return program_->source; }

size_t ChatTemplate::hidden_characters() const {
  const auto hidden = [](uint32_t code) {
    return code == 0xAD || code == 0x61C || code == 0x180E || (code >= 0x200B && code <= 0x200F) ||
           (code >= 0x202A && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF ||
           (code >= 0xE0000 && code <= 0xE007F);
  };
  const std::string& text = program_->source;
  size_t count = 0;
  for (size_t at = 0; at < text.size();) {
    const jinja::CodePoint point = jinja::code_at(text, at);
    count += hidden(point.code) ? 1 : 0;
    at += point.length;
  }
  return count;
}

bool ChatTemplate::uses(std::string_view variable) const {
  const std::vector<std::string>& outside = program_->tree.outside;
  return std::binary_search(outside.begin(), outside.end(), variable);
}

RenderedText ChatTemplate::render(const Json& variables, const RenderLimits& limits,
                                  const std::vector<std::string>& trusted) const {
  jinja::Interpreter interpreter(program_->tree, program_->name);
  if (!variables.is_object()) invalid("{}: expected a JSON object of variables", printable_path(program_->name));
  // What transformers always passes.
  interpreter.set_variable("tools", jinja::Value::none());
  interpreter.set_variable("documents", jinja::Value::none());
  interpreter.set_variable("add_generation_prompt", jinja::Value::of(false));
  jinja::Variables from(interpreter);
  for (auto item = variables.begin(); item != variables.end(); ++item) {
    const std::string& name = item.key();
    const bool own = (name.ends_with("_token") && item.value().is_string()) ||
                     std::find(trusted.begin(), trusted.end(), name) != trusted.end();
    const bool messages = name == "messages" && !own;
    interpreter.set_variable(name, messages ? from.messages(item.value()) : from.convert(item.value(), !own));
  }
  interpreter.runtime().start(limits, from.steps());
  jinja::Text text = interpreter.render();
  return {std::move(text.bytes), std::move(text.data)};
}

}  // namespace godwit
