// Files as loaders see them: regular, of known size, read by position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace godwit {

/// The kind of failure that an errno is where something was to be read: kMemory where the system has none left, else
/// kInvalid.
ErrorKind kind_of_errno(int error);

/// A regular file, open for reading. Movable. Any failure throws Error (kind_of_errno) naming the path.
class InputFile {
 public:
  /// Refuses whatever is not a regular file (FIFO, directory, device) at once, without blocking on it.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&&) noexcept;
  InputFile& operator=(InputFile&&) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // at opening
  /// Fills `out` from `offset`; throws when the file ends before (it was truncated since).
  void read_at(uint64_t offset, std::span<std::byte> out) const;
  /// Maps the whole file read-only, once; the mapping lives as long as this object. Not from two threads at once.
  const std::byte* map() const;

 private:
  std::string path_;
  uint64_t size_ = 0;
  int fd_ = -1;
  mutable void* map_ = nullptr;
};

/// A file written whole or not at all: bytes go to PATH.<unique>.partial beside it; commit() flushes, syncs and
/// renames. Without commit the partial file is removed. Failures throw Error (kFailed) naming the path.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(const std::string& text);
  uint64_t position() const { return position_; }
  void commit();

 private:
  void flush(const char* data, size_t size);

  std::string path_, partial_;
  uint64_t position_ = 0;
  int fd_ = -1;
  std::string buffer_;
};

/// The whole of a text file; throws Error (kInvalid) when it is larger than max_bytes.
std::string read_text(const std::string& path, uint64_t max_bytes);

}  // namespace godwit
