// JSON from outside, behind limits: size, depth (counted, not recursed), duplicate keys refused, UTF-8 checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include "base/nlohmann.h"

#include "base/json_fwd.h"

// Made once, in json.cpp: in every file that uses it, a third of the time to compile went there.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace godwit {

inline constexpr size_t kJsonFileDepth = 128;               // model files
inline constexpr size_t kJsonTokenBytes = size_t{1} << 24;  // one string, number or run of spaces

/// Parses `text` whole. Throws Error (kInvalid) naming `source` and the byte offset: syntax, depth over max_depth, a
/// duplicate key, trailing text, invalid UTF-8, NUL, a number outside double's range, a token over kJsonTokenBytes.
Json parse_json(std::string_view text, const std::string& source, size_t max_depth = kJsonFileDepth);

/// parse_json of what Python's json module wrote: a bare Infinity or -Infinity becomes {"__float__": "Infinity"} and
/// so on, as transformers writes them since version 5. Byte offsets in errors are those of the text so changed.
Json parse_python_json(std::string_view text, const std::string& source);

/// What walk_json reports. What an event throws goes through to walk_json's caller.
class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  virtual void begin_object() = 0;
  virtual void key(std::string&& name) = 0;
  virtual void end_object() = 0;
  virtual void begin_array() = 0;
  virtual void end_array() = 0;
  virtual void string(std::string&& value) = 0;
  virtual void unsigned_integer(uint64_t value) = 0;  // written without sign, point and exponent
  virtual void negative_integer(int64_t value) = 0;
  virtual void real(double value) = 0;  // any other number, finite
  virtual void boolean(bool value) = 0;
  virtual void null() = 0;

  size_t offset = 0;  // bytes of the text read so far, set before each event
};

/// Reads `text` whole without keeping it: the way to read what may be large. Errors as parse_json's, but duplicate keys
/// are the handler's to find.
void walk_json(std::string_view text, const std::string& source, size_t max_depth, JsonHandler& handler);

/// One line of JSON; invalid UTF-8 in strings becomes U+FFFD.
std::string dump_json(const Json& value);

}  // namespace godwit
