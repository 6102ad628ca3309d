// Texts to ids for comparisons: reads JSON strings, one a line, from stdin; writes one line each: the ids without those
// around a text, a tab, the ids as text again (special tokens too) as a JSON string. For tokenizer_fuzz.py.
//
//   tokenizer_lines tokenizer.json | model.gguf [--frame] [--no-special]
#include <iostream>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

namespace godwit {
namespace {

Vocabulary vocabulary_of(const std::string& path) {
  if (path.ends_with(".gguf")) return vocabulary_from(open_gguf(path).config);
  HfTokenizerFiles files;
  files.source = path;
  files.tokenizer = read_text(path, uint64_t{256} << 20);
  return vocabulary_from_hf(files);
}

int run(int count, char** arguments) {
  EncodeOptions options{.bos = false};
  for (int i = 2; i < count; ++i) {
    const std::string flag = arguments[i];
    if (flag == "--frame") options.bos = true;
    if (flag == "--no-special") options.special = false;
  }
  std::string why_not;
  const auto tokenizer = make_tokenizer(vocabulary_of(arguments[1]), why_not);
  if (tokenizer == nullptr) fail(ErrorKind::kInvalid, "{}", why_not);
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const std::string text = parse_json(line, "stdin").get<std::string>();
    const std::vector<int32_t> ids = tokenizer->encode(text, options);
    const std::string decoded = tokenizer->decode(ids, false);
    Detokenizer stream(*tokenizer, {.show_special = true, .begins_text = true});
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    streamed += stream.flush();
    CHECK(streamed == replace_invalid_utf8(decoded), "streamed text differs: {} against {}", streamed, decoded);
    std::cout << fmt::format("{}\t{}\n", fmt::join(ids, " "), dump_json(streamed));
  }
  return 0;
}

}  // namespace
}  // namespace godwit

int main(int count, char** arguments) {
  if (count < 2) return 2;
  try {
    return godwit::run(count, arguments);
  } catch (const std::exception& error) {
    std::cerr << "tokenizer_lines: " << error.what() << '\n';
    return 3;
  }
}
