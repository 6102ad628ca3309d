// Files written by gguf-py (tests/oracle/make_gguf.py): every value in them comes back.
#include <gtest/gtest.h>

#include <cstring>

#include "formats/gguf.h"
#include "tensor/float16.h"

namespace godwit {
namespace {

std::string golden(const std::string& name) { return GODWIT_SOURCE_DIR "/tests/oracle/formats/" + name; }

template <class T>
std::vector<T> data_of(const StoredModel& model, const std::string& name) {
  const StoredTensor* tensor = model.find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << name << " is missing";
    return {};
  }
  std::vector<T> values(tensor->bytes / sizeof(T));
  model.files[static_cast<size_t>(tensor->file)].read_at(tensor->offset, std::as_writable_bytes(std::span(values)));
  return values;
}

float ramp(size_t i) { return (static_cast<float>(i) - 8) / 4; }

TEST(GgufGolden, ScalarsOfEveryType) {
  const StoredModel model = open_gguf(golden("values.gguf"));
  const Config& c = model.config;
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.source, golden("values.gguf"));
  EXPECT_EQ(c.integer("scalar.u8"), 200);
  EXPECT_EQ(c.integer("scalar.i8"), -100);
  EXPECT_EQ(c.integer("scalar.u16"), 60000);
  EXPECT_EQ(c.integer("scalar.i16"), -30000);
  EXPECT_EQ(c.integer("scalar.u32"), 4000000000);
  EXPECT_EQ(c.integer("scalar.i32"), -2000000000);
  EXPECT_EQ(c.integer("scalar.i64"), INT64_MIN);
  EXPECT_EQ(std::get<uint64_t>(c.values.at("llama.scalar.u64")), UINT64_MAX);
  EXPECT_EQ(c.real("scalar.f32"), double{0.1f});
  EXPECT_EQ(c.real("scalar.f64"), 0.1);
  EXPECT_TRUE(c.boolean("scalar.bool", false));
  EXPECT_EQ(c.text("scalar.string"), "h\xC3\xA9llo \xF0\x9F\x8C\x8D");
}

TEST(GgufGolden, ArraysOfEveryType) {
  const Config c = open_gguf(golden("values.gguf")).config;
  using Integers = std::vector<int64_t>;
  EXPECT_EQ(*c.integers("array.u8"), (Integers{0, 255}));
  EXPECT_EQ(*c.integers("array.i8"), (Integers{-128, 127}));
  EXPECT_EQ(*c.integers("array.u16"), (Integers{0, 65535}));
  EXPECT_EQ(*c.integers("array.i16"), (Integers{-32768, 32767}));
  EXPECT_EQ(*c.integers("array.u32"), (Integers{0, 4294967295}));
  EXPECT_EQ(*c.integers("array.i32"), (Integers{INT32_MIN, INT32_MAX}));
  EXPECT_EQ(*c.integers("array.u64"), (Integers{0, INT64_MAX}));
  EXPECT_EQ(*c.integers("array.i64"), (Integers{INT64_MIN, INT64_MAX}));
  EXPECT_EQ(*c.integers("array.bool"), (Integers{1, 0, 1}));
  EXPECT_EQ(*c.reals("array.f32"), (std::vector<double>{0.5, -2.25}));
  EXPECT_EQ(*c.reals("array.f64"), (std::vector<double>{0.1, 1e300}));
  EXPECT_EQ(*c.texts("array.string"), (std::vector<std::string>{"", "a", "\xC3\x9F"}));
}

TEST(GgufGolden, Tensors) {
  const StoredModel model = open_gguf(golden("values.gguf"));
  ASSERT_EQ(model.tensors.size(), 6u);
  EXPECT_EQ(model.find("f32")->shape, (Shape{3, 5}));
  EXPECT_EQ(model.find("f16")->shape, (Shape{2, 3, 4}));
  EXPECT_EQ(model.find("rank4")->shape, (Shape{2, 1, 2, 2}));
  for (const auto& [name, dtype] : {std::pair{"bf16", DType::kBF16}, {"q8_0", DType::kQ8_0}, {"q4_k", DType::kQ4_K}}) {
    EXPECT_EQ(model.find(name)->dtype, dtype);
    EXPECT_EQ(model.find(name)->shape, (Shape{2, 256}));
  }
  const auto f32 = data_of<float>(model, "f32");
  ASSERT_EQ(f32.size(), 15u);
  for (size_t i = 0; i < f32.size(); ++i) EXPECT_EQ(f32[i], ramp(i)) << i;
  const auto f16 = data_of<uint16_t>(model, "f16");
  ASSERT_EQ(f16.size(), 24u);
  for (size_t i = 0; i < f16.size(); ++i) EXPECT_EQ(f16_to_f32(f16[i]), ramp(i)) << i;
  const auto q4_k = data_of<uint8_t>(model, "q4_k");
  ASSERT_EQ(q4_k.size(), 288u);
  for (size_t i = 0; i < q4_k.size(); ++i) EXPECT_EQ(q4_k[i], i % 251) << i;
}

TEST(GgufGolden, ThreeParts) {
  const StoredModel model = open_gguf(golden("split-00001-of-00003.gguf"));
  ASSERT_EQ(model.files.size(), 3u);
  ASSERT_EQ(model.tensors.size(), 5u);
  EXPECT_EQ(model.config.integer("block_count"), 2);
  for (int i = 0; i < 5; ++i) {
    const std::string name = fmt::format("t{}", i);
    EXPECT_EQ(model.find(name)->file, i / 2);
    EXPECT_EQ(data_of<float>(model, name), std::vector<float>(6, static_cast<float>(i)));
  }
}

}  // namespace
}  // namespace godwit
