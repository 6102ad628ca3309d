#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <ctime>

#include "base/json.h"
#include "formats/memory_peak.h"
#include "formats/safetensors_bytes.h"
#include "formats/scratch.h"

namespace godwit {
namespace {

using testing::HasSubstr;

std::string entry(std::string_view name, std::string_view dtype, std::string_view shape, uint64_t begin, uint64_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype, shape, begin, end);
}

StoredModel read_bytes(std::string_view bytes) {
  const Scratch scratch;
  StoredModel model;
  open_safetensors(scratch.write("a.safetensors", bytes), model);
  return model;
}

StoredModel parse(std::string_view header, uint64_t data_bytes) {
  StoredModel model;
  parse_safetensors_header(header, data_bytes, "a.safetensors", 0, 8 + header.size(), model);
  return model;
}

/// Of a header in memory.
std::string header_error(std::string_view header, uint64_t data_bytes) {
  return error_of([&] { parse(header, data_bytes); });
}

/// Of one tensor "t" whose entry is given without its braces.
std::string tensor_error(std::string_view fields, uint64_t data_bytes) {
  return header_error(fmt::format(R"({{"t":{{{}}}}})", fields), data_bytes);
}

std::string file_error(std::string_view bytes) {
  return error_of([&] { read_bytes(bytes); });
}

const std::string kTwo = "{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[1]", 8, 12) + "}";

TEST(Safetensors, ReadsNamesTypesShapesAndPlaces) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)" + entry("b", "BF16", "[3,2]", 8, 20) + "," +
                             entry("a", "F32", "[2]", 0, 8) + "," + entry("c", "F16", "[1,1,2,1]", 20, 24) + "}";
  const StoredModel model = read_bytes(safetensors_bytes(header, 24));
  ASSERT_EQ(model.tensors.size(), 3u);
  ASSERT_EQ(model.files.size(), 1u);
  const StoredTensor* b = model.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, DType::kBF16);
  EXPECT_EQ(b->shape, (Shape{3, 2}));
  EXPECT_EQ(b->file, 0);
  EXPECT_EQ(b->offset, 8 + header.size() + 8);
  EXPECT_EQ(b->bytes, 12u);
  EXPECT_EQ(model.find("a")->dtype, DType::kF32);
  EXPECT_EQ(model.find("c")->dtype, DType::kF16);
  EXPECT_EQ(model.find("c")->shape, (Shape{1, 1, 2, 1}));
  EXPECT_EQ(model.find("__metadata__"), nullptr);
}

TEST(Safetensors, FilesOfAnotherWriterAgree) {
  const std::string folder = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/llama-plain-gqa/";
  StoredModel model;
  open_safetensors(folder + "model.safetensors", model);
  const StoredTensor* embedding = model.find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape.rank, 2);
  uint64_t bytes = 0;
  for (const StoredTensor& t : model.tensors) bytes += t.bytes;
  uint64_t header = 0;
  model.files[0].read_at(0, std::as_writable_bytes(std::span(&header, 1)));
  EXPECT_EQ(8 + header + bytes, model.files[0].size());
}

TEST(Safetensors, S23EmptyTensorsScalarsAndPaddingAreLegal) {
  const std::string header = "{" + entry("empty", "F32", "[0,4]", 4, 4) + "," + entry("scalar", "F32", "[]", 0, 4) +
                             "," + entry("half", "F16", "[1]", 4, 6) + "," + entry("last", "BF16", "[3,0]", 6, 6) +
                             "}     ";
  const StoredModel model = parse(header, 6);
  EXPECT_EQ(model.find("empty")->bytes, 0u);
  EXPECT_EQ(model.find("empty")->shape, (Shape{0, 4}));
  EXPECT_EQ(model.find("scalar")->shape.rank, 0);
  EXPECT_EQ(model.find("scalar")->bytes, 4u);
  EXPECT_EQ(model.find("last")->bytes, 0u);
  EXPECT_EQ(parse("{}", 0).tensors.size(), 0u);
  EXPECT_EQ(parse(R"({"__metadata__":{}})", 0).tensors.size(), 0u);
}

TEST(Safetensors, OtherTypesAndHigherRanksAreKeptApart) {
  const std::string header = "{" + entry("ids", "I64", "[2]", 0, 16) + "," + entry("q", "F8_E4M3", "[4]", 16, 20) +
                             "," + entry("deep", "F32", "[1,1,1,1,1]", 20, 24) + "," +
                             entry("f4", "F4", "[2]", 24, 25) + "," + entry("f6", "F6_E2M3", "[4]", 25, 28) + "," +
                             entry("w", "F32", "[1]", 28, 32) + "," + entry("u", "U8", "[1,2]", 32, 34) + "}";
  const StoredModel model = parse(header, 34);
  EXPECT_EQ(model.tensors.size(), 1u);
  EXPECT_EQ(model.by_name.size(), 1u);
  ASSERT_EQ(model.codes.size(), 2u);
  EXPECT_EQ(model.codes.at("q").type, CodeType::kF8_E4M3);
  EXPECT_EQ(model.codes.at("q").shape, (Shape{4}));
  EXPECT_EQ(model.codes.at("q").offset, 8 + header.size() + 16);
  EXPECT_EQ(model.codes.at("u").type, CodeType::kU8);
  EXPECT_THAT(model.other_dtypes,
              testing::ElementsAre(testing::Pair("deep", "F32 of rank 5"), testing::Pair("f4", "F4"),
                                   testing::Pair("f6", "F6_E2M3"), testing::Pair("ids", "I64")));
}

TEST(Safetensors, S01To05Lengths) {
  for (size_t n = 0; n < 8; ++n)
    EXPECT_THAT(file_error(std::string(n, '\0')), HasSubstr(fmt::format("the file has {}", n)));
  EXPECT_THAT(file_error(safetensors_bytes("", 0)), HasSubstr("must begin with '{'"));
  EXPECT_THAT(file_error(std::string(8, '\xFF')), HasSubstr("18446744073709551615 bytes"));
  EXPECT_THAT(file_error(std::string("\x01\xE1\xF5\x05\0\0\0\0{}", 10)), HasSubstr("100000001 bytes"));
  EXPECT_THAT(file_error(std::string("\x03\0\0\0\0\0\0\0{}", 10)), HasSubstr("3 bytes, only 2 follow"));
}

TEST(Safetensors, S06To08Json) {
  EXPECT_THAT(header_error("{\"a\xFF\":1}", 0), HasSubstr("byte 3: invalid UTF-8"));
  EXPECT_THAT(header_error(" {}", 0), HasSubstr("must begin with '{', got \" \""));
  EXPECT_THAT(header_error("\xEF\xBB\xBF{}", 0), HasSubstr("must begin with '{'"));
  EXPECT_THAT(header_error("[]", 0), HasSubstr("must begin with '{'"));
  EXPECT_THAT(header_error("{}x", 0), HasSubstr("byte 2"));
  EXPECT_THAT(header_error(std::string_view("{}\0", 3), 0), HasSubstr("byte 2: NUL"));
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "{\"a\":";
  EXPECT_NE(header_error(deep, 0), "");
  EXPECT_NE(header_error("{\"a\":" + std::string(10'000, '['), 0), "");
}

TEST(Safetensors, S09DuplicatesAreRefused) {
  EXPECT_THAT(header_error("{" + entry("a", "F32", "[]", 0, 4) + "," + entry("a", "F32", "[]", 4, 8) + "}", 8),
              HasSubstr("duplicate tensor \"a\""));
  EXPECT_THAT(header_error("{" + entry("a", "I8", "[]", 0, 1) + "," + entry("a", "F32", "[]", 1, 5) + "}", 5),
              HasSubstr("duplicate tensor \"a\""));
  EXPECT_THAT(header_error(R"({"__metadata__":{},"__metadata__":{}})", 0), HasSubstr("duplicate key"));
  EXPECT_THAT(header_error(R"({"__metadata__":{"a":"b","a":"c"}})", 0), HasSubstr("duplicate key \"a\""));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4])", 4),
              HasSubstr("\"dtype\""));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4])", 4), HasSubstr("\"shape\""));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[],"data_offsets":[0,4],"data_offsets":[0,4])", 4),
              HasSubstr("\"data_offsets\""));
}

TEST(Safetensors, S10MetadataHoldsStringsOnly) {
  for (const char* value : {"1", "null", "true", "[]", "{}", "-1", "1.5"})
    EXPECT_THAT(header_error(fmt::format(R"({{"__metadata__":{{"key":{}}}}})", value), 0),
                HasSubstr("__metadata__: \"key\": expected a string"))
        << value;
  for (const char* value : {"1", "null", "[]", "\"x\""})
    EXPECT_THAT(header_error(fmt::format(R"({{"__metadata__":{}}})", value), 0), HasSubstr("expected an object"));
}

TEST(Safetensors, S11To14Offsets) {
  const auto offsets = [](const char* text) {
    return tensor_error(fmt::format(R"("dtype":"F32","shape":[1],"data_offsets":{})", text), 4);
  };
  EXPECT_EQ(offsets("[0,4]"), "");
  EXPECT_THAT(offsets("[4,0]"), HasSubstr("data_offsets [4, 0]"));
  EXPECT_THAT(offsets("[-1,3]"), HasSubstr("expected an integer from 0 to 2^64 - 1, got -1"));
  EXPECT_THAT(offsets("[-0,4]"), HasSubstr("expected an integer"));
  EXPECT_THAT(offsets("[0,4e0]"), HasSubstr("expected an integer from 0 to 2^64 - 1, got 4.0"));
  EXPECT_THAT(offsets("[0,1e3]"), HasSubstr("expected an integer"));
  EXPECT_THAT(offsets("[0,1.5]"), HasSubstr("expected an integer from 0 to 2^64 - 1, got 1.5"));
  EXPECT_THAT(offsets("[0,4.0]"), HasSubstr("expected an integer"));
  EXPECT_THAT(offsets("[0,18446744073709551616]"), HasSubstr("expected an integer"));
  EXPECT_THAT(offsets("[0,18446744073709551615]"), HasSubstr("the size of the data"));
  EXPECT_THAT(offsets("[18446744073709551612,18446744073709551615]"), HasSubstr("the size of the data"));
  EXPECT_THAT(offsets("[0,2,4]"), HasSubstr("expected 2 offsets, got 3"));
  EXPECT_THAT(offsets("[4]"), HasSubstr("expected 2 offsets, got 1"));
  EXPECT_THAT(offsets("[]"), HasSubstr("expected 2 offsets, got 0"));
  EXPECT_THAT(offsets("[0,0,0,0,0,0,0,0,0,0]"), HasSubstr("more than 8"));
  EXPECT_THAT(offsets("[0,5]"), HasSubstr("expected 0 <= begin <= end <= 4"));
  for (const char* text : {"4", "\"0,4\"", "{}", "null", "[0,\"4\"]", "[0,[4]]", "[0,{}]", "[0,null]", "[true,4]"})
    EXPECT_THAT(offsets(text), HasSubstr("tensor \"t\": data_offsets")) << text;
}

TEST(Safetensors, S15To17Tiling) {
  EXPECT_EQ(header_error(kTwo, 12), "");
  EXPECT_THAT(header_error("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[2]", 4, 12) + "}", 12),
              HasSubstr("tensor \"b\": overlaps tensor \"a\": data_offsets begin at 4, expected 8"));
  EXPECT_THAT(header_error("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 0, 4) + "}", 4),
              HasSubstr("overlaps"));
  EXPECT_THAT(header_error("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 8, 12) + "}", 12),
              HasSubstr("tensor \"b\": 4 bytes before it belong to no tensor"));
  EXPECT_THAT(header_error("{" + entry("a", "F32", "[1]", 4, 8) + "}", 8), HasSubstr("4 bytes before it"));
  EXPECT_THAT(header_error(kTwo, 100), HasSubstr("88 bytes of data belong to no tensor"));
  EXPECT_THAT(header_error("{}", 1), HasSubstr("1 bytes of data belong to no tensor"));
  EXPECT_THAT(file_error(safetensors_bytes(kTwo, 12) + "PK\x03\x04"), HasSubstr("4 bytes of data"));
}

TEST(Safetensors, S18And19ShapesMustFitTheirBytes) {
  // Wraps to 4 in 64-bit arithmetic.
  EXPECT_THAT(header_error("{" + entry("t", "F32", "[4194305,4194305,211106198978564]", 0, 4) + "}", 4),
              HasSubstr("too large"));
  EXPECT_THAT(header_error("{" + entry("t", "F32", "[1048576]", 0, 4) + "}", 4),
              HasSubstr("takes 4194304 bytes, data_offsets [0, 4] give 4"));
  EXPECT_THAT(header_error("{" + entry("t", "F16", "[3]", 0, 4) + "}", 4), HasSubstr("takes 6 bytes"));
  EXPECT_THAT(header_error("{" + entry("t", "F32", "[]", 0, 0) + "}", 0), HasSubstr("takes 4 bytes"));
  EXPECT_THAT(header_error("{" + entry("t", "F32", "[18446744073709551615]", 0, 4) + "}", 4), HasSubstr("too large"));
  // An empty tensor whose other sizes no product can hold.
  EXPECT_THAT(header_error("{" + entry("t", "F32", "[1099511627776,1099511627776,0]", 0, 0) + "}", 0),
              HasSubstr("too large"));
  EXPECT_THAT(header_error("{" + entry("t", "F32", "[9223372036854775808,0]", 0, 0) + "}", 0), HasSubstr("too large"));
  EXPECT_EQ(header_error("{" + entry("t", "F32", "[1,1,1,1,1,1,1,1]", 0, 4) + "}", 4), "");
  EXPECT_THAT(header_error("{" + entry("t", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) + "}", 4), HasSubstr("more than 8"));
  for (const char* shape : {"1", "null", "[-1]", "[1.0]", "[[1]]", "\"1\"", "{}"})
    EXPECT_THAT(header_error("{" + entry("t", "F32", shape, 0, 4) + "}", 4), HasSubstr("shape")) << shape;
}

TEST(Safetensors, S20And21DTypes) {
  for (const char* type : {"F12", "f32", "", "Q4_0", "F32 "})
    EXPECT_THAT(header_error("{" + entry("t", type, "[1]", 0, 4) + "}", 4), HasSubstr("unknown dtype")) << type;
  for (const char* type : {"1", "null", "[]", "{}"})
    EXPECT_THAT(tensor_error(fmt::format(R"("dtype":{},"shape":[1],"data_offsets":[0,4])", type), 4),
                HasSubstr("dtype: expected a string"));
  EXPECT_THAT(header_error("{" + entry("t", "F4", "[3]", 0, 2) + "}", 2), HasSubstr("does not fill its last byte"));
  EXPECT_THAT(header_error("{" + entry("t", "F6_E3M2", "[2]", 0, 2) + "}", 2), HasSubstr("does not fill"));
}

TEST(Safetensors, S22EmptyTensorInsideAnother) {
  EXPECT_THAT(header_error("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("z", "F32", "[0]", 2, 2) + "}", 4),
              HasSubstr("overlaps"));
  EXPECT_THAT(header_error("{" + entry("z", "F32", "[0]", 1, 1) + "}", 0), HasSubstr("the size of the data"));
}

TEST(Safetensors, FieldsAreAllThereAndKnown) {
  EXPECT_THAT(tensor_error(R"("shape":[1],"data_offsets":[0,4])", 4), HasSubstr("no dtype"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","data_offsets":[0,4])", 4), HasSubstr("no shape"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[1])", 4), HasSubstr("no data_offsets"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1])", 4),
              HasSubstr("unknown field \"strides\""));
  for (const char* value : {"1", "[]", "\"x\"", "null", "-1", "1.5", "true"})
    EXPECT_THAT(header_error(fmt::format(R"({{"t":{}}})", value), 0), HasSubstr("tensor \"t\": expected an object"));
  EXPECT_EQ(header_error("{" + entry(std::string(1024, 'n'), "F32", "[]", 0, 4) + "}", 4), "");
  EXPECT_THAT(header_error("{" + entry(std::string(1025, 'n'), "F32", "[]", 0, 4) + "}", 4), HasSubstr("1025 bytes"));
}

TEST(Safetensors, HostileNamesAreEscapedInMessages) {
  EXPECT_THAT(header_error("{" + entry("\\u001b[31m\\n\\u0000", "F99", "[]", 0, 4) + "}", 4),
              HasSubstr("tensor \"\\x1b[31m\\n\\x00\": unknown dtype"));
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string bytes = safetensors_bytes(kTwo, 12);
  ASSERT_EQ(file_error(bytes), "");
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_NE(file_error(bytes.substr(0, n)), "") << n;
}

TEST(Safetensors, EveryFlippedHeaderBitIsAnErrorOrAnEquallySoundFile) {
  const std::string bytes = safetensors_bytes(kTwo, 12);
  const Scratch scratch;
  for (size_t bit = 0; bit < 8 * (bytes.size() - 12); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    StoredModel model;
    const std::string path = scratch.write("a.safetensors", flipped);
    if (!error_of([&] { open_safetensors(path, model); }).empty()) continue;
    // What may change without notice: a name, or a type for one of equal size.
    ASSERT_EQ(model.tensors.size() + model.codes.size() + model.other_dtypes.size(), 2u) << bit;
    for (const StoredTensor& t : model.tensors) {
      EXPECT_LE(t.offset + t.bytes, model.files[0].size()) << bit;
      EXPECT_EQ(t.bytes, static_cast<uint64_t>(t.shape.count()) * 4) << bit;
    }
  }
}

TEST(Safetensors, S26AMillionTensorsInThreeSeconds) {
  std::string header = "{";
  constexpr size_t kTensors = 1'000'000;
  for (size_t i = 0; i < kTensors; ++i) header += entry(fmt::format("t{}", i), "F16", "[1]", 2 * i, 2 * i + 2) + ",";
  header.back() = '}';
  const std::clock_t start = std::clock();  // time of this process: others may be busy
  const StoredModel model = parse(header, 2 * kTensors);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(model.tensors.size(), kTensors);
  EXPECT_EQ(model.find("t999999")->bytes, 2u);
  RecordProperty("seconds", fmt::format("{:.2f}", seconds));
#ifdef GODWIT_SANITIZED
  constexpr double kAllowed = 60.0;
#else
  constexpr double kAllowed = 3.0;
#endif
  EXPECT_LT(seconds, kAllowed);
  header.back() = ',';
  for (size_t i = kTensors; i <= size_t{1} << 20; ++i)
    header += entry(fmt::format("t{}", i), "F16", "[1]", 2 * i, 2 * i + 2) + ",";
  header.back() = '}';
  EXPECT_THAT(header_error(header, ~uint64_t{0}), HasSubstr("over 1048576 tensors"));
}

#ifndef GODWIT_SANITIZED  // sanitizers bring allocators of their own
TEST(Safetensors, MemoryStaysWithinTwiceTheHeader) {
  const auto check = [](const std::string& header) {
    reset_memory_peak();
    EXPECT_NE(header_error(header, 4), "");
    EXPECT_LE(memory_peak(), (int64_t{64} << 20) + 2 * static_cast<int64_t>(header.size()));
  };
  const std::string part(size_t{90} << 20, 'x');
  check("{\"" + part);
  check("{\"" + part + "\":{}}");
  check(R"({"__metadata__":{"k":")" + part + "\"}}");
  check("{" + std::string(part.size(), ' ') + "}");
  check("{" + std::string(part.size(), '1'));
  check("{\"t\":" + std::string(part.size(), '['));
  std::string metadata = R"({"__metadata__":{)";
  while (metadata.size() < part.size()) metadata += R"("a":"",)";
  check(metadata);
  std::string empty = "{";
  for (size_t i = 0; empty.size() < part.size(); ++i) empty += entry(fmt::format("{:x}", i), "I8", "[0]", 0, 0) + ",";
  check(empty);
}
#endif

TEST(Safetensors, MetadataKeysHaveALimit) {
  std::string header = R"({"__metadata__":{)";
  for (int i = 0; i < 70'000; ++i) header += fmt::format(R"("k{}":"",)", i);
  header.back() = '}';
  EXPECT_THAT(header_error(header + "}", 0), HasSubstr("over 65536 keys"));
}

TEST(Safetensors, ATensorOfTwoFilesIsRefused) {
  const Scratch scratch;
  StoredModel model;
  open_safetensors(scratch.write("1.safetensors", safetensors_bytes(kTwo, 12)), model);
  const std::string other =
      scratch.write("2.safetensors", safetensors_bytes("{" + entry("b", "F32", "[]", 0, 4) + "}", 4));
  EXPECT_THAT(error_of([&] { open_safetensors(other, model); }), HasSubstr("duplicate tensor \"b\""));
}

TEST(Safetensors, OnlyRegularFiles) {
  const Scratch scratch;
  StoredModel model;
  EXPECT_NE(error_of([&] { open_safetensors(scratch.path(), model); }), "");
  EXPECT_NE(error_of([&] { open_safetensors(scratch.path("none"), model); }), "");
  EXPECT_NE(error_of([&] { open_safetensors("/dev/zero", model); }), "");
}

// Writing.

TensorToWrite to_write(const std::string& name, DType dtype, const Shape& shape, const std::string& bytes) {
  return {name, dtype, shape, [bytes](const std::function<void(const std::byte*, size_t)>& write) {
            const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
            const size_t half = bytes.size() / 2;  // in two pieces
            write(data, half);
            write(data + half, bytes.size() - half);
          }};
}

std::string data_of(const StoredModel& model, const StoredTensor& tensor) {
  std::string bytes(tensor.bytes, '\0');
  model.files[static_cast<size_t>(tensor.file)].read_at(tensor.offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  const Scratch scratch;
  const std::string path = scratch.path("out.safetensors");
  std::vector<std::pair<int64_t, int64_t>> progress;
  write_safetensors(
      path,
      {to_write("half", DType::kF16, {3}, "abcdef"), to_write("x\"\\\n\xC3\xA9", DType::kF32, {1, 2}, "01234567"),
       to_write("scalar", DType::kF32, {}, "wxyz"), to_write("none", DType::kBF16, {0, 5}, ""),
       to_write("brain", DType::kBF16, {1, 1, 1, 2}, "1234")},
      [&](int64_t done, int64_t all) { progress.emplace_back(done, all); });
  StoredModel model;
  open_safetensors(path, model);
  ASSERT_EQ(model.tensors.size(), 5u);
  EXPECT_EQ(data_of(model, *model.find("half")), "abcdef");
  EXPECT_EQ(data_of(model, *model.find("x\"\\\n\xC3\xA9")), "01234567");
  EXPECT_EQ(model.find("x\"\\\n\xC3\xA9")->shape, (Shape{1, 2}));
  EXPECT_EQ(data_of(model, *model.find("scalar")), "wxyz");
  EXPECT_EQ(model.find("scalar")->shape.rank, 0);
  EXPECT_EQ(model.find("none")->shape, (Shape{0, 5}));
  EXPECT_EQ(model.find("brain")->dtype, DType::kBF16);
  EXPECT_EQ(data_of(model, *model.find("brain")), "1234");
  for (const StoredTensor& t : model.tensors) EXPECT_EQ(t.offset % (t.dtype == DType::kF32 ? 4 : 2), 0u) << t.name;
  ASSERT_FALSE(progress.empty());
  EXPECT_EQ(progress.back(), (std::pair<int64_t, int64_t>(22, 22)));
}

TEST(Safetensors, TheHeaderIsAsOtherReadersWantIt) {
  const Scratch scratch;
  write_safetensors(scratch.path("out"), {to_write("t", DType::kF32, {1}, "1234")}, {});
  const std::string bytes = read_text(scratch.path("out"), 1 << 20);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  const Json header = parse_json(bytes.substr(8, length), "header");
  EXPECT_EQ(header["__metadata__"]["format"], "pt");
  EXPECT_EQ(header["t"].dump(), R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})");
  EXPECT_EQ(bytes.substr(8 + length), "1234");
}

TEST(Safetensors, ACopyOfAModelHasTheSameTensors) {
  const std::string folder = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/gemma3-window/";
  StoredModel model;
  open_safetensors(folder + "model.safetensors", model);
  std::vector<TensorToWrite> tensors;
  for (const StoredTensor& t : model.tensors) tensors.push_back(to_write(t.name, t.dtype, t.shape, data_of(model, t)));
  const Scratch scratch;
  write_safetensors(scratch.path("copy"), tensors, {});
  StoredModel copy;
  open_safetensors(scratch.path("copy"), copy);
  ASSERT_EQ(copy.tensors.size(), model.tensors.size());
  for (const StoredTensor& t : model.tensors) {
    ASSERT_NE(copy.find(t.name), nullptr) << t.name;
    EXPECT_EQ(copy.find(t.name)->shape, t.shape);
    EXPECT_EQ(data_of(copy, *copy.find(t.name)), data_of(model, t)) << t.name;
  }
}

TEST(Safetensors, AFailedWriteLeavesNothing) {
  const Scratch scratch;
  TensorToWrite failing = to_write("t", DType::kF32, {1}, "1234");
  failing.fill = [](const std::function<void(const std::byte*, size_t)>&) { fail(ErrorKind::kFailed, "no more"); };
  EXPECT_THROW(write_safetensors(scratch.path("out"), {failing}, {}), Error);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

}  // namespace
}  // namespace godwit
