// What is written can be read, and has the types that llama.cpp asks for.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/gguf_builder.h"
#include "temp_folder.h"

namespace godwit::gguf_writing {
namespace {

Config sample() {
  Config c;
  c.architecture = "llama";
  c.set("block_count", int64_t{2});
  c.set("largest_u32", int64_t{4294967295});
  c.set("wide", int64_t{4294967296});
  c.set("negative", int64_t{-5});
  c.set("least", INT64_MIN);
  c.set("unsigned", ~uint64_t{0});
  c.set("eps", double{1e-5f});
  c.set("beyond_f32", 1e300);
  c.set("on", true);
  c.set("off", false);
  c.set("general.name", std::string("caf\xC3\xA9"));
  c.set("empty", std::string());
  c.set("tokenizer.ggml.tokens", std::vector<std::string>{"", "b", std::string("c\0d", 3)});
  c.set("tokenizer.ggml.token_type", std::vector<int64_t>{1, -2147483648LL, 2147483647});
  c.set("wide_array", std::vector<int64_t>{1, 2147483648LL});
  c.set("tokenizer.ggml.scores", std::vector<double>{0.0, -0.5, -1000.0});
  c.set("pattern", std::vector<bool>{true, false, true});
  c.set("no_texts", std::vector<std::string>{});
  return c;
}

/// The key's value as it lies in the file: its type and the bytes that follow.
std::string value_in(const std::string& bytes, const std::string& key, size_t size) {
  const size_t at = bytes.find(gguf_string(key));
  if (at == std::string::npos) return "missing";
  return bytes.substr(at + 8 + key.size(), size);
}

TensorToWrite tensor_of(const std::string& name, DType dtype, Shape shape, const std::string& data) {
  return {name, dtype, shape, [data](const auto& write) {
            const auto* bytes = reinterpret_cast<const std::byte*>(data.data());
            write(bytes, data.size() / 2);
            write(bytes + data.size() / 2, data.size() - data.size() / 2);
          }};
}

TEST(GgufWrite, EveryValueComesBack) {
  const TempFolder folder;
  const Config written = sample();
  write_gguf(folder.file("a.gguf"), written, {}, nullptr);
  const StoredModel model = open_gguf(folder.file("a.gguf"));
  EXPECT_EQ(model.config.architecture, "llama");
  std::map<std::string, ConfigValue> expected = written.values;
  expected["general.architecture"] = std::string("llama");
  EXPECT_EQ(model.config.values, expected);
}

TEST(GgufWrite, TypesAreThoseOfLlamaCpp) {
  const TempFolder folder;
  write_gguf(folder.file("a.gguf"), sample(), {}, nullptr);
  const std::string bytes = TempFolder::read(folder.file("a.gguf"));
  EXPECT_EQ(bytes.substr(0, 24), "GGUF" + le(uint32_t{3}) + le(uint64_t{0}) + le(uint64_t{19}));
  EXPECT_EQ(bytes.substr(24, 8 + 20), gguf_string("general.architecture"));
  EXPECT_EQ(value_in(bytes, "llama.block_count", 8), le(uint32_t{kU32}) + le(uint32_t{2}));
  EXPECT_EQ(value_in(bytes, "llama.largest_u32", 8), le(uint32_t{kU32}) + le(uint32_t{4294967295}));
  EXPECT_EQ(value_in(bytes, "llama.wide", 12), le(uint32_t{kI64}) + le(int64_t{4294967296}));
  EXPECT_EQ(value_in(bytes, "llama.negative", 8), le(uint32_t{kI32}) + le(int32_t{-5}));
  EXPECT_EQ(value_in(bytes, "llama.unsigned", 12), le(uint32_t{kU64}) + le(~uint64_t{0}));
  EXPECT_EQ(value_in(bytes, "llama.eps", 8), le(uint32_t{kF32}) + le(1e-5f));
  EXPECT_EQ(value_in(bytes, "llama.beyond_f32", 12), le(uint32_t{kF64}) + le(1e300));
  EXPECT_EQ(value_in(bytes, "llama.on", 5), le(uint32_t{kBool}) + "\1");
  EXPECT_EQ(value_in(bytes, "general.name", 17), le(uint32_t{kString}) + gguf_string("caf\xC3\xA9"));
  EXPECT_EQ(value_in(bytes, "tokenizer.ggml.token_type", 20),
            le(uint32_t{kArray}) + le(uint32_t{kI32}) + le(uint64_t{3}) + le(int32_t{1}));
  EXPECT_EQ(value_in(bytes, "llama.wide_array", 16), le(uint32_t{kArray}) + le(uint32_t{kI64}) + le(uint64_t{2}));
  EXPECT_EQ(value_in(bytes, "tokenizer.ggml.scores", 16), le(uint32_t{kArray}) + le(uint32_t{kF32}) + le(uint64_t{3}));
  EXPECT_EQ(value_in(bytes, "llama.pattern", 19),
            le(uint32_t{kArray}) + le(uint32_t{kBool}) + le(uint64_t{3}) + std::string("\1\0\1", 3));
  EXPECT_EQ(value_in(bytes, "tokenizer.ggml.tokens", 24),
            le(uint32_t{kArray}) + le(uint32_t{kString}) + le(uint64_t{3}) + le(uint64_t{0}));
}

TEST(GgufWrite, KeysOfALayoutAreLeftOut) {
  const TempFolder folder;
  Config c;
  c.architecture = "qwen3";
  c.set("general.architecture", std::string("ignored"));
  c.set("general.alignment", int64_t{64});
  c.set("split.count", int64_t{3});
  c.set("split.no", int64_t{0});
  write_gguf(folder.file("a.gguf"), c, {tensor_of("a", DType::kF32, {16}, std::string(64, 'a'))}, nullptr);
  const StoredModel model = open_gguf(folder.file("a.gguf"));
  EXPECT_EQ(model.config.architecture, "qwen3");
  EXPECT_EQ(model.config.values.size(), 1u);
}

TEST(GgufWrite, TensorsComeBack) {
  const TempFolder folder;
  const std::string first(24, 'f'), second(2 * 3 * 34, 's'), third(2, 't');
  std::vector<int64_t> seen;
  int64_t total = 0;
  write_gguf(
      folder.file("a.gguf"), sample(),
      {tensor_of("token_embd.weight", DType::kF32, {3, 2}, first),
       tensor_of("blk.0.x.weight", DType::kQ8_0, {2, 3, 32}, second), tensor_of("end", DType::kBF16, {1}, third)},
      [&](int64_t done, int64_t of) {
        seen.push_back(done);
        total = of;
      });
  const StoredModel model = open_gguf(folder.file("a.gguf"));
  ASSERT_EQ(model.tensors.size(), 3u);
  EXPECT_EQ(model.tensors[1].name, "blk.0.x.weight");
  EXPECT_EQ(model.tensors[1].dtype, DType::kQ8_0);
  EXPECT_EQ(model.tensors[1].shape, (Shape{2, 3, 32}));
  const std::string bytes = TempFolder::read(folder.file("a.gguf"));
  const std::string expected[] = {first, second, third};
  uint64_t end = model.tensors[0].offset;
  for (size_t i = 0; i < 3; ++i) {
    const StoredTensor& t = model.tensors[i];
    EXPECT_EQ(t.offset, end);  // ggml wants them one after the other, each padded to 32
    EXPECT_EQ(t.offset % 32, 0u);
    EXPECT_EQ(bytes.substr(t.offset, t.bytes), expected[i]);
    end = (t.offset + t.bytes + 31) / 32 * 32;
  }
  EXPECT_EQ(bytes.size(), end);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(total, static_cast<int64_t>(32 + 224 + 32));
}

TEST(GgufWrite, TheMinimalExample) {
  const TempFolder folder;
  Config c;
  c.architecture = "llama";
  write_gguf(folder.file("a.gguf"), c, {tensor_of("a", DType::kF32, {3, 2}, std::string(24, '\0'))}, nullptr);
  EXPECT_EQ(TempFolder::read(folder.file("a.gguf")), GgufBuilder::llama().tensor("a", {2, 3}, 0, 0).build(32));
}

TEST(GgufWrite, NothingIsLeftOfAFailure) {
  const TempFolder folder;
  const auto broken = [](const auto&) { invalid("the source broke"); };
  EXPECT_THROW(write_gguf(folder.file("a.gguf"), sample(), {{"a", DType::kF32, {16}, broken}}, nullptr), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.file("")));
}

TEST(GgufWrite, RefusesNamesThatOthersCannotRead) {
  const TempFolder folder;
  const std::string name(64, 'n');
  try {
    write_gguf(folder.file("a.gguf"), sample(), {tensor_of(name, DType::kF32, {16}, std::string(64, 'a'))}, nullptr);
    FAIL() << "written";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()),
              folder.file("a.gguf") + ": gguf: tensor " + name + ": expected a name of 1 to 63 bytes, got 64");
  }
}

}  // namespace
}  // namespace godwit::gguf_writing
