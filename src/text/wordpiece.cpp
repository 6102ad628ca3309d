#include "text/wordpiece.h"

#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace godwit {

WordPiece::WordPiece(const WordPieceModel& model, std::string_view where)
    : unk_(model.unk.value_or(-1)), max_characters_(model.max_characters) {
  if (model.unk && (*model.unk < 0 || static_cast<size_t>(*model.unk) >= model.tokens.size())) {
    invalid("{}: expected an unknown token below {}, got {}", where, model.tokens.size(), *model.unk);
  }
  std::vector<std::pair<std::string_view, int32_t>> first, next;
  for (size_t i = 0; i < model.tokens.size(); ++i) {
    const std::string_view token = model.tokens[i];
    first.emplace_back(token, static_cast<int32_t>(i));
    if (token.starts_with(model.prefix)) next.emplace_back(token.substr(model.prefix.size()), static_cast<int32_t>(i));
  }
  first_ = ByteTrie(first);
  next_ = ByteTrie(next);
}

void WordPiece::encode(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t before = ids.size();
  size_t n_characters = 0;
  for (size_t at = 0; at < word.size() && n_characters <= max_characters_; ++n_characters) {
    at += decode_utf8(word, at).length;
  }
  bool good = n_characters <= max_characters_;
  for (size_t at = 0; at < word.size() && good;) {
    const ByteTrie::Match match = (at == 0 ? first_ : next_).longest(word.substr(at));
    good = match.value >= 0;
    if (good) ids.push_back(match.value);
    at += match.length;
  }
  if (good) return;
  ids.resize(before);
  if (unk_ >= 0) ids.push_back(unk_);
}

}  // namespace godwit
