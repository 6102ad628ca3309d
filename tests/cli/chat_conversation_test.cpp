// The file that a conversation is kept in.
#include "cli/chat_conversation.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "temp_folder.h"

namespace godwit {
namespace {

const std::vector<ChatMessage> kConversation = {
    {"system", "Be brief."}, {"user", "\"Hi\"\n\xE6\x9D\xB1 \033[1m"}, {"assistant", ""}};

ErrorKind kind_of(const std::function<void()>& f, const std::string& hint) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(hint), std::string::npos) << e.what();
    return e.kind();
  }
  ADD_FAILURE() << "nothing thrown: " << hint;
  return ErrorKind::kFailed;
}

TEST(ChatConversation, ComesBackAsItWas) {
  const TempFolder folder;
  const std::string file = folder.file("c.json");
  save_conversation(file, kConversation);
  EXPECT_EQ(messages_json(load_conversation(file)), messages_json(kConversation));
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const Json json = parse_json(TempFolder::read(file), file);
  EXPECT_EQ(json["schema"], "godwit.conversation/1");
  EXPECT_EQ(json["messages"][1]["role"], "user");
  save_conversation(file, {{"user", std::string("a\0b", 3)}, {"assistant", "x"}});  // over one of its own
  EXPECT_EQ(load_conversation(file)[0].content, std::string("a\0b", 3));
  save_conversation(file, {});
  EXPECT_TRUE(load_conversation(file).empty());
  std::filesystem::create_symlink(file, folder.file("link"));
  save_conversation(folder.file("link"), kConversation);
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(load_conversation(file).size(), 3u);
  // Nothing is left beside it.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(std::filesystem::path(file).parent_path()), {}), 2);
}

TEST(ChatConversation, NothingElseIsOverwritten) {
  const TempFolder folder;
  for (const std::string text : {"precious", "", "{\"schema\": \"godwit.run/1\"}", "[]", "{\"schema\": 1}"}) {
    const std::string file = folder.write("c.json", text);
    EXPECT_EQ(kind_of([&] { save_conversation(file, kConversation); }, "c.json"), ErrorKind::kInvalid);
    EXPECT_EQ(TempFolder::read(file), text);
  }
  EXPECT_EQ(kind_of([&] { save_conversation(folder.file("."), kConversation); }, "directory"), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of([&] { save_conversation(folder.file("absent/c.json"), kConversation); }, "absent"),
            ErrorKind::kFailed);
}

TEST(ChatConversation, BrokenFilesAreRefusedWithTheirPlace) {
  const TempFolder folder;
  const std::string head = R"({"schema": "godwit.conversation/1", "messages": )";
  const std::pair<std::string, std::string> cases[] = {
      {"", "c.json"},
      {"{", "c.json"},
      {R"({"messages": []})", "schema"},
      {R"({"schema": "godwit.conversation/1"})", "messages"},
      {head + "7}", "messages"},
      {head + "[7]}", "messages[0]"},
      {head + R"([{"role": "user"}]})", "content"},
      {head + R"([{"content": "x"}]})", "role"},
      {head + R"([{"role": "user", "content": ["x"]}]})", "content"},
      {head + R"([{"role": "robot", "content": "x"}]})", "robot"},
      {head + R"([{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]})", "messages[1]"},
      {head + R"([{"role": "user", "content": "x"}]})", "assistant"},
      {head + std::string(100'000, '[') + "}", "c.json"},
      {head + "[]} trailing", "c.json"},
  };
  for (const auto& [text, hint] : cases) {
    const std::string file = folder.write("c.json", text);
    EXPECT_EQ(kind_of([&] { load_conversation(file); }, hint), ErrorKind::kInvalid) << text;
  }
  EXPECT_EQ(kind_of([&] { load_conversation(folder.file("absent")); }, "absent"), ErrorKind::kInvalid);
}

}  // namespace
}  // namespace godwit
