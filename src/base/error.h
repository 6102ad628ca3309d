// What can go wrong, and whose fault it is. The world's fault (a file, a flag, a request, memory at start) throws Error
// and becomes an exit code; ours throws Bug. Expected outcomes (pool full, not found) are return values, never
// exceptions.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace godwit {

/// The exit code that an Error becomes (docs/cli.md).
enum class ErrorKind { kFailed = 1, kUsage = 2, kInvalid = 3, kMemory = 4, kNetwork = 5, kCheck = 6 };

/// One line: what, where (file, key or tensor, offset), expected, got, and what to do when that is known.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// A fault of ours: a broken invariant.
class Bug : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws Error of `kind` with the formatted message.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error of kind kInvalid: a model or file that cannot be used.
template <class... Args>
[[noreturn]] void invalid(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::kInvalid, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Bug; in debug builds aborts, so that a debugger stops where it happened.
[[noreturn]] void bug(const char* file, int line, const char* condition, const std::string& message);

}  // namespace godwit

/// CHECK(condition, "format {}", value...): throws Bug with the formatted values unless the condition holds.
#define CHECK(condition, ...)                                                                    \
  do {                                                                                           \
    if (!(condition)) ::godwit::bug(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
  } while (false)

/// As CHECK, in debug builds only: for loops.
#ifdef GODWIT_DEBUG
#define DCHECK(condition, ...) CHECK(condition, __VA_ARGS__)
#else
#define DCHECK(condition, ...) \
  do {                         \
  } while (false)
#endif
