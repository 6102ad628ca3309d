// JSON from outside, behind limits: size, depth (counted, not recursed), duplicate keys refused, UTF-8 checked.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace godwit {

using Json = nlohmann::ordered_json;

inline constexpr size_t kJsonFileDepth = 128;  // model files

/// Parses `text` whole. Throws Error (kInvalid) naming `source` and the byte offset: syntax, depth over max_depth, a
/// duplicate key, trailing text, invalid UTF-8, a number outside double's range.
Json parse_json(std::string_view text, const std::string& source, size_t max_depth = kJsonFileDepth);

/// One line of JSON; invalid UTF-8 in strings becomes U+FFFD.
std::string dump_json(const Json& value);

}  // namespace godwit
