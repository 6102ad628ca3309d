#include "formats/gguf_cursor.h"

#include <algorithm>

#include "base/checked.h"

namespace godwit::gguf {
namespace {
constexpr size_t kBufferBytes = 1 << 20;
}

Cursor::Cursor(const InputFile& file)
    : file_(&file),
      source_(file.path()),
      limit_(std::min(file.size(), kMaxHeader)),
      file_ends_(file.size() <= kMaxHeader) {
  buffer_.resize(static_cast<size_t>(std::min<uint64_t>(kBufferBytes, limit_)));
  window_ = buffer_.data();
}

Cursor::Cursor(const std::byte* bytes, size_t size, const std::string& source)
    : source_(source),
      window_(bytes),
      end_(static_cast<size_t>(std::min<uint64_t>(size, kMaxHeader))),
      limit_(end_),
      file_ends_(size <= kMaxHeader) {}

void Cursor::refuse_text(const std::string& message) const {
  const std::string place = name_.empty() ? kind_ : fmt::format("{} {}", kind_, printable(name_));
  invalid("{}: gguf: {}: {} (offset {})", printable_path(source_), place, message, mark_);
}

void Cursor::require(uint64_t bytes) const {
  if (bytes <= remaining()) return;
  if (file_ends_) refuse("expected {} more bytes, the file has {}", bytes, remaining());
  refuse("expected a header of at most {} bytes, this one is longer", kMaxHeader);
}

void Cursor::refill() {
  CHECK(file_ != nullptr, "a window that ends at {} of {}", position(), limit_);
  start_ += at_;
  at_ = 0;
  end_ = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), limit_ - start_));
  file_->read_at(start_, {buffer_.data(), end_});
}

void Cursor::copy(void* out, size_t size) {
  require(size);
  auto* to = static_cast<std::byte*>(out);
  while (size > 0) {
    if (at_ == end_) refill();
    const size_t n = std::min(size, end_ - at_);
    std::memcpy(to, window_ + at_, n);
    to += n;
    at_ += n;
    size -= n;
  }
}

std::string Cursor::string(uint64_t most, const char* what) {
  const auto size = scalar<uint64_t>();
  if (size > most) refuse("expected {} of at most {} bytes, got {}", what, most, size);
  require(size);
  if (size <= end_ - at_) {
    const auto* first = reinterpret_cast<const char*>(window_ + at_);
    at_ += static_cast<size_t>(size);
    return std::string(first, static_cast<size_t>(size));
  }
  std::string text(static_cast<size_t>(size), '\0');
  copy(text.data(), text.size());
  return text;
}

void Cursor::allow(uint64_t memory, uint64_t in_file) {
  const CheckedU64 budget = CheckedU64(kSpareMemory) + CheckedU64(2) * (CheckedU64(position()) + in_file);
  const CheckedU64 wanted = CheckedU64(memory_) + memory;
  if (!wanted.at_most(budget.value()))
    refuse("expected metadata within {} bytes of memory, this array goes beyond it", budget.value());
  memory_ = wanted.value();
}

}  // namespace godwit::gguf
