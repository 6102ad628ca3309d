// The file that keeps what was typed.
#include "cli/line_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "temp_folder.h"

namespace godwit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LineHistory, EntriesComeBackWhole) {
  const TempFolder folder;
  const std::string file = folder.file("state/godwit/history");
  EXPECT_THAT(read_history(file), IsEmpty());
  ASSERT_TRUE(append_history(file, "one"));
  ASSERT_TRUE(append_history(file, "two\nlines\t\"quoted\" \\ \xC3\xA4"));
  EXPECT_THAT(read_history(file), ElementsAre("one", "two\nlines\t\"quoted\" \\ \xC3\xA4"));
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(LineHistory, WhatIsNoEntryIsSkipped) {
  const TempFolder folder;
  const std::string file =
      folder.write("history", "\"one\"\n\nplain\n[\"list\"]\n7\n\"\xFF\"\n\"two\"\n[[[[[\n\"cut in the mid");
  EXPECT_THAT(read_history(file), ElementsAre("one", "two"));
}

TEST(LineHistory, IsBounded) {
  const TempFolder folder;
  const std::string file = folder.file("history");
  const std::string entry(10'000, 'x');
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(append_history(file, std::to_string(i) + entry));
  EXPECT_LE(std::filesystem::file_size(file), kHistoryFileBytes + 20'000);
  const auto entries = read_history(file);
  EXPECT_LE(entries.size(), kHistoryEntries);
  EXPECT_GE(entries.size(), 150u);
  EXPECT_EQ(entries.back(), "999" + entry);
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "\"" + std::to_string(i) + "\"\n";
  const auto last = read_history(folder.write("many", many));
  EXPECT_EQ(last.size(), kHistoryEntries);
  EXPECT_EQ(last.front(), "2000");
}

TEST(LineHistory, OnlyAFileIsAHistory) {
  const TempFolder folder;
  const std::string secret = folder.write("secret", "\"not for others\"\n");
  std::filesystem::create_symlink(secret, folder.file("link"));
  EXPECT_FALSE(append_history(folder.file("link"), "x"));
  EXPECT_THAT(read_history(folder.file("link")), IsEmpty());
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_FALSE(append_history(folder.file("pipe"), "x"));
  EXPECT_THAT(read_history(folder.file("pipe")), IsEmpty());
  EXPECT_FALSE(append_history(secret + "/below/a/file", "x"));
}

TEST(LineHistory, LiesInTheStateFolder) {
  const auto copy = [](const char* value) { return std::string(value != nullptr ? value : ""); };
  const std::string home = copy(std::getenv("HOME")), state = copy(std::getenv("XDG_STATE_HOME"));
  ::setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(chat_history_path(), "/state/godwit/chat_history");
  ::setenv("XDG_STATE_HOME", "not/absolute", 1);
  ::setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(chat_history_path(), "/home/someone/.local/state/godwit/chat_history");
  ::unsetenv("HOME");
  EXPECT_EQ(chat_history_path(), "");
  ::setenv("HOME", home.c_str(), 1);
  ::setenv("XDG_STATE_HOME", state.c_str(), 1);  // empty is as good as unset
}

}  // namespace
}  // namespace godwit
