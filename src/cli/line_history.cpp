#include "cli/line_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace godwit {
namespace {

/// A file in a folder of its owner's is opened only if it is one.
int open_history(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  struct stat status {};
  if (fd < 0 || (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode))) return fd;
  ::close(fd);
  errno = EINVAL;
  return -1;
}

std::string history_bytes(const std::string& path) {
  const int fd = open_history(path, O_RDONLY);
  if (fd < 0) return "";
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(kHistoryFileBytes));
  std::string bytes(static_cast<size_t>(std::max<off_t>(0, size - from)), '\0');
  const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), from);
  ::close(fd);
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(0, n)));
  if (from > 0) bytes.erase(0, bytes.find('\n') + 1);  // begins within an entry
  return bytes;
}

std::string history_line(const std::string& entry) { return dump_json(Json(entry)) + "\n"; }

bool write_history(int fd, const std::string& bytes) {
  return ::fchmod(fd, 0600) == 0 && ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

/// Leaves half of the entries that are kept, so that it is not needed again soon.
void shorten(const std::string& path) {
  const std::vector<std::string> entries = read_history(path);
  std::string bytes;
  for (size_t i = entries.size(); i-- > 0 && bytes.size() < kHistoryFileBytes / 2;)
    bytes.insert(0, history_line(entries[i]));
  const std::string part = path + "." + std::to_string(::getpid());
  const int fd = open_history(part, O_WRONLY | O_CREAT | O_EXCL);
  if (fd < 0) return;
  const bool written = write_history(fd, bytes);
  ::close(fd);
  if (!written || std::rename(part.c_str(), path.c_str()) != 0) ::unlink(part.c_str());
}

}  // namespace

std::string chat_history_path() {
  const auto folder = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr && *value == '/' ? value : "");
  };
  if (const std::string state = folder("XDG_STATE_HOME"); !state.empty()) return state + "/godwit/chat_history";
  const std::string home = folder("HOME");
  return home.empty() ? "" : home + "/.local/state/godwit/chat_history";
}

std::vector<std::string> read_history(const std::string& path) {
  const std::string bytes = history_bytes(path);
  std::vector<std::string> entries;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view line = std::string_view(bytes).substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;
    try {
      const Json entry = parse_json(line, path, 1);
      if (entry.is_string()) entries.push_back(entry.get<std::string>());
    } catch (const Error&) {
      // Of another program, or written only in part: not worth a word.
    }
  }
  if (entries.size() > kHistoryEntries)
    entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(kHistoryEntries));
  return entries;
}

bool append_history(const std::string& path, const std::string& entry) {
  std::error_code ignored;  // opening says what is wrong
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && status.st_size > static_cast<off_t>(kHistoryFileBytes)) shorten(path);
  const int fd = open_history(path, O_WRONLY | O_CREAT | O_APPEND);
  if (fd < 0) return false;
  // One write, so that entries of several sessions do not mix.
  const bool written = write_history(fd, history_line(entry));
  const int error = errno;
  ::close(fd);
  errno = error;
  return written;
}

}  // namespace godwit
