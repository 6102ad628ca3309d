// GGUF files that must be accepted, split files, and files damaged at every place.
#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "formats/gguf_builder.h"
#include "formats/memory_peak.h"
#include "temp_folder.h"

namespace godwit::gguf_reading {
namespace {

GgufBuilder llama() { return GgufBuilder::llama(); }

StoredModel opened(const std::string& bytes) {
  const TempFolder folder;
  return open_gguf(folder.write("good.gguf", bytes));
}

std::string refused(const std::string& path) {
  try {
    open_gguf(path);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid);
    return e.what();
  }
  ADD_FAILURE() << path << " was accepted";
  return "";
}

TEST(Gguf, TheMinimalExample) {
  // From the format's description: header to 23, key to 68, tensor to 109, data at 128, 24 bytes, padded end 160.
  const std::string bytes = llama().tensor("a", {2, 3}, 0, 0).build(32);
  ASSERT_EQ(bytes.size(), 160u);
  for (const size_t size : {160u, 152u}) {
    const StoredModel model = opened(bytes.substr(0, size));
    ASSERT_EQ(model.tensors.size(), 1u);
    const StoredTensor& a = *model.find("a");
    EXPECT_EQ(a.dtype, DType::kF32);
    EXPECT_EQ(a.shape, (Shape{3, 2}));
    EXPECT_EQ(a.offset, 128u);
    EXPECT_EQ(a.bytes, 24u);
    EXPECT_EQ(model.config.architecture, "llama");
    EXPECT_EQ(model.find("b"), nullptr);
  }
}

TEST(Gguf, VersionTwoIsRead) {
  GgufBuilder b = llama();
  b.version = 2;
  EXPECT_EQ(opened(b.tensor("a", {2, 3}, 0, 0).build(32)).tensors.size(), 1u);
}

TEST(Gguf, G47GapsAndAnyOrder) {
  const StoredModel model =
      opened(llama().tensor("a", {16}, 0, 128).tensor("b", {16}, 0, 0).tensor("c", {16}, 0, 192).build(256));
  // 24 + 45 + 3 * 33 = 168 bytes of header: the data begins at 192.
  EXPECT_EQ(model.find("a")->offset, 320u);
  EXPECT_EQ(model.find("b")->offset, 192u);
  EXPECT_EQ(model.find("c")->offset, 384u);
}

TEST(Gguf, NamesOf63BytesAndAPageOfPadding) {
  const std::string name(63, 'n');
  EXPECT_NE(opened(llama().tensor(name, {16}, 0, 0).build(64 + 4096)).find(name), nullptr);
}

TEST(Gguf, G66WeightsThatAreNoNumbersAreFound) {
  EXPECT_EQ(opened(llama().tensor("a", {16}, 0, 0).build(64, '\xFF')).tensors.size(), 1u);
}

TEST(Gguf, G70TwoThousandUnknownKeys) {
  GgufBuilder b = llama();
  for (int i = 0; i < 500; ++i) {
    b.key(fmt::format("x.{}", i), kU64, static_cast<uint64_t>(i)).text(fmt::format("y.{}", i), "text\0 \xFF");
    b.key(fmt::format("z.{}", i), kF64, 0.5).array(fmt::format("w.{}", i), kI16, 2, std::string(4, '\1'));
  }
  const StoredModel model = opened(b.build());
  EXPECT_EQ(model.config.values.size(), 2001u);
  EXPECT_EQ(std::get<int64_t>(model.config.values.at("x.499")), 499);
  EXPECT_EQ(std::get<std::vector<int64_t>>(model.config.values.at("w.499")), (std::vector<int64_t>{257, 257}));
}

TEST(Gguf, G71AlignmentOf64) {
  GgufBuilder b = llama();
  b.alignment = 64;
  b.key("general.alignment", kU32, uint32_t{64}).tensor("a", {4}, 0, 0).tensor("b", {4}, 0, 64);
  const StoredModel model = opened(b.build(128));
  EXPECT_EQ(model.find("a")->offset % 64, 0u);
  EXPECT_EQ(model.find("b")->offset, model.find("a")->offset + 64);
  EXPECT_EQ(model.config.integer("general.alignment"), 64);
}

TEST(Gguf, G72NoTensors) {
  const StoredModel model = opened(llama().array("tokenizer.ggml.tokens", kString, 1, gguf_string("a")).build());
  EXPECT_TRUE(model.tensors.empty());
  EXPECT_EQ(model.config.texts("tokenizer.ggml.tokens")->at(0), "a");
}

TEST(Gguf, IntegersOfAnyWidth) {
  const Config c =
      opened(llama().key("llama.a", kU64, uint64_t{1} << 62).key("llama.b", kI8, int8_t{-1}).build()).config;
  EXPECT_EQ(c.integer("a"), int64_t{1} << 62);
  EXPECT_EQ(c.integer("b"), -1);
}

// Strings and arrays that lie across the edges of the reader's buffer of a mebibyte.
TEST(Gguf, LargeMetadataIsReadByPieces) {
  GgufBuilder b = llama();
  std::string tokens, numbers;
  std::vector<std::string> expected;
  constexpr uint64_t kTokens = 262144, kNumbers = 100000;
  for (uint64_t i = 0; i < kTokens; ++i) {
    expected.push_back("token" + std::to_string(i) + std::string(i % 23, 'x'));
    tokens += gguf_string(expected.back());
  }
  for (uint64_t i = 0; i < kNumbers; ++i) numbers += le(-static_cast<float>(i));
  const std::string long_text(3000001, 'l');
  b.array("tokenizer.ggml.tokens", kString, kTokens, tokens).text("tokenizer.chat_template", long_text);
  b.array("tokenizer.ggml.scores", kF32, kNumbers, numbers).text("llama.last", "end");
  const TempFolder folder;
  const std::string bytes = b.build();
  const std::string path = folder.write("large.gguf", bytes);
  reset_memory_peak();
  const StoredModel model = open_gguf(path);
  EXPECT_LE(memory_peak(), (int64_t{64} << 20) + 2 * static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(*model.config.texts("tokenizer.ggml.tokens"), expected);
  EXPECT_EQ(model.config.text("tokenizer.chat_template"), long_text);
  EXPECT_EQ(model.config.text("last"), "end");
  const std::vector<double> scores = *model.config.reals("tokenizer.ggml.scores");
  ASSERT_EQ(scores.size(), kNumbers);
  for (size_t i = 0; i < kNumbers; ++i) ASSERT_EQ(scores[i], -static_cast<double>(i));
}

TEST(Gguf, AHeaderHasALimit) {
  // 17 texts of the largest size: the file is there, but 272 MiB of metadata are too much.
  const TempFolder folder;
  const std::string path = folder.file("long.gguf");
  const uint64_t size = uint64_t{16} << 20;
  GgufBuilder b = llama();
  b.n_keys = 18;
  folder.write("long.gguf", b.build());
  uint64_t end = std::filesystem::file_size(path);
  for (int i = 0; i < 17; ++i) {  // sparse: the texts are zeros
    std::filesystem::resize_file(path, end);
    std::ofstream(path, std::ios::binary | std::ios::app)
        << gguf_string(fmt::format("llama.{}", i)) << le(uint32_t{kString}) << le(size);
    end = std::filesystem::file_size(path) + size;
  }
  std::filesystem::resize_file(path, end);
  EXPECT_NE(refused(path).find("expected a header of at most 268435456 bytes, this one is longer"), std::string::npos);
}

TEST(Gguf, G50AGibibyteOfJunk) {
  const TempFolder folder;
  const std::string path = folder.write("junk.gguf", llama().tensor("a", {16}, 0, 0).build(64));
  ASSERT_EQ(::truncate(path.c_str(), off_t{1} << 30), 0);
  EXPECT_NE(refused(path).find("gguf: header: expected the file to end with its last tensor at 192"),
            std::string::npos);
}

TEST(Gguf, G69NoRegularFile) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo(folder.file("pipe.gguf").c_str(), 0600), 0);
  EXPECT_NE(refused(folder.file("pipe.gguf")).find("pipe.gguf: expected a regular file"), std::string::npos);
  EXPECT_NE(refused(folder.file("")).find("expected a regular file, got a directory"), std::string::npos);
  EXPECT_NE(refused("/dev/zero").find("expected a regular file, got a device"), std::string::npos);
  EXPECT_NE(refused(folder.file("none.gguf")).find("No such file"), std::string::npos);
}

/// One part of three, with one tensor named after `no`.
std::string part(uint16_t no, uint16_t count = 3, int32_t total = 3) {
  GgufBuilder b;
  if (no == 0) b = llama();
  b.key("split.no", kU16, no).key("split.count", kU16, count).key("split.tensors.count", kI32, total);
  return b.tensor(fmt::format("t{}", no), {16}, 0, 0).build(64);
}

class GgufSplit : public testing::Test {
 protected:
  std::string path(int i) const { return folder_.file(fmt::format("m-{:05}-of-00003.gguf", i)); }
  void write(int i, const std::string& bytes) const { folder_.write(fmt::format("m-{:05}-of-00003.gguf", i), bytes); }
  void SetUp() override {
    for (int i = 1; i <= 3; ++i) write(i, part(static_cast<uint16_t>(i - 1)));
  }
  void expect_refused(const std::string& message) const {
    const std::string got = refused(path(1));
    EXPECT_NE(got.find(message), std::string::npos) << got;
  }
  TempFolder folder_;
};

TEST_F(GgufSplit, OpensAllParts) {
  const StoredModel model = open_gguf(path(1));
  ASSERT_EQ(model.files.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(model.files[static_cast<size_t>(i)].path(), path(i + 1));
    EXPECT_EQ(model.find(fmt::format("t{}", i))->file, i);
  }
  EXPECT_EQ(model.config.architecture, "llama");
}

TEST_F(GgufSplit, G67AMissingPart) {
  std::filesystem::remove(path(2));
  expect_refused("m-00002-of-00003.gguf: cannot be opened: No such file or directory");
}

TEST_F(GgufSplit, G67ARepeatedPart) {
  write(3, part(1));
  expect_refused("m-00003-of-00003.gguf: gguf: tensor t1: expected each tensor once, got it again");
}

TEST_F(GgufSplit, G67APartOfAnotherNumber) {
  GgufBuilder b;
  b.key("split.no", kU16, uint16_t{7}).key("split.count", kU16, uint16_t{3});
  write(3, b.tensor("other", {16}, 0, 0).build(64));
  expect_refused("m-00003-of-00003.gguf: key split.no: expected 2, got 7");
}

TEST_F(GgufSplit, G67APartWithoutANumber) {
  write(3, GgufBuilder().tensor("other", {16}, 0, 0).build(64));
  expect_refused("m-00003-of-00003.gguf: key split.no: expected 2, got nothing");
}

TEST_F(GgufSplit, G67AnotherCount) {
  write(2, part(1, 4));
  expect_refused("m-00002-of-00003.gguf: key split.count: expected 3, got 4");
}

TEST_F(GgufSplit, G67ACountThatTheNameDenies) {
  write(1, part(0, 4));
  expect_refused("m-00001-of-00003.gguf: key split.count: expected a file name ending in -00001-of-00004.gguf");
}

TEST_F(GgufSplit, G67CountsOutOfRange) {
  write(1, part(0, 0));
  expect_refused("key split.count: expected an integer from 1 to 1024, got 0");
  write(1, part(0, 65535));
  expect_refused("key split.count: expected an integer from 1 to 1024, got 65535");
}

TEST_F(GgufSplit, G67AnotherNumberOfTensors) {
  write(1, part(0, 3, 4));
  expect_refused("m-00001-of-00003.gguf: key split.tensors.count: expected 3, got 4");
}

TEST_F(GgufSplit, LaterPartsAreNotModels) {
  write(2, llama().key("split.no", kU16, uint16_t{1}).key("split.count", kU16, uint16_t{3}).build());
  const std::string message = refused(path(2));
  EXPECT_NE(message.find("key split.no: expected 0, which the part named ...-00001-of-... has, got 1"),
            std::string::npos);
}

TEST_F(GgufSplit, G68PartsLieBesideTheFirst) {
  // Nothing in a file can name another: the only thing used is the path that was given.
  GgufBuilder b = llama();
  b.key("split.no", kU16, uint16_t{0}).key("split.count", kU16, uint16_t{3}).text("split.files", "../../etc/passwd");
  write(1, b.text("general.name", "/etc/passwd").build());
  const StoredModel model = open_gguf(path(1));
  for (const InputFile& file : model.files)
    EXPECT_EQ(std::filesystem::path(file.path()).parent_path(), std::filesystem::path(path(1)).parent_path());
}

TEST(Gguf, OnePartIsAWholeModel) { EXPECT_EQ(opened(part(0, 1, 1)).files.size(), 1u); }

/// A small file with a bit of everything.
std::string small_file() {
  GgufBuilder b = llama();
  b.key("llama.block_count", kU32, uint32_t{2}).key("general.alignment", kU32, uint32_t{32});
  b.key("llama.eps", kF32, 1e-5f).key("tokenizer.on", kBool, uint8_t{1}).text("general.name", "small");
  b.array("tokenizer.ggml.tokens", kString, 2, gguf_string("a") + gguf_string("bc"));
  b.array("tokenizer.ggml.types", kI32, 2, le(int32_t{1}) + le(int32_t{3}))
      .array("x", kBool, 2, std::string("\0\1", 2));
  return b.tensor("a.weight", {32, 2}, 8, 0).tensor("b", {8}, 0, 96).build(128);
}

enum class Outcome { kAccepted, kRefused };

/// Parses bytes that end exactly where their allocation does, so that a sanitizer sees every read beyond.
Outcome outcome_of(const std::string& bytes, uint64_t file_size) {
  const auto exact = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(exact.get()));
  StoredModel model;
  try {
    parse_gguf_header(exact.get(), bytes.size(), file_size, "damaged", model);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid);
    EXPECT_EQ(std::string(e.what()).rfind("damaged: gguf: ", 0), 0u) << e.what();
    return Outcome::kRefused;
  }
  for (const StoredTensor& tensor : model.tensors) {
    EXPECT_LE(tensor.bytes, file_size);
    EXPECT_LE(tensor.offset, file_size - tensor.bytes);
  }
  return Outcome::kAccepted;
}

TEST(GgufDamaged, TruncatedAtEveryByte) {
  const TempFolder folder;
  const std::string whole = small_file();
  ASSERT_EQ(outcome_of(whole, whole.size()), Outcome::kAccepted);
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    EXPECT_EQ(outcome_of(cut, size), Outcome::kRefused) << size;
    EXPECT_NE(refused(folder.write("cut.gguf", cut)), "") << size;
  }
}

TEST(GgufDamaged, EveryBitOfTheHeaderFlipped) {
  const TempFolder folder;
  const std::string whole = small_file();
  const size_t header = whole.size() - 128;
  size_t n_refused = 0;
  for (size_t bit = 0; bit < 8 * header; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(static_cast<unsigned char>(flipped[bit / 8]) ^ (1u << (bit % 8)));
    const Outcome parsed = outcome_of(flipped, flipped.size());
    n_refused += parsed == Outcome::kRefused;
    if (bit % 8 != bit / 8 % 8) continue;  // through a file: one bit of each byte
    const std::string path = folder.write("flipped.gguf", flipped);
    if (parsed == Outcome::kRefused)
      EXPECT_NE(refused(path), "") << bit;
    else
      EXPECT_NO_THROW(open_gguf(path)) << bit;
  }
  // Names and values may change unnoticed; magic, version, counts, lengths and types do not.
  EXPECT_GT(n_refused, 8 * header / 4);
  EXPECT_LT(n_refused, 8 * header);
}

}  // namespace
}  // namespace godwit::gguf_reading
