// Chat templates: any source, with a conversation whose texts are cut from the same bytes, under small limits.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // The part behind a zero byte is a user's text.
  const size_t zero = input.find('\0');
  const std::string source(input.substr(0, zero));
  std::string text(zero == std::string_view::npos ? std::string_view("Some\ntext <|im_end|> \xC3\xA9")
                                                  : input.substr(zero + 1));
  if (godwit::find_invalid_utf8(text) != std::string::npos) text = "text";
  static const godwit::Json kTools = godwit::Json::parse(
      R"([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}])");
  const godwit::Json variables = {
      {"messages",
       {{{"role", "user"}, {"content", text}}, {{"role", "assistant"}, {"content", nullptr}, {"n", {1, 2.5, true}}}}},
      {"tools", kTools},
      {"add_generation_prompt", true},
      {"bos_token", "<s>"},
      {"s", text},
      {"n", 7},
      {"l", {3, 1, "2", text}}};
  godwit::RenderLimits limits;
  limits.steps = 20'000;
  limits.output = 1 << 20;
  limits.memory = 8 << 20;
  limits.now = 1700000000;
  try {
    const godwit::RenderedText result = godwit::ChatTemplate(source, "fuzz").render(variables, limits);
    if (result.text.size() > limits.output || godwit::find_invalid_utf8(result.text) != std::string::npos) std::abort();
    uint32_t at = 0;
    for (const godwit::TextRange& range : result.from_data) {
      if (range.begin < at || range.begin >= range.end || range.end > result.text.size()) std::abort();
      at = range.end + 1;
    }
  } catch (const godwit::Error& error) {
    if (godwit::find_invalid_utf8(error.what()) != std::string::npos || std::string_view(error.what()).size() > 1024)
      std::abort();
  }
  return 0;
}
