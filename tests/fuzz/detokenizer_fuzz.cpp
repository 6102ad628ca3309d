// Any ids through the decoders of every kind: what streams is the whole text's, well-formed, and independent of the
// cuts.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "text/detokenizer.h"
#include "text/stop.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

namespace godwit {
namespace {

/// Pieces with spaces, marks, bytes and halves of characters.
constexpr const char* kVocabulary =
    R"("vocab": {"<unk>": 0, "<s>": 1, "a": 2, "\u2581": 3, "\u2581b": 4, "##c": 5, "d</w>": 6, " e": 7, "<0xF0>": 8,
    "<0x9F>": 9, "<0x99>": 10, "<0x82>": 11, "\u00f0\u0141": 12, "\u013b": 13, "\u0124": 14, "\u00e9": 15, ".": 16,
    " '": 17, "<0x0A>": 18, "\u0120f": 19, "n't": 20})";

std::unique_ptr<Tokenizer> with_decoder(const char* model, const char* decoder) {
  HfTokenizerFiles files;
  files.source = "fuzz";
  files.tokenizer = std::string(R"({"added_tokens": [{"id": 1, "content": "<s>", "special": true}], "model": {)") +
                    model + ", " + kVocabulary + R"(}, "decoder": )" + decoder + "}";
  std::string why_not;
  auto tokenizer = make_tokenizer(vocabulary_from_hf(files), why_not);
  CHECK(tokenizer != nullptr, "{}: {}", decoder, why_not);
  return tokenizer;
}

std::vector<std::unique_ptr<Tokenizer>> make_all() {
  constexpr const char* kBpe = R"("type": "BPE", "merges": [], "unk_token": "<unk>")";
  constexpr const char* kWords = R"("type": "WordPiece", "unk_token": "<unk>")";
  std::vector<std::unique_ptr<Tokenizer>> all;
  for (const char* decoder :
       {R"({"type": "ByteLevel"})", R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"})",
        R"({"type": "BPEDecoder", "suffix": "</w>"})",
        R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
           {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})"})
    all.push_back(with_decoder(kBpe, decoder));
  for (const char* decoder : {R"({"type": "WordPiece", "prefix": "##", "cleanup": true})",
                              R"({"type": "WordPiece", "prefix": "##", "cleanup": false})"})
    all.push_back(with_decoder(kWords, decoder));
  return all;
}

}  // namespace
}  // namespace godwit

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit;
  static const auto all = make_all();
  if (size < 2 || size > 4096) return 0;
  const Tokenizer& tokenizer = *all[data[0] % all.size()];
  const bool special = (data[1] & 1) != 0;
  std::vector<int32_t> ids;
  for (size_t i = 2; i < size; ++i) ids.push_back(data[i] == 255 ? -1 : data[i] % 24);  // some are no tokens
  Detokenizer stream(tokenizer, {.show_special = special, .begins_text = true});
  StopMatcher stops({".\n", "af", "\u00e9"});
  std::string streamed, kept;
  const auto add = [&](const std::string& part) {
    if (find_invalid_utf8(part) != std::string::npos) __builtin_trap();
    streamed += part;
    if (!stops.stopped()) kept += stops.push(part);
  };
  for (const int32_t id : ids) add(stream.push(id));
  add(stream.flush());
  if (!stops.stopped()) kept += stops.flush();
  if (streamed != replace_invalid_utf8(tokenizer.decode(ids, !special))) __builtin_trap();
  size_t first = std::string::npos;
  for (const char* stop : {".\n", "af", "\u00e9"}) first = std::min(first, streamed.find(stop));
  if (kept != streamed.substr(0, first)) __builtin_trap();
  return 0;
}
