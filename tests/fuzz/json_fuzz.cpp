// The JSON reader: any bytes give a value or an Error. What was read is written and read again without loss.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const godwit::Json value = godwit::parse_json(text, "fuzz");
    if (godwit::find_invalid_utf8(text) != std::string_view::npos) std::abort();
    if (godwit::parse_json(godwit::dump_json(value), "again") != value) std::abort();
  } catch (const godwit::Error& e) {
    const std::string_view message = e.what();
    if (message.size() > 512 || godwit::find_invalid_utf8(message) != std::string_view::npos) std::abort();
  }
  return 0;
}
