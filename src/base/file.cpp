#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace godwit {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

std::string reason(int error) { return std::strerror(error); }

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// A name may have been renamed into its folder only when the folder itself is on disk.
void sync_folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);  // some file systems cannot: the data itself is synced already
  ::close(fd);
}

}  // namespace

ErrorKind kind_of_errno(int error) { return error == ENOMEM ? ErrorKind::kMemory : ErrorKind::kInvalid; }

InputFile::InputFile(const std::string& path) : path_(path) {
  if (path.find('\0') != std::string::npos) invalid("{}: a path cannot hold a NUL byte", printable_path(path));
  // Without O_NONBLOCK, opening a named pipe would wait for its other end.
  fd_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd_ < 0) fail(kind_of_errno(errno), "{}: cannot be opened: {}", printable_path(path), reason(errno));
  struct stat status {};
  const bool known = ::fstat(fd_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  const int error = errno;
  ::close(fd_);  // first: a constructor that throws has no destructor, and the message takes memory
  invalid("{}: expected a regular file, got {}", printable_path(path),
          known ? kind_of(status.st_mode) : std::strerror(error));
}

InputFile::~InputFile() {
  if (map_ != nullptr) ::munmap(map_, static_cast<size_t>(size_));
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)),
      map_(std::exchange(other.map_, nullptr)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  std::swap(map_, other.map_);
  return *this;
}

void InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset)
    invalid("{}: expected {} bytes at offset {}, the file has {}", printable_path(path_), out.size(), offset, size_);
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      fail(kind_of_errno(errno), "{}: cannot be read at offset {}: {}", printable_path(path_), offset + done,
           reason(errno));
    if (n == 0)
      invalid("{}: ends at offset {}, but had {} bytes when it was opened", printable_path(path_), offset + done,
              size_);
    done += static_cast<size_t>(n);
  }
}

const std::byte* InputFile::map() const {
  static const std::byte nothing{};
  if (size_ == 0) return &nothing;
  if (map_ == nullptr) {
    void* map = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, fd_, 0);
    if (map == MAP_FAILED) fail(kind_of_errno(errno), "{}: cannot be mapped: {}", printable_path(path_), reason(errno));
    map_ = map;
  }
  return static_cast<const std::byte*>(map_);
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  static std::atomic<uint64_t> count{0};
  struct stat status {};
  // A rename would replace a device or a pipe by a file.
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    fail(ErrorKind::kFailed, "{}: cannot be written: is {}", printable_path(path), kind_of(status.st_mode));
  partial_ = fmt::format("{}.{}-{}.partial", path, ::getpid(), count++);
  buffer_.reserve(kBufferBytes);  // before there is a file that only the destructor removes
  fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(ErrorKind::kFailed, "{}: cannot be written: {}", printable_path(path), reason(errno));
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_.c_str());
}

void OutputFile::flush(const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd_, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorKind::kFailed, "{}: cannot be written: {}", printable_path(path_), reason(errno));
    data += n;
    size -= static_cast<size_t>(n);
  }
}

void OutputFile::write(std::span<const std::byte> bytes) {
  CHECK(fd_ >= 0, "{} is written already", path_);
  const char* data = reinterpret_cast<const char*>(bytes.data());
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    flush(buffer_.data(), buffer_.size());
    buffer_.clear();
  }
  if (bytes.size() >= kBufferBytes)
    flush(data, bytes.size());
  else
    buffer_.append(data, bytes.size());
  position_ += bytes.size();
}

void OutputFile::write(const std::string& text) { write(std::as_bytes(std::span(text))); }

void OutputFile::commit() {
  CHECK(fd_ >= 0, "{} is written already", path_);
  flush(buffer_.data(), buffer_.size());
  buffer_.clear();
  if (::fsync(fd_) != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0)
    fail(ErrorKind::kFailed, "{}: cannot be written: {}", printable_path(path_), reason(errno));
  ::close(fd_);
  fd_ = -1;
  sync_folder_of(path_);
}

std::string read_text(const std::string& path, uint64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes)
    invalid("{}: expected at most {} bytes, the file has {}", printable_path(path), max_bytes, file.size());
  std::string text(static_cast<size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace godwit
