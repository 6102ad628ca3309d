// What was typed, kept in a file from one session to the next.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace godwit {

inline constexpr size_t kHistoryEntries = 1000;
inline constexpr size_t kHistoryFileBytes = size_t{4} << 20;

/// $XDG_STATE_HOME/godwit/chat_history, else ~/.local/state/godwit/chat_history; empty where neither is set to an
/// absolute path.
std::string chat_history_path();

/// The file's last kHistoryEntries entries, oldest first. Each is a line of JSON, a string, so that entries may have
/// several lines; other lines are skipped, and so is all but the last kHistoryFileBytes. Empty when it cannot be read.
std::vector<std::string> read_history(const std::string& path);

/// Adds an entry at the end of the file, which only its owner may read; folders are made as needed. A file over
/// kHistoryFileBytes is first cut down to its last entries. False, with errno, when it cannot be written.
bool append_history(const std::string& path, const std::string& entry);

}  // namespace godwit
