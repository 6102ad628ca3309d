#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "cli/streams.h"

namespace godwit {
namespace {

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string what, bool quiet, bool unit_bytes)
    : what_(std::move(what)),
      quiet_(quiet),
      unit_bytes_(unit_bytes),
      terminal_(isatty(STDERR_FILENO) != 0),
      last_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (drawn_) say("\r\033[K");
}

void Progress::update(int64_t done, int64_t all) {
  if (quiet_ || all <= 0) return;
  const auto now = std::chrono::steady_clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (now - last_ < pause) return;
  last_ = now;
  const int64_t unit = unit_bytes_ ? 1 << 20 : 1;
  const std::string count = fmt::format("{}/{}{}", done / unit, all / unit, unit_bytes_ ? " MiB" : "");
  if (!terminal_) {
    say("{} {} ({} %)\n", what_, count, 100 * done / all);
    return;
  }
  const int room = std::max(0, terminal_width() - static_cast<int>(what_.size() + count.size()) - 6);
  const int bar = std::min(40, room), filled = static_cast<int>(bar * done / all);
  say("\r{} [{:<{}}] {}\033[K", what_, std::string(static_cast<size_t>(filled), '='), bar, count);
  drawn_ = true;
}

}  // namespace godwit
