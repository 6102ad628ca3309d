// Tokenizing, one thread: seconds for 1 MB and 2 MB of texts that are easy and hard, the best of five each.
//
//   tokenizer_bench MODEL.gguf|tokenizer.json TEXT       TEXT: a file of running text, repeated as needed
#include <chrono>
#include <iostream>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

namespace godwit {
namespace {

constexpr size_t kBytes = 1000000;

std::unique_ptr<Tokenizer> open(const std::string& path) {
  Vocabulary vocabulary;
  if (path.ends_with(".gguf")) {
    vocabulary = vocabulary_from(open_gguf(path).config);
  } else {
    HfTokenizerFiles files;
    files.source = path;
    files.tokenizer = read_text(path, uint64_t{256} << 20);
    vocabulary = vocabulary_from_hf(files);
  }
  std::string why_not;
  auto tokenizer = make_tokenizer(vocabulary, why_not);
  if (tokenizer == nullptr) fail(ErrorKind::kInvalid, "{}: {}", path, why_not);
  return tokenizer;
}

std::string repeated(std::string_view text) {
  std::string out;
  while (out.size() < 2 * kBytes) out += text;
  out.resize(2 * kBytes);
  return out;
}

std::string letters() {
  std::string out;
  uint32_t state = 1;
  for (size_t i = 0; i < 2 * kBytes; ++i) {
    state = state * 1103515245 + 12345;
    out += static_cast<char>('a' + (state >> 16) % 26);
  }
  return out;
}

double best_seconds(const Tokenizer& tokenizer, std::string_view text) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    tokenizer.encode(text);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

void measure(const std::string& model, const std::string& text) {
  const auto tokenizer = open(model);
  const std::pair<const char*, std::string> texts[] = {
      {"text", repeated(read_text(text, uint64_t{256} << 20))},
      {"no spaces", letters()},
      {"one letter", repeated("a")},
      {"emoji", repeated("\U0001F600")},
      {"spaces", repeated(" ")},
      {"newlines", repeated("\n")},
      {"digits", repeated("7")},
      {"marks", repeated("e\u0301\u0323")},
  };
  for (const auto& [name, bytes] : texts) {
    const double one = best_seconds(*tokenizer, std::string_view(bytes).substr(0, kBytes));
    const double two = best_seconds(*tokenizer, bytes);
    std::cout << fmt::format("{:<12} 1 MB {:.3f} s   2 MB {:.3f} s   ratio {:.2f}\n", name, one, two, two / one);
  }
}

}  // namespace
}  // namespace godwit

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: tokenizer_bench MODEL.gguf|tokenizer.json TEXT\n";
    return 2;
  }
  try {
    godwit::measure(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::cerr << "tokenizer_bench: " << error.what() << '\n';
    return 3;
  }
  return 0;
}
