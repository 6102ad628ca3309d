#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "temp_folder.h"

namespace godwit {
namespace {

/// The message of the Error that `act` throws; fails when it throws none or of another kind.
template <class Act>
std::string error_of(ErrorKind kind, Act act) {
  try {
    act();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

std::string text_at(const InputFile& file, uint64_t offset, size_t size) {
  std::string text(size, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(InputFile, ReadsByPosition) {
  const TempFolder folder;
  const InputFile file(folder.write("a", "0123456789"));
  EXPECT_EQ(file.size(), 10u);
  EXPECT_EQ(text_at(file, 0, 10), "0123456789");
  EXPECT_EQ(text_at(file, 3, 4), "3456");
  EXPECT_EQ(text_at(file, 10, 0), "");
  EXPECT_EQ(std::memcmp(file.map(), "0123456789", 10), 0);
  EXPECT_EQ(file.map(), file.map());
}

TEST(InputFile, KeepsWhatItHasWhenMoved) {
  const TempFolder folder;
  InputFile first(folder.write("a", "aaa"));
  const std::byte* map = first.map();
  InputFile second(std::move(first));
  EXPECT_EQ(second.map(), map);
  InputFile third(folder.write("b", "bb"));
  third = std::move(second);
  EXPECT_EQ(third.map(), map);
  EXPECT_EQ(text_at(third, 0, 3), "aaa");
  EXPECT_EQ(third.path(), folder.file("a"));
}

TEST(InputFile, RefusesToReadPastItsEnd) {
  const TempFolder folder;
  const InputFile file(folder.write("a", "0123456789"));
  using Range = std::pair<uint64_t, size_t>;
  for (const Range& r : {Range{0, 11}, Range{10, 1}, Range{11, 0}, Range{~uint64_t{0}, 1}, Range{5, 6}})
    EXPECT_NE(error_of(ErrorKind::kInvalid, [&] { text_at(file, r.first, r.second); }).find(file.path()),
              std::string::npos);
}

TEST(InputFile, NoticesATruncation) {
  const TempFolder folder;
  const InputFile file(folder.write("a", "0123456789"));
  ASSERT_EQ(::truncate(file.path().c_str(), 4), 0);
  const std::string message = error_of(ErrorKind::kInvalid, [&] { text_at(file, 0, 10); });
  EXPECT_EQ(message, file.path() + ": ends at offset 4, but had 10 bytes when it was opened");
}

TEST(InputFile, AnEmptyFileIsAFile) {
  const TempFolder folder;
  const InputFile file(folder.write("a", ""));
  EXPECT_EQ(file.size(), 0u);
  EXPECT_NE(file.map(), nullptr);
}

TEST(InputFile, RefusesWhatIsNoRegularFileAtOnce) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  const auto start = std::chrono::steady_clock::now();
  const auto message = [](const std::string& path) {
    return error_of(ErrorKind::kInvalid, [&] { InputFile file(path); });
  };
  EXPECT_EQ(message(folder.file("pipe")), folder.file("pipe") + ": expected a regular file, got a named pipe");
  EXPECT_EQ(message(folder.file("")), folder.file("") + ": expected a regular file, got a directory");
  EXPECT_EQ(message("/dev/zero"), "/dev/zero: expected a regular file, got a device");
  EXPECT_EQ(message(folder.file("none")), folder.file("none") + ": cannot be opened: No such file or directory");
  EXPECT_NE(message(std::string("a\0b", 3)).find("a\\x00b: "), std::string::npos);
  const std::string long_path = message(std::string(5000, 'x') + "/name");
  EXPECT_LE(long_path.size(), 512u);
  EXPECT_NE(long_path.find("xxx/name: "), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

size_t entries_in(const std::string& folder) {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++n;
  return n;
}

TEST(OutputFile, WritesWhole) {
  const TempFolder folder;
  const std::string big(3 << 20, 'b');  // larger than the buffer
  OutputFile file(folder.file("out"));
  file.write("start ");
  file.write(big);
  file.write(std::string(" end"));
  EXPECT_EQ(file.position(), 6 + big.size() + 4);
  EXPECT_FALSE(std::filesystem::exists(folder.file("out")));
  file.commit();
  EXPECT_EQ(TempFolder::read(folder.file("out")), "start " + big + " end");
  EXPECT_EQ(entries_in(folder.file("")), 1u);
}

TEST(OutputFile, ReplacesOnlyWhenCommitted) {
  const TempFolder folder;
  folder.write("out", "old");
  {
    OutputFile file(folder.file("out"));
    file.write("new");
  }
  EXPECT_EQ(TempFolder::read(folder.file("out")), "old");
  EXPECT_EQ(entries_in(folder.file("")), 1u);
  OutputFile file(folder.file("out"));
  file.write("new");
  file.commit();
  EXPECT_EQ(TempFolder::read(folder.file("out")), "new");
}

TEST(OutputFile, NamesThePathThatCannotBeWritten) {
  const TempFolder folder;
  const std::string missing = folder.file("none/out");
  EXPECT_EQ(error_of(ErrorKind::kFailed, [&] { OutputFile file(missing); }),
            missing + ": cannot be written: No such file or directory");
  EXPECT_EQ(error_of(ErrorKind::kFailed, [&] { OutputFile file(folder.file("")); }),
            folder.file("") + ": cannot be written: is a directory");
  EXPECT_EQ(error_of(ErrorKind::kFailed, [&] { OutputFile file("/dev/null"); }),
            "/dev/null: cannot be written: is a device");
}

TEST(ReadText, IsBounded) {
  const TempFolder folder;
  const std::string path = folder.write("a", std::string("text\0\n", 6));
  EXPECT_EQ(read_text(path, 6), std::string("text\0\n", 6));
  EXPECT_EQ(error_of(ErrorKind::kInvalid, [&] { read_text(path, 5); }),
            path + ": expected at most 5 bytes, the file has 6");
}

}  // namespace
}  // namespace godwit
