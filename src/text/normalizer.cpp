#include "text/normalizer.h"

#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/charsmap.h"
#include "text/grapheme.h"
#include "text/normal_form.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace godwit {
namespace {

/// Appends what `change` makes of each character; bytes that are not UTF-8 stay.
template <class Change>
std::string each_character(std::string_view text, Change change) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode_utf8(text, at);
    if (d.code == kInvalidByte) {
      out += text[at];
    } else {
      change(out, d.code);
    }
    at += d.length;
  }
  return out;
}

std::string lowercase_text(std::string_view text) {
  return each_character(text, [](std::string& out, uint32_t code) {
    if (code < 0x80) {
      out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code);
    } else {
      append_lowercase(out, code);
    }
  });
}

std::string without_flag(std::string_view text, CharFlag flag) {
  return each_character(text, [flag](std::string& out, uint32_t code) {
    if ((char_flags(code) & flag) == 0) append_utf8(out, code);
  });
}

std::string_view strip_spaces(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const Decoded d = decode_utf8(text, 0);
    if (char_class(d.code) != kSpace) break;
    text.remove_prefix(d.length);
  }
  while (right && !text.empty()) {
    size_t at = text.size() - 1;
    while (at > 0 && text.size() - at < 4 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
    const Decoded d = decode_utf8(text, at);
    if (at + d.length != text.size() || char_class(d.code) != kSpace) break;
    text.remove_suffix(d.length);
  }
  return text;
}

/// Source: the normalizer "nmt" of SentencePiece (after "nmt_nfkc"), as tokenizers has it.
std::string apply_nmt(std::string_view text) {
  return each_character(text, [](std::string& out, uint32_t c) {
    const bool removed =
        (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    if (removed) return;
    const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                       c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    append_utf8(out, space ? ' ' : c);
  });
}

/// What BERT puts between spaces: CJK ideographs, not all that Unicode has since.
bool is_bert_ideograph(uint32_t c) {
  return (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string apply_bert(const NormalizerStep& step, std::string text) {
  if (step.clean_text) {
    text = each_character(text, [](std::string& out, uint32_t code) {
      if ((char_flags(code) & kHfControl) != 0) return;
      append_utf8(out, char_class(code) == kSpace ? ' ' : code);
    });
  }
  if (step.chinese) {
    text = each_character(text, [](std::string& out, uint32_t code) {
      const bool apart = is_bert_ideograph(code);
      if (apart) out += ' ';
      append_utf8(out, code);
      if (apart) out += ' ';
    });
  }
  if (step.strip_accents) {
    text = without_flag(to_normal_form(text, NormalForm::kNfd, NormalVersion::kUnicode9), kHfAccent);
  }
  return step.lowercase ? lowercase_text(text) : text;
}

/// A grapheme of up to 5 bytes is replaced whole by what its shortest entry says, others character by character.
/// Source: the crate spm_precompiled. SentencePiece itself takes the longest entry at each place.
template <class Check>
std::string apply_charsmap(const Charsmap& map, std::string_view text, Check check) {
  std::string out;
  out.reserve(text.size());
  const auto replace = [&](std::string_view part) {
    const Charsmap::Match match = map.shortest(part);
    if (match.length > 0) out += match.replacement;
    check(out.size());
    return match.length > 0;
  };
  for (size_t at = 0; at < text.size();) {
    const size_t length = grapheme_length(text, at);
    const std::string_view grapheme = text.substr(at, length);
    at += length;
    if (length < 6 && replace(grapheme)) continue;
    for (size_t i = 0; i < length;) {
      const std::string_view character = grapheme.substr(i, decode_utf8(grapheme, i).length);
      if (!replace(character)) out += character;
      i += character.size();
    }
  }
  return out;
}

}  // namespace

struct Normalizer::Compiled {
  std::optional<Charsmap> charsmap;
  std::optional<Regex> regex;
};

Normalizer::Normalizer(std::vector<NormalizerStep> steps, std::string_view where) : steps_(std::move(steps)) {
  if (steps_.size() > kMaxNormalizerSteps) {
    invalid("{}: expected at most {} steps, got {}", where, kMaxNormalizerSteps, steps_.size());
  }
  for (const NormalizerStep& step : steps_) {
    const std::string place = fmt::format("{}: step {}", where, compiled_.size());
    compiled_.emplace_back();
    if (step.kind == NormalizerStep::kPrecompiled) {
      compiled_.back() = std::make_unique<Compiled>();
      compiled_.back()->charsmap.emplace(step.text, place + ": precompiled_charsmap");
    } else if (step.kind == NormalizerStep::kReplaceRegex) {
      compiled_.back() = std::make_unique<Compiled>();
      compiled_.back()->regex.emplace(Regex::compile(step.text, place));
    }
  }
}

Normalizer::~Normalizer() = default;
Normalizer::Normalizer(Normalizer&&) noexcept = default;
Normalizer& Normalizer::operator=(Normalizer&&) noexcept = default;

std::string Normalizer::apply(std::string_view original) const {
  std::string text(original);
  const size_t limit = original.size() * 16 + (size_t{1} << 20);
  const auto check = [&](size_t size) {
    if (size > limit) invalid("normalizer: {} bytes of text became more than {}", original.size(), limit);
  };
  for (size_t i = 0; i < steps_.size(); ++i) {
    const NormalizerStep& step = steps_[i];
    switch (step.kind) {
      case NormalizerStep::kNfc:
        text = to_normal_form(text, NormalForm::kNfc, NormalVersion::kUnicode9);
        break;
      case NormalizerStep::kNfd:
        text = to_normal_form(text, NormalForm::kNfd, NormalVersion::kUnicode9);
        break;
      case NormalizerStep::kNfkc:
        text = to_normal_form(text, NormalForm::kNfkc, NormalVersion::kUnicode9);
        break;
      case NormalizerStep::kNfkd:
        text = to_normal_form(text, NormalForm::kNfkd, NormalVersion::kUnicode9);
        break;
      case NormalizerStep::kLowercase:
        text = lowercase_text(text);
        break;
      case NormalizerStep::kStrip:
        text = std::string(strip_spaces(text, step.left, step.right));
        break;
      case NormalizerStep::kStripAccents:
        text = without_flag(text, kHfMark);
        break;
      case NormalizerStep::kNmt:
        text = apply_nmt(text);
        break;
      case NormalizerStep::kBert:
        text = apply_bert(step, std::move(text));
        break;
      case NormalizerStep::kPrecompiled:
        text = apply_charsmap(*compiled_[i]->charsmap, text, check);
        break;
      case NormalizerStep::kReplaceString:
      case NormalizerStep::kReplaceRegex: {
        if (text.empty()) break;  // nothing matches there, not even an empty match
        std::string out;
        size_t last = 0;
        const auto put = [&](size_t begin, size_t end) {
          out.append(text, last, begin - last).append(step.content);
          last = end;
          check(out.size());
        };
        if (step.kind == NormalizerStep::kReplaceRegex) {
          for (const Regex::Range& range : compiled_[i]->regex->find_all(text)) put(range.begin, range.end);
        } else if (!step.text.empty()) {
          // memmem is linear in the text, whatever the pattern.
          const char* end = text.data() + text.size();
          for (const char* at = text.data(); at < end;) {
            const void* found = memmem(at, static_cast<size_t>(end - at), step.text.data(), step.text.size());
            if (found == nullptr) break;
            const size_t begin = static_cast<size_t>(static_cast<const char*>(found) - text.data());
            put(begin, begin + step.text.size());
            at = text.data() + begin + step.text.size();
          }
        }
        text = out.append(text, last);
        break;
      }
      case NormalizerStep::kPrepend:
        if (!text.empty()) text.insert(0, step.content);
        break;
      case NormalizerStep::kByteLevel:
        text = to_byte_level(text);
        break;
    }
    check(text.size());
  }
  return text;
}

}  // namespace godwit
