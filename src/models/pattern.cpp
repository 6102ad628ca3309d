#include "models/pattern.h"

#include <algorithm>

#include "models/pattern_cursor.h"

namespace godwit {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const PatternWords& words, const std::string& where)
      : text_(text, where), words_(words) {}

  std::vector<LayerParts> run() {
    if (text_.at_end()) refuse(text_.at(), "the pattern is empty");
    list(0);
    if (!text_.at_end()) refuse(text_.at(), fmt::format("expected \",\" or the end, got {}", text_.next()));
    return std::move(layers_);
  }

 private:
  struct Word {
    size_t at;
    std::string_view text;
  };

  void list(int depth) {
    do {
      item(depth);
    } while (text_.accept(','));
  }

  void item(int depth) {
    const size_t start = text_.at();
    const bool repeated = text_.at_digit();
    const std::string_view number = repeated ? repetitions() : "1";
    const size_t first = layers_.size(), body = text_.at();
    if (text_.accept('(')) {
      if (depth == kMostPatternDepth)
        refuse(body, fmt::format("more than {} parentheses within each other", kMostPatternDepth));
      list(depth + 1);
      if (!text_.accept(')'))
        refuse(text_.at(), fmt::format("expected \",\" or the \")\" of \"(\" at {}, got {}", body + 1, text_.next()));
    } else {
      layer(repeated);
    }
    repeat(first, number, start);
  }

  /// The digits of "3 *".
  std::string_view repetitions() {
    const size_t start = text_.at();
    const std::string_view number = text_.digits();
    if (!text_.accept('*'))
      refuse(text_.at(), fmt::format("expected \"*\" after {}, got {}", quoted(number, 20), text_.next()));
    if (number.find_first_not_of('0') == std::string_view::npos) refuse(start, "0 repetitions");
    return number;
  }

  // The product is checked before a layer is added.
  void repeat(size_t first, std::string_view number, size_t start) {
    constexpr auto kMost = static_cast<size_t>(kMostLayers);
    size_t n = 0;
    for (const char c : number) n = std::min(10 * n + static_cast<size_t>(c - '0'), kMost + 1);
    const size_t count = layers_.size() - first;
    if (first + n * count > kMost)
      refuse(start, fmt::format("{} repetitions of {} after {} layers: a model has at most {}", printable(number, 20),
                                count, first, kMost));
    layers_.reserve(first + n * count);
    for (size_t i = count; i < n * count; ++i) layers_.push_back(layers_[first + i % count]);
  }

  void layer(bool repeated) {
    const Word first = word();
    if (!text_.accept('+')) {
      const bool mixer = is_mixer(first.text);
      if (first.text == "none") refuse(first.at, "a layer of nothing");
      return add(mixer ? first.text : "", mixer ? "" : first.text);
    }
    const Word second = word();
    if (repeated)
      refuse(first.at, fmt::format("write ({}+{}): a repeated layer of two parts stands in parentheses", first.text,
                                   second.text));
    if (first.text != "none" && !is_mixer(first.text))
      refuse(first.at, fmt::format("{} is a feed-forward: a layer's mixer comes first", quoted(first.text)));
    if (second.text != "none" && is_mixer(second.text))
      refuse(second.at, fmt::format("{} is a mixer: a layer has one, and then a feed-forward", quoted(second.text)));
    if (first.text == "none" && second.text == "none") refuse(first.at, "a layer of nothing");
    if (text_.at_char('+')) refuse(text_.at(), "a layer has at most two parts");
    add(first.text == "none" ? "" : first.text, second.text == "none" ? "" : second.text);
  }

  void add(std::string_view mixer, std::string_view feed_forward) {
    if (static_cast<int64_t>(layers_.size()) == kMostLayers)
      refuse(text_.at(), fmt::format("more than {} layers", kMostLayers));
    layers_.push_back({std::string(mixer), std::string(feed_forward)});
  }

  Word word() {
    const size_t start = text_.at();
    const Word word{start, text_.word()};
    if (word.text.empty()) refuse(start, fmt::format("expected a mixer or a feed-forward, got {}", text_.next()));
    if (word.text != "none" && !is_one_of(words_.mixers, word.text) && !is_one_of(words_.feed_forwards, word.text))
      refuse(start, fmt::format("{} is not a mixer or feed-forward; known: {}", quoted(word.text, 40), known()));
    return word;
  }

  static bool is_one_of(const std::vector<std::string>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  }
  bool is_mixer(std::string_view word) const { return is_one_of(words_.mixers, word); }

  std::string known() const {
    std::string all;
    for (const auto* list : {&words_.mixers, &words_.feed_forwards})
      for (const std::string& word : *list) all += word + ", ";
    return all + "none";
  }

  [[noreturn]] void refuse(size_t at, const std::string& what) const { text_.refuse(at, what); }

  PatternCursor text_;
  const PatternWords& words_;
  std::vector<LayerParts> layers_;
};

}  // namespace

std::vector<LayerParts> parse_pattern(std::string_view text, const PatternWords& words, const std::string& where) {
  return Parser(text, words, where).run();
}

}  // namespace godwit
