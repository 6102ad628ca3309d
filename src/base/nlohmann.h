// nlohmann::json as the rest includes it: faster to compile.
#pragma once

#include <cstddef>

// The library's literals ("..."_json) are plain inline functions that call its parser: g++ compiles that parser anew in
// every file, used or not, for 1.3 s each. Under these macros the two are declared, and their bodies belong to
// templates that nobody calls. Spelled another way by a later version, they are as before.
#define _json(s, n)          \
  _json(s, n);               \
  template <typename Unused> \
  nlohmann::json unused_literal(s, n)
#define _json_pointer(s, n)  \
  _json_pointer(s, n);       \
  template <typename Unused> \
  nlohmann::json::json_pointer unused_literal(Unused, s, n)
#include <nlohmann/json.hpp>
#undef _json
#undef _json_pointer
