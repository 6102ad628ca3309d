// Any bytes as tokenizer.json: a vocabulary that can be used and written again, or an Error.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit;
  HfTokenizerFiles files;
  files.source = "fuzz";
  files.tokenizer.assign(reinterpret_cast<const char*>(data), size);
  try {
    const Vocabulary vocabulary = vocabulary_from_hf(files);
    std::string why_not;
    const auto tokenizer = make_tokenizer(vocabulary, why_not);
    if (tokenizer == nullptr) return 0;
    tokenizer->decode(tokenizer->encode(files.tokenizer.substr(0, 256)));
    hf_from_vocabulary(vocabulary);
  } catch (const Error&) {
  }
  return 0;
}
