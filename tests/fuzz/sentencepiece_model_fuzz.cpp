// Any bytes as tokenizer.model: a model that encodes its own bytes, or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/sentencepiece_encoder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const SentencePieceEncoder encoder(parse_sentencepiece_model(bytes, "fuzz"));
    check_vocabulary(vocabulary_from_sentencepiece(encoder.model()));
    std::vector<int32_t> ids;
    encoder.encode(bytes.substr(0, 512), ids);
    for (const int32_t id : ids) {
      if (id < 0 || static_cast<size_t>(id) >= encoder.model().pieces.size()) __builtin_trap();
    }
  } catch (const Error&) {
  }
  return 0;
}
