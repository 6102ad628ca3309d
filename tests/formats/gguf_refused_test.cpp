// Every malformed GGUF file of the corpus (G01 to G69): refused with an Error that names file and key or tensor, at
// once and within bounds of memory.
#include <gtest/gtest.h>

#include <chrono>
#include <ostream>

#include "base/error.h"
#include "base/text.h"
#include "formats/gguf.h"
#include "formats/gguf_builder.h"
#include "formats/memory_peak.h"
#include "temp_folder.h"

namespace godwit {
namespace {

struct Case {
  std::string id;
  std::string bytes;
  std::string message;  // what the Error's text must contain

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.id; }
};

constexpr uint64_t kMax = ~uint64_t{0};
constexpr uint64_t kHalf = uint64_t{1} << 63;

GgufBuilder llama() { return GgufBuilder::llama(); }
GgufBuilder with_tensor(const std::vector<uint64_t>& ne, uint32_t type, uint64_t offset = 0) {
  return llama().tensor("a", ne, type, offset);
}

std::vector<Case> beginnings() {
  GgufBuilder other_magic = llama(), v0 = llama(), v1 = llama(), v4 = llama(), swapped = llama();
  other_magic.magic = "GGML";
  v0.version = 0;
  v1.version = 1;
  v4.version = 4;
  swapped.version = 0x03000000;
  GgufBuilder tensors = llama(), keys = llama(), wrapping = llama(), million;
  tensors.n_tensors = kMax;
  keys.n_keys = kMax;
  wrapping.n_tensors = kMax / 88;
  million.n_keys = 1000000;
  GgufBuilder within_limits = llama();
  within_limits.n_keys = 60000;
  return {
      {"G01_empty", "", "header: expected the bytes \"GGUF\", the file has 0 bytes (offset 0)"},
      {"G02_three_bytes", "GGU", "header: expected the bytes \"GGUF\", the file has 3 bytes"},
      {"G03_magic", other_magic.build(), "expected the bytes \"GGUF\", got \"GGML\""},
      {"G04_magic_only", "GGUF", "header: expected 4 more bytes, the file has 0 (offset 4)"},
      {"G05_version_0", v0.build(), "expected version 2 or 3, got 0 (offset 4)"},
      {"G06_version_1", v1.build(), "expected version 2 or 3, got 1"},
      {"G07_version_4", v4.build(), "expected version 2 or 3, got 4"},
      {"G08_big_endian", swapped.build(), "got 50331648 (a big-endian file)"},
      {"G09_tensors", tensors.build(), "expected at most 131072 tensors, got 18446744073709551615 (offset 8)"},
      {"G10_keys", keys.build(), "expected at most 65536 keys, got 18446744073709551615 (offset 16)"},
      {"G11_tensors_wrap", wrapping.build(), "expected at most 131072 tensors, got 209622091746699450"},
      {"G12_million_keys", million.build() + std::string(40, '\0'), "expected at most 65536 keys, got 1000000"},
      {"G12_more_keys_than_bytes", within_limits.build(), "60000 keys and 0 tensors need at least 840000 bytes"},
  };
}

std::vector<Case> keys() {
  const std::string value = le(uint32_t{1});
  GgufBuilder huge = llama(), empty = llama(), nul = llama(), not_utf8 = llama(), twice = llama(), other_type = llama();
  huge.raw_key(le(kMax), kU32, value);
  empty.raw_key(gguf_string(""), kU32, value);
  nul.raw_key(gguf_string(std::string("a\0b", 3)), kU32, value);
  not_utf8.raw_key(gguf_string("a\xFF\xFE"), kU32, value);
  twice.key("llama.x", kU32, uint32_t{1}).key("llama.x", kU32, uint32_t{1});
  other_type.key("llama.x", kU32, uint32_t{1}).text("llama.x", "1");
  return {
      {"G13_length", huge.build(), "key number 1: expected a name of at most 65535 bytes, got 18446744073709551615"},
      {"G14_empty", empty.build(), "key number 1: expected a name, got an empty one"},
      {"G15_nul", nul.build(), "key number 1: expected a name in UTF-8 without NUL, got \"a\\x00b\""},
      {"G16_not_utf8", not_utf8.build(), "expected a name in UTF-8 without NUL, got \"a\\xff\\xfe\""},
      {"G17_twice", twice.build(), "key llama.x: expected each key once, got it again"},
      {"G18_twice_another_type", other_type.build(), "key llama.x: expected each key once, got it again"},
      {"Gx_no_architecture", GgufBuilder().key("a", kU32, uint32_t{1}).build(),
       "key general.architecture: expected a text, got nothing"},
      {"Gx_architecture_of_another_type", GgufBuilder().key("general.architecture", kU32, uint32_t{1}).build(),
       "key general.architecture: expected a text, got another type"},
      {"Gx_architecture_with_escapes", GgufBuilder().text("general.architecture", "\x1B[2J\xFF").build(),
       "key general.architecture: expected a name of lower-case letters and digits, got \"\\x1b[2J\\xff\""},
  };
}

std::vector<Case> values() {
  std::string nested;
  for (int i = 0; i < 10000; ++i) nested += le(uint32_t{kArray}) + le(uint64_t{1});
  const auto value = [](uint32_t type, const std::string& payload) {
    return llama().raw_key(gguf_string("llama.x"), type, payload).build();
  };
  const auto array = [](uint32_t type, uint64_t count, const std::string& payload) {
    return llama().array("llama.x", type, count, payload).build();
  };
  const std::string kilobyte(1024, 'a');
  return {
      {"G19_type_13", value(13, kilobyte), "key llama.x: expected a value type from 0 to 12, got 13"},
      {"G20_type_minus_1", value(0xFFFFFFFF, kilobyte), "expected a value type from 0 to 12, got 4294967295"},
      {"G21_bool", value(kBool, "\x02"), "key llama.x: expected a boolean (0 or 1), got 2"},
      {"G21_bool_in_array", array(kBool, 3, std::string("\0\1\2", 3)), "expected a boolean (0 or 1), got 2"},
      {"G22_string_one_past", value(kString, le(uint64_t{5}) + "four"), "expected 5 more bytes, the file has 4"},
      {"G23_string_1_gib", value(kString, le(uint64_t{1} << 30) + kilobyte),
       "key llama.x: expected a string of at most 16777216 bytes, got 1073741824"},
      {"G23_string_16_mib", value(kString, le(uint64_t{1} << 24) + kilobyte),
       "expected 16777216 more bytes, the file has 1024"},
      {"G24_array_2_40", array(kU8, uint64_t{1} << 40, kilobyte),
       "expected at most 16777216 elements, got 1099511627776"},
      {"G25_strings_2_30", array(kString, 1 << 30, kilobyte), "expected at most 16777216 elements, got 1073741824"},
      {"G25_strings_2_24", array(kString, 1 << 24, kilobyte),
       "expected 16777216 elements of string in at least 134217728 bytes, 1024 are left"},
      {"G26_nested_10k", value(kArray, nested),
       "key llama.x: expected an array of plain values, got an array of arrays"},
      {"G27_bytes_wrap_to_0", array(kU64, uint64_t{1} << 61, kilobyte), "expected at most 16777216 elements"},
      {"Gx_element_type", array(99, 1, kilobyte), "key llama.x: expected an element type from 0 to 12, got 99"},
      {"Gx_u64_element", array(kU64, 1, le(kMax)), "expected integers below 2^63, got 18446744073709551615"},
      {"Gx_memory_numbers", array(kU8, 15 << 20, std::string(15 << 20, '\1')), "expected metadata within"},
      {"Gx_memory_strings", array(kString, 8 << 20, std::string(64 << 20, '\0')), "expected metadata within"},
  };
}

std::vector<Case> alignments() {
  const auto with = [](uint32_t value) { return llama().key("general.alignment", kU32, value).build(); };
  return {
      {"G28_0", with(0), "key general.alignment: expected a power of two from 8 to 4096, got 0"},
      {"G29_13", with(13), "key general.alignment: expected a power of two from 8 to 4096, got 13"},
      {"G30_2_31", with(uint32_t{1} << 31), "key general.alignment: expected a power of two from 8 to 4096"},
      {"G31_i32", llama().key("general.alignment", kI32, int32_t{32}).build(),
       "key general.alignment: expected a u32, got a value of type i32"},
      {"G32_2_63", llama().key("general.alignment", kU64, kHalf).build(),
       "key general.alignment: expected a u32, got a value of type u64"},
      {"Gx_4", with(4), "expected a power of two from 8 to 4096, got 4"},
      {"Gx_8192", with(8192), "expected a power of two from 8 to 4096, got 8192"},
  };
}

std::vector<Case> shapes() {
  const std::string name = gguf_string("a");
  const auto typed = [](uint32_t type) { return with_tensor({256}, type).build(1024); };
  constexpr uint64_t kQuarter = 0x1FFFFFFFFFFFFFF0;  // of F32: 0x7FFFFFFFFFFFFFC0 bytes
  const uint64_t wide = (uint64_t{1} << 42) + 1;
  return {
      {"G33_rank_0", llama().raw_tensor(name, 0, {}, 0, 0).build(64), "tensor a: expected 1 to 4 dimensions, got 0"},
      {"G34_rank_5", llama().tensor("a", {1, 1, 1, 1, 1}, 0, 0).build(64),
       "tensor a: expected 1 to 4 dimensions, got 5"},
      {"G35_rank_2_32", llama().raw_tensor(name, 0xFFFFFFFF, {1}, 0, 0).build(64), "dimensions, got 4294967295"},
      {"G36_negative", with_tensor({4, kMax}, 0).build(64), "tensor a: expected dimension 1 between 1 and 2^63 - 1"},
      {"G37_zero", with_tensor({4, 0}, 0).build(64), "tensor a: expected dimension 1 between 1 and 2^63 - 1, got 0"},
      {"G38_two_huge", llama().tensor("a", {kQuarter}, 0, 0).tensor("b", {kQuarter}, 0, 0x7FFFFFFFFFFFFFC0).build(64),
       "tensor a: expected 9223372036854775744 bytes at 0 of the data within the file"},
      {"G39_product_wraps", with_tensor({wide, uint64_t{1} << 22, 4}, 0).build(64),
       "tensor a: expected fewer than 2^63 elements, got [4, 4194304, 4398046511105]"},
      {"G39_bytes_wrap", with_tensor({uint64_t{1} << 62}, 0).build(64), "tensor a: expected fewer than 2^63 bytes"},
      {"G40_row", with_tensor({33}, 8).build(64),
       "tensor a: expected rows of a multiple of 32 elements for Q8_0, got 33"},
      {"G41_retired", typed(4), "tensor a: expected a supported element type, got 4 (removed type 4 (Q4_2))"},
      {"G41_retired_repacked", typed(31), "got 31 (removed type 31 (Q4_0_4_4))"},
      {"G41_unknown", typed(99), "tensor a: expected a supported element type, got 99 (unknown type 99)"},
      {"G41_not_decoded", typed(16), "tensor a: expected a supported element type, got 16 (IQ2_XXS)"},
      {"G41_activation_format", typed(9), "got 9 (Q8_1)"},
      {"G42_size_0", typed(5), "got 5 (removed type 5 (Q4_3))"},
  };
}

std::vector<Case> places() {
  const std::string long_name(64, 'n');
  const auto two = [](uint64_t second) { return llama().tensor("a", {16}, 0, 0).tensor("b", {16}, 0, second); };
  GgufBuilder hostile = llama();
  hostile.tensor("\x1B]0;x\x07\"\\\n", {16}, 0, 0).tensor("\x1B]0;x\x07\"\\\n", {16}, 0, 64);
  return {
      {"G43_unaligned", two(72).build(136), "tensor b: expected an offset that is a multiple of 32, got 72"},
      {"G44_one_byte_past", two(64).build(127), "tensor b: expected 64 bytes at 64 of the data within the file of 287"},
      {"G45_wraps", two(kMax - 31).build(128), "tensor b: expected 64 bytes at 18446744073709551584"},
      {"G46_overlap", two(32).build(128), "tensor b: expected data of its own, got"},
      {"G46_same_place", two(0).build(128), "expected data of its own, got"},
      {"G48_twice", llama().tensor("a", {16}, 0, 0).tensor("a", {16}, 0, 64).build(128),
       "tensor a: expected each tensor once, got it again"},
      {"G49_64_bytes", llama().tensor(long_name, {16}, 0, 0).build(64), "expected a name of at most 63 bytes, got 64"},
      {"G50_trailing", two(64).build(128 + 8192), "expected the file to end with its last tensor at 288"},
      {"Gx_empty_name", llama().tensor("", {16}, 0, 0).build(64), "tensor number 0: expected a name, got an empty one"},
      {"Gx_hostile_name", hostile.build(128), "tensor \\x1b]0;x\\x07\\\"\\\\\\n: expected each tensor once"},
  };
}

class GgufRefused : public testing::TestWithParam<Case> {};

TEST_P(GgufRefused, WithAnError) {
  const TempFolder folder;
  const std::string path = folder.write("bad.gguf", GetParam().bytes);
  const auto start = std::chrono::steady_clock::now();
  reset_memory_peak();
  try {
    open_gguf(path);
    FAIL() << "accepted";
  } catch (const Error& e) {
    const int64_t peak = memory_peak();
    const std::string message = e.what();
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid);
    EXPECT_EQ(message.rfind(path + ": gguf: ", 0), 0u) << message;
    EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
    EXPECT_NE(message.find(" (offset "), std::string::npos) << message;
    EXPECT_LE(message.size(), 512u);
    EXPECT_EQ(find_invalid_utf8(message), std::string_view::npos);
    EXPECT_LE(peak, (int64_t{64} << 20) + 2 * static_cast<int64_t>(GetParam().bytes.size()));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

std::string name_of(const testing::TestParamInfo<Case>& info) { return info.param.id; }
INSTANTIATE_TEST_SUITE_P(Beginnings, GgufRefused, testing::ValuesIn(beginnings()), name_of);
INSTANTIATE_TEST_SUITE_P(Keys, GgufRefused, testing::ValuesIn(keys()), name_of);
INSTANTIATE_TEST_SUITE_P(Values, GgufRefused, testing::ValuesIn(values()), name_of);
INSTANTIATE_TEST_SUITE_P(Alignments, GgufRefused, testing::ValuesIn(alignments()), name_of);
INSTANTIATE_TEST_SUITE_P(Shapes, GgufRefused, testing::ValuesIn(shapes()), name_of);
INSTANTIATE_TEST_SUITE_P(Places, GgufRefused, testing::ValuesIn(places()), name_of);

}  // namespace
}  // namespace godwit
