// A conversation, and the file it is kept in.
#pragma once

#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace godwit {

struct ChatMessage {
  std::string role;  // system, user, assistant or tool
  std::string content;
};

/// The messages as chat templates take them: [{"role": ..., "content": ...}, ...].
Json messages_json(const std::vector<ChatMessage>& messages);

/// Writes {"schema": "godwit.conversation/1", "messages": [...]}: beside the file first, then in its place, readable by
/// its owner. Throws Error: kInvalid where `path` is anything but such a file, kFailed where it cannot be written.
void save_conversation(const std::string& path, const std::vector<ChatMessage>& messages);

/// Reads such a file. Throws Error (kInvalid) naming file and place for everything else, and where the last message
/// still waits for an answer.
std::vector<ChatMessage> load_conversation(const std::string& path);

}  // namespace godwit
