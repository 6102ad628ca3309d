// Reads a GGUF header front to back, from a file by pieces or from memory, and knows where it is when something is
// wrong.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "formats/gguf_format.h"

namespace godwit::gguf {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in the file");

class Cursor {
 public:
  explicit Cursor(const InputFile& file);
  Cursor(const std::byte* bytes, size_t size, const std::string& source);

  uint64_t position() const { return start_ + at_; }
  uint64_t remaining() const { return limit_ - position(); }

  /// What is being read, for messages: "key"/"tensor" and its name, or "header" and "".
  void set_place(const char* kind, std::string name) {
    kind_ = kind;
    name_ = std::move(name);
  }

  /// Throws Error (kInvalid): "<file>: gguf: <place>: <message> (offset <of the last value read>)".
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    refuse_text(fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  T scalar() {
    T value;
    mark_ = position();
    require(sizeof(T));
    if (end_ - at_ < sizeof(T)) refill();
    std::memcpy(&value, window_ + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  /// Copies `size` bytes; for arrays by pieces, since the offset of a message is that of the call.
  void copy(void* out, size_t size);
  /// A length and as many bytes; what: "a key", for the message about a length over `most`.
  std::string string(uint64_t most, const char* what);

  /// Notes memory that will be allocated for what takes `in_file` bytes from here on; refuses when all of it together
  /// is out of proportion to the file.
  void allow(uint64_t memory, uint64_t in_file = 0);

 private:
  void require(uint64_t bytes) const;  // that many remain
  void refill();                       // makes the window begin at the position
  [[noreturn]] void refuse_text(const std::string& message) const;

  const InputFile* file_ = nullptr;  // null: everything is in the window
  std::string source_;
  std::vector<std::byte> buffer_;
  const std::byte* window_ = nullptr;
  size_t at_ = 0, end_ = 0;  // in the window
  uint64_t start_ = 0;       // of the window, in the file
  uint64_t limit_ = 0;       // where the header ends at the latest
  bool file_ends_ = true;    // the limit is the file's end, not kMaxHeader
  uint64_t mark_ = 0;
  uint64_t memory_ = 0;
  const char* kind_ = "header";
  std::string name_;
};

}  // namespace godwit::gguf
