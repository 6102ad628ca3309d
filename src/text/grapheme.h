// What a reader takes for one character.
#pragma once

#include <cstddef>
#include <string_view>

namespace godwit {

/// The bytes of the extended grapheme cluster that begins at `at` (< text.size()), a cluster boundary; a byte that is
/// not UTF-8 is one of its own. Source: Unicode Standard Annex 29, revision 45 (Unicode 16.0), rules GB3 to GB13.
size_t grapheme_length(std::string_view text, size_t at);

}  // namespace godwit
