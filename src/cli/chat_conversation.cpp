#include "cli/chat_conversation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/streams.h"

namespace godwit {
namespace {

constexpr const char* kConversationSchema = "godwit.conversation/1";
constexpr uint64_t kMostConversationBytes = uint64_t{64} << 20;
constexpr size_t kMostMessages = 100'000;

Json read_conversation(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    invalid("{}: expected a file, got {}", printable_path(path), S_ISDIR(status.st_mode) ? "a directory" : "none");
  Json file = parse_json(read_input(path, kMostConversationBytes), printable_path(path), 8);
  const auto schema = file.is_object() ? file.find("schema") : file.end();
  if (!file.is_object() || schema == file.end() || *schema != kConversationSchema)
    invalid("{}: expected a conversation (schema {})", printable_path(path), kConversationSchema);
  return file;
}

std::string text_member(const Json& message, const char* key, const std::string& where) {
  const auto at = message.is_object() ? message.find(key) : message.end();
  if (!message.is_object() || at == message.end() || !at->is_string()) invalid("{}: expected a text {}", where, key);
  return at->get<std::string>();
}

[[noreturn]] void cannot_write(const std::string& path) {
  fail(ErrorKind::kFailed, "{}: cannot be written: {}", printable_path(path), std::strerror(errno));
}

void write_all(int fd, const std::string& bytes, const std::string& path) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno != EINTR) cannot_write(path);
    if (n > 0) at += static_cast<size_t>(n);
  }
  if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) cannot_write(path);
}

}  // namespace

Json messages_json(const std::vector<ChatMessage>& messages) {
  Json array = Json::array();
  for (const ChatMessage& m : messages) array.push_back({{"role", m.role}, {"content", m.content}});
  return array;
}

void save_conversation(const std::string& named, const std::vector<ChatMessage>& messages) {
  std::error_code error;
  std::string path = named;
  if (std::filesystem::exists(std::filesystem::symlink_status(named, error))) {
    read_conversation(named);  // refuses what must not be overwritten
    path = std::filesystem::canonical(named, error).string();
    if (error) invalid("{}: {}", printable_path(named), error.message());
  }
  const std::string bytes = dump_json({{"schema", kConversationSchema}, {"messages", messages_json(messages)}}) + "\n";
  const std::string part = path + "." + std::to_string(::getpid()) + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) cannot_write(part);
  try {
    write_all(fd, bytes, part);
    if (std::rename(part.c_str(), path.c_str()) != 0) cannot_write(path);
  } catch (...) {
    ::close(fd);
    ::unlink(part.c_str());
    throw;
  }
  ::close(fd);
}

std::vector<ChatMessage> load_conversation(const std::string& path) {
  const Json file = read_conversation(path);
  const auto array = file.find("messages");
  const std::string shown = printable_path(path);
  if (array == file.end() || !array->is_array() || array->size() > kMostMessages)
    invalid("{}: messages: expected a list of at most {}", shown, kMostMessages);
  std::vector<ChatMessage> messages;
  for (const Json& message : *array) {
    const std::string where = fmt::format("{}: messages[{}]", shown, messages.size());
    messages.push_back({text_member(message, "role", where), text_member(message, "content", where)});
    const std::string& role = messages.back().role;
    if (role != "system" && role != "user" && role != "assistant" && role != "tool")
      invalid("{}: role: expected system, user, assistant or tool, got {}", where, quoted(role, 40));
    if (role == "system" && messages.size() > 1) invalid("{}: a system message comes first or not at all", where);
  }
  if (!messages.empty() && messages.back().role != "assistant" && messages.back().role != "system")
    invalid("{}: expected the assistant's message at the end, got the {}'s", shown, messages.back().role);
  return messages;
}

}  // namespace godwit
