// The four normal forms of Unicode.
#pragma once

#include <string>
#include <string_view>

namespace godwit {

enum class NormalForm { kNfd, kNfkd, kNfc, kNfkc };

/// Which characters have decompositions, combining classes and compositions: normal forms of text that both versions
/// know are the same.
enum class NormalVersion {
  kUnicode16,
  kUnicode9,  // as Hugging Face's tokenizers 0.23
};

/// `text` in a normal form; bytes that are not UTF-8 stay as they are and nothing composes across them. Time n log n.
/// Grows to at most 11 times the size (U+FDFA). Source: Unicode Standard Annex 15; Unicode 16.0, sections 3.11, 3.12.
std::string to_normal_form(std::string_view text, NormalForm form, NormalVersion version = NormalVersion::kUnicode16);

}  // namespace godwit
