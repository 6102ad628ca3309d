#include "text/template_text.h"

#include <algorithm>

#include "text/unicode.h"

namespace godwit::jinja {

void Text::mark_all() {
  data.clear();
  if (!bytes.empty()) data.push_back({0, static_cast<uint32_t>(bytes.size())});
}

void Text::append(std::string_view more, bool is_data) {
  if (more.empty()) return;
  const uint32_t begin = static_cast<uint32_t>(bytes.size());
  bytes.append(more);
  if (!is_data) return;
  const uint32_t end = static_cast<uint32_t>(bytes.size());
  if (!data.empty() && data.back().end == begin) {
    data.back().end = end;
  } else {
    data.push_back({begin, end});
  }
}

void Text::append(const Text& other, size_t begin, size_t end) {
  const uint32_t base = static_cast<uint32_t>(bytes.size());
  bytes.append(other.bytes, begin, end - begin);
  auto range = std::partition_point(other.data.begin(), other.data.end(),
                                    [&](const TextRange& candidate) { return candidate.end <= begin; });
  for (; range != other.data.end() && range->begin < end; ++range) {
    const uint32_t from = base + static_cast<uint32_t>(std::max<size_t>(range->begin, begin) - begin);
    const uint32_t to = base + static_cast<uint32_t>(std::min<size_t>(range->end, end) - begin);
    if (!data.empty() && data.back().end == from) {
      data.back().end = to;
    } else {
      data.push_back({from, to});
    }
  }
}

bool Text::is_data(size_t at) const {
  const auto range =
      std::partition_point(data.begin(), data.end(), [&](const TextRange& candidate) { return candidate.end <= at; });
  return range != data.end() && range->begin <= at;
}

size_t count_code_points(std::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), continues_code_point));
}

bool is_space(uint32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x1F);
  return char_class(code) == kSpace;
}

namespace {

template <class Predicate>
Span strip_if(std::string_view text, bool left, bool right, const Predicate& goes) {
  Span kept{0, text.size()};
  while (left && kept.begin < kept.end) {
    const CodePoint point = code_at(text, kept.begin);
    if (!goes(point.code)) break;
    kept.begin += point.length;
  }
  while (right && kept.end > kept.begin) {
    const size_t at = code_before(text, kept.end);
    if (!goes(code_at(text, at).code)) break;
    kept.end = at;
  }
  return kept;
}

}  // namespace

Span strip(std::string_view text, bool left, bool right) { return strip_if(text, left, right, is_space); }

Span strip(std::string_view text, bool left, bool right, std::string_view chars) {
  std::vector<uint32_t> set;
  for (size_t at = 0; at < chars.size();) {
    const CodePoint point = code_at(chars, at);
    set.push_back(point.code);
    at += point.length;
  }
  std::sort(set.begin(), set.end());
  return strip_if(text, left, right, [&](uint32_t code) { return std::binary_search(set.begin(), set.end(), code); });
}

}  // namespace godwit::jinja
