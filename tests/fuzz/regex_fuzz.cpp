// A line is the expression, what follows is text: matches in order and within the text, the same the second time, or
// an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "text/regex.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t line = bytes.find('\n');
  const std::string_view text = line == std::string_view::npos ? std::string_view() : bytes.substr(line + 1);
  try {
    const Regex regex = Regex::compile(bytes.substr(0, line), "fuzz");
    uint32_t at = 0;
    const std::vector<Regex::Range> matches = regex.find_all(text);
    for (const Regex::Range& match : matches) {
      if (match.begin < at || match.end < match.begin || match.end > text.size()) __builtin_trap();
      at = match.end;
    }
    if (regex.find_all(text) != matches) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
