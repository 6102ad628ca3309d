// A model's chat template: messages to text. Templates are programs in Jinja2 that come with a model's file: hostile
// input, run here by an interpreter of our own behind limits, to the same bytes as Python's jinja2 3.1 as transformers
// 5 calls it (sandboxed and immutable, trim_blocks, lstrip_blocks, loop controls, `generation`, `tojson`,
// `raise_exception`, `strftime_now`).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "text/text_range.h"

namespace godwit {

/// What a template gave. `from_data`, rising, disjoint and not touching: the bytes that came from the messages, tools
/// or other data, or from an operation whose result cannot be told apart; all others are the template's own. Only in
/// those may a tokenizer look for control tokens.
struct RenderedText {
  std::string text;
  std::vector<TextRange> from_data;
};

/// What one rendering may take. Whatever goes over is an Error (kInvalid) that names the limit.
struct RenderLimits {
  /// Statements, operations and values visited; long strings count by length. To these come 1000 for each value of the
  /// variables and 8 for each byte of their text: templates look back over a long conversation again and again.
  uint64_t steps = 2'000'000;
  int depth = 64;                        // of macros that call each other
  uint64_t output = uint64_t{8} << 20;   // bytes of the text
  uint64_t memory = uint64_t{64} << 20;  // bytes of the values alive at once, the variables apart
  uint64_t range = 100'000;              // numbers in a range()
  /// What strftime_now says the time is: seconds since 1970 (UTC), printed in the local time zone; unset: now.
  std::optional<int64_t> now;
};

class ChatTemplate {
 public:
  /// Reads the source (at most 1 MiB of UTF-8). Throws Error (kInvalid) with `name`, the line and what was expected.
  ChatTemplate(std::string source, std::string name);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// Renders with a JSON object of variables (messages, tools, add_generation_prompt, bos_token, ...). The template's
  /// own, not data, are top-level strings whose names end in `_token` or that `trusted` names, and the `role` of a
  /// message where it is a plain word (letters, digits, - and _): templates spell `<|user|>` with it. Throws Error
  /// (kInvalid) with `name` and the line: raise_exception's text, what Python would raise, or a limit.
  RenderedText render(const Json& variables, const RenderLimits& limits = {},
                      const std::vector<std::string>& trusted = {}) const;

  const std::string& source() const;

  /// How many characters of the source show nothing or change the direction of what is shown (zero-width, bidirectional
  /// and tag characters): a template that hides text from its readers deserves a warning.
  size_t hidden_characters() const;

  /// Whether the template reads this variable from outside anywhere: say "tools" or "enable_thinking".
  bool uses(std::string_view variable) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

/// A template by the name of its family, for files that have none: chatml, llama2, llama3, mistral, gemma, phi3, ...;
/// null when unknown.
const char* builtin_template(std::string_view name);
/// All names that builtin_template knows, sorted.
std::vector<std::string> builtin_template_names();

}  // namespace godwit
