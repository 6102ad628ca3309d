// Any bytes through small vocabularies: the ids are those of the plain definitions, and the bytes come back.
#include <cstddef>
#include <cstdint>
#include <string>

#include "../text/vocabularies.h"
#include "text/detokenizer.h"

namespace godwit {
namespace {

constexpr size_t kMostBytes = 512;  // the definitions take quadratic time

Vocabulary byte_level(const char* pre) {
  return testing::byte_level_vocabulary({.pre = pre,
                                         .merges = {{"a", "b"},
                                                    {"ab", "ab"},
                                                    {" ", "a"},
                                                    {" ", " "},
                                                    {"\xC3", "\xA9"},
                                                    {"1", "2"},
                                                    {"a", "a"},
                                                    {"aa", "b"},
                                                    {"\n", "\n"},
                                                    {"'", "s"}}});
}

struct Case {
  Vocabulary vocabulary;
  std::unique_ptr<Tokenizer> tokenizer;
  explicit Case(Vocabulary v) : vocabulary(std::move(v)), tokenizer(testing::tokenizer_of(vocabulary)) {}
};

void check(const Tokenizer& t, const std::vector<int32_t>& expected, const std::string& text) {
  const EncodeOptions plain{.special = false, .bos = false};
  const std::vector<int32_t> ids = t.encode(text, plain);
  CHECK(ids == expected, "ids differ from the definition's");
  CHECK(t.decode(ids, false) == text, "text does not come back");
  CHECK(t.decode(t.encode(text), false).ends_with(text), "text does not come back with special tokens");
  Detokenizer d(t);
  std::string streamed;
  for (const int32_t id : ids) streamed += d.push(id);
  CHECK(streamed + d.flush() == replace_invalid_utf8(text), "streamed text differs");
}

}  // namespace
}  // namespace godwit

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit;
  static const char* const kPre[] = {"gpt-2", "smollm", "qwen2", "dbrx", "default", "falcon", "qwen35"};
  static const std::vector<Case> byte_level_cases = [] {
    std::vector<Case> cases;
    for (const char* pre : kPre) cases.emplace_back(byte_level(pre));
    return cases;
  }();
  static const Case scored(testing::scored_vocabulary({"ab", "\u2581a", "abab", "\u2581\u2581", "aab", "a", "b",
                                                       "\u2581", "\u00E9", "\u2581ab", "<s", "s>", "<", "s"}));
  if (size == 0 || size > kMostBytes) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Case& c = byte_level_cases[data[0] % byte_level_cases.size()];
  const auto kind = find_pretokenizer(c.vocabulary.pre)->kind;
  check(*c.tokenizer, testing::naive_byte_level(c.vocabulary, kind, text), text);
  // A literal U+2581 comes back as a space, as documented.
  if (text.find("\u2581") == std::string::npos) {
    check(*scored.tokenizer, testing::naive_scored(scored.vocabulary, text), text);
  }
  return 0;
}
