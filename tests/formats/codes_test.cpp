// Folders of FP8 and MXFP4 codes: values against the definitions, written out here in double.
#include <cmath>

#include "formats/forms.h"
#include "tensor/float_environment.h"

namespace godwit {
namespace {

using testing::AllOf;
using testing::HasSubstr;

uint8_t byte_at(int which, int64_t i) {
  return static_cast<uint8_t>(random_bits(static_cast<uint64_t>(which), 2, static_cast<uint64_t>(i)));
}

// FP8.

double fp8(uint8_t code) {
  const int exponent = code >> 3 & 15, fraction = code & 7;
  const double magnitude =
      exponent == 0 ? fraction * std::pow(2.0, -9) : (1.0 + fraction / 8.0) * std::pow(2.0, exponent - 7);
  return code >= 128 ? -magnitude : magnitude;
}

std::vector<uint8_t> fp8_codes(int which, int64_t n) {
  std::vector<uint8_t> codes;
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t code = byte_at(which, i);
    codes.push_back((code & 0x7f) == 0x7f ? 0x42 : code);
  }
  return codes;
}
// Neither powers of two nor of equal size: products round.
float fp8_scale(int which, int64_t i) {
  return (1.0f + static_cast<float>(byte_at(which, i)) / 257.0f) * std::pow(10.0f, static_cast<float>(i % 7) - 5.0f);
}
std::vector<float> fp8_scales(int which, int64_t n) {
  std::vector<float> scales;
  for (int64_t i = 0; i < n; ++i) scales.push_back(fp8_scale(which, i));
  return scales;
}
// Element (i, j) of a matrix that begins at code `at`, with `across` scales a row of blocks from scale `scale_at` on.
float fp8_value(int which, int64_t at, int64_t columns, int64_t i, int64_t j, int64_t rows_of_block,
                int64_t columns_of_block, int64_t scale_at) {
  const int64_t across = (columns + columns_of_block - 1) / columns_of_block;
  const uint8_t code = fp8_codes(which, at + i * columns + j + 1).back();
  const float scale = fp8_scale(which + 100, scale_at + i / rows_of_block * across + j / columns_of_block);
  return static_cast<float>(fp8(code) * static_cast<double>(scale));
}

constexpr int64_t kRows = 10, kColumns = 9, kBlockRows = 4, kBlockColumns = 6;  // 3 x 2 blocks, none of them whole
const char kFp8Config[] = R"({"quantization_config":{"quant_method":"fp8","weight_block_size":[4,6]}})";

std::vector<float> fp8_matrix(int which, int64_t slice = 0) {
  return filled<float>(1, kRows, kColumns, [=](int64_t, int64_t i, int64_t j) {
    return fp8_value(which, slice * kRows * kColumns, kColumns, i, j, kBlockRows, kBlockColumns, slice * 6);
  });
}

FolderBuilder fp8_folder() {
  FolderBuilder f;
  f.config = kFp8Config;
  f.add(kLayer + "mlp.up_proj.weight", "F8_E4M3", {kRows, kColumns}, fp8_codes(1, kRows * kColumns));
  f.add(kLayer + "mlp.up_proj.weight_scale_inv", "F32", {3, 2}, fp8_scales(101, 6));
  f.add(kLayer + "mlp.up_proj.activation_scale", "F32", {1}, fp8_scales(102, 1));
  return f;
}
const TensorNames kDense = names_of({{"ffn_up", "mlp.up_proj"}});

TEST(Fp8, BlocksOfAMatrix) {
  Opened o = open_folder(fp8_folder(), kDense);
  const Tensor up = o.get("ffn_up.weight", {kRows, kColumns});
  EXPECT_EQ(up.dtype, DType::kF32);
  o.load();
  EXPECT_EQ(values(up), fp8_matrix(1));
}

TEST(Fp8, AllCodesUnderScalesOfAllSizes) {
  std::vector<uint8_t> codes;
  for (int i = 0; i < 256; ++i)
    if ((i & 0x7f) != 0x7f) codes.push_back(static_cast<uint8_t>(i));
  const auto n = static_cast<int64_t>(codes.size());
  // A subnormal scale, results that are subnormal, and the largest that is finite.
  for (float scale : {1.0f, 1e-40f, 1.3e-37f, 3.1e-38f, 0.7e36f, 1.0f / 3.0f}) {
    FolderBuilder f = fp8_folder();
    f.add(kLayer + "mlp.up_proj.weight", "F8_E4M3", {1, n}, codes);
    f.add(kLayer + "mlp.up_proj.weight_scale_inv", "F32", {1}, std::vector<float>{scale});
    Opened o = open_folder(f, kDense);
    const Tensor up = o.get("ffn_up.weight", {1, n});
    o.load();  // on threads that flush subnormals to zero
    const DefaultFloatEnvironment environment;
    std::vector<float> expected;
    for (uint8_t code : codes) expected.push_back(static_cast<float>(fp8(code) * static_cast<double>(scale)));
    EXPECT_EQ(std::memcmp(up.data, expected.data(), 4 * expected.size()), 0) << scale;
  }
}

TEST(Fp8, ScalesOfTheWholeTensorOrInShorterTypes) {
  const auto expected = [](float scale) {
    return filled<float>(1, kRows, kColumns, [=](int64_t, int64_t i, int64_t j) {
      const uint8_t code = fp8_codes(1, i * kColumns + j + 1).back();
      return static_cast<float>(fp8(code) * static_cast<double>(scale));
    });
  };
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    FolderBuilder f = fp8_folder();
    f.add(kLayer + "mlp.up_proj.weight_scale_inv", "BF16", shape, std::vector<uint16_t>{0x3faa});
    Opened o = open_folder(f, kDense);
    const Tensor up = o.get("ffn_up.weight", {kRows, kColumns});
    o.load();
    EXPECT_EQ(values(up), expected(bf16_to_f32(0x3faa)));
  }
}

TEST(Fp8, ExpertsApartAndStacked) {
  FolderBuilder f;
  f.config = kFp8Config;
  for (int64_t e = 0; e < 2; ++e) {
    const std::string name = fmt::format("{}experts.{}.up.weight", kLayer, e);
    f.add(name, "F8_E4M3", {kRows, kColumns}, fp8_codes(static_cast<int>(e), kRows * kColumns));
    f.add(name + "_scale_inv", "F32", {3, 2}, fp8_scales(100 + static_cast<int>(e), 6));
  }
  f.add(kLayer + "experts.down", "F8_E4M3", {2, kRows, kColumns}, fp8_codes(5, 2 * kRows * kColumns));
  f.add(kLayer + "experts.down_scale_inv", "F32", {2, 3, 2}, fp8_scales(105, 12));
  const TensorNames names =
      names_of({hf("ffn_up_exps.weight", {{"experts.{}.up.weight"}}), hf("ffn_down_exps.weight", {{"experts.down"}})});
  Opened o = open_folder(f, names);
  const Tensor up = o.get("ffn_up_exps.weight", {2, kRows, kColumns});
  const Tensor down = o.get("ffn_down_exps.weight", {2, kRows, kColumns});
  o.load();
  const auto both = [](std::vector<float> a, const std::vector<float>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  EXPECT_EQ(values(up), both(fp8_matrix(0), fp8_matrix(1)));
  EXPECT_EQ(values(down), both(fp8_matrix(5), fp8_matrix(5, 1)));
  // One scale for each expert.
  for (const Shape& shape : {Shape{2, 1, 1}, Shape{2}}) {
    f.add(kLayer + "experts.down_scale_inv", "F32", shape, std::vector<float>{1.0f, 0.3f});
    Opened by_expert = open_folder(f, names);
    by_expert.get("ffn_up_exps.weight", {2, kRows, kColumns});
    const Tensor t = by_expert.get("ffn_down_exps.weight", {2, kRows, kColumns});
    by_expert.load();
    const std::vector<uint8_t> codes = fp8_codes(5, 2 * kRows * kColumns);
    for (size_t i = 0; i < codes.size(); ++i)
      EXPECT_EQ(values(t)[i],
                static_cast<float>(fp8(codes[i]) * static_cast<double>(i < codes.size() / 2 ? 1.0f : 0.3f)));
  }
}

TEST(Fp8, HeadsOfOneMatrix) {
  constexpr int64_t n = 3, v = 2, r = kColumns;  // two heads of 5 rows, blocks of 4
  FolderBuilder f;
  f.config = kFp8Config;
  f.add(kLayer + "kv_b.weight", "F8_E4M3", {kRows, r}, fp8_codes(1, kRows * r));
  f.add(kLayer + "kv_b.weight_scale_inv", "F32", {3, 2}, fp8_scales(101, 6));
  Opened o = open_folder(f, names_of({hf("attn_k_b.weight", {{"kv_b.weight", Pick::kFirst, true}}),
                                      hf("attn_v_b.weight", {{"kv_b.weight", Pick::kLast}})}));
  const Tensor tk = o.get("attn_k_b.weight", {2, r, n}), tv = o.get("attn_v_b.weight", {2, v, r});
  o.load();
  const auto at = [](int64_t i, int64_t j) { return fp8_value(1, 0, r, i, j, kBlockRows, kBlockColumns, 0); };
  EXPECT_EQ(values(tk), filled<float>(2, r, n, [&](int64_t h, int64_t j, int64_t i) { return at(h * 5 + i, j); }));
  EXPECT_EQ(values(tv), filled<float>(2, v, r, [&](int64_t h, int64_t i, int64_t j) { return at(h * 5 + n + i, j); }));
}

TEST(Fp8, RowsInGgufsOrder) {
  Opened o = open_folder(fp8_folder(), names_of({{"attn_q", "mlp.up_proj", Transform::kRopePairs, "heads"}}));
  o.config.set("heads", int64_t{1});
  const Tensor q = o.get("attn_q.weight", {kRows, kColumns});
  o.load();
  const std::vector<float> matrix = fp8_matrix(1);
  EXPECT_EQ(values(q), filled<float>(1, kRows, kColumns, [&](int64_t, int64_t i, int64_t j) {
              return matrix[static_cast<size_t>((i % 2 * (kRows / 2) + i / 2) * kColumns + j)];
            }));
}

TEST(Fp8, EncodedAtLoad) {
  FolderBuilder f;
  f.config = R"({"quantization_config":{"quant_method":"fp8"}})";
  f.add(kLayer + "mlp.up_proj.weight", "F8_E4M3", {33, 64}, fp8_codes(1, 33 * 64));
  f.add(kLayer + "mlp.up_proj.weight_scale_inv", "F32", {1, 1}, std::vector<float>{0.037f});
  std::vector<float> exact;
  for (uint8_t code : fp8_codes(1, 33 * 64)) exact.push_back(static_cast<float>(fp8(code) * double{0.037f}));
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1}) {
    for (bool repack : {true, false}) {
      Opened o = open_folder(f, kDense, {.repack = repack, .decoded_type = type});
      const Tensor up = o.get("ffn_up.weight", {33, 64});
      EXPECT_EQ(info(up.dtype).file_type, type);
      EXPECT_EQ(o.weights->parameters()[0].file_type, type);
      EXPECT_EQ(up.dtype, repack ? packed_type(type).value_or(type) : type);
      o.load();
      const std::string bytes = encoded(type, exact, 64);
      std::vector<float> expected(exact.size());
      decode_row(type, reinterpret_cast<const std::byte*>(bytes.data()), expected.data(), 33 * 64);
      EXPECT_EQ(values(up), expected) << name(type);
    }
  }
  Opened odd = open_folder(fp8_folder(), kDense, {.decoded_type = DType::kQ8_0});
  EXPECT_EQ(odd.get("ffn_up.weight", {kRows, kColumns}).dtype, DType::kF16);  // rows of 9
}

std::string load_error(const FolderBuilder& f, const TensorNames& names, const std::string& name, const Shape& shape) {
  return error_of([&] {
    Opened o = open_folder(f, names);
    o.get(name, shape);
    o.load();
  });
}

TEST(Fp8, Refused) {
  const auto error = [](const FolderBuilder& f) { return load_error(f, kDense, "ffn_up.weight", {kRows, kColumns}); };
  const std::string weight = kLayer + "mlp.up_proj.weight", scale = weight + "_scale_inv";
  EXPECT_EQ(error(fp8_folder()), "");
  for (uint8_t nan : {0x7f, 0xff}) {
    std::vector<uint8_t> codes = fp8_codes(1, kRows * kColumns);
    codes[kColumns + 2] = nan;
    EXPECT_THAT(error(fp8_folder().add(weight, "F8_E4M3", {kRows, kColumns}, codes)),
                AllOf(HasSubstr("tensor " + weight + ": expected numbers, got NaN"), HasSubstr("row 1, column 2")));
  }
  for (float bad : {0.0f, -0.0f, -1.0f, NAN, -NAN, INFINITY, -1e-42f}) {
    std::vector<float> scales = fp8_scales(101, 6);
    scales[4] = bad;
    EXPECT_THAT(error(fp8_folder().add(scale, "F32", {3, 2}, scales)),
                AllOf(HasSubstr("tensor " + scale + ": expected finite scales above 0"), HasSubstr("at 4")));
  }
  for (const Shape& shape : {Shape{2, 3}, Shape{6}, Shape{3, 2, 1}, Shape{2}, Shape{4, 2}, Shape{0}})
    EXPECT_THAT(
        error(fp8_folder().add(scale, "F32", shape, fp8_scales(101, shape.count()))),
        AllOf(HasSubstr(scale + ": expected the scales [3, 2] of F8_E4M3 [10, 9], the file has F32 " + shape.text())));
  EXPECT_THAT(error(fp8_folder().add(scale, "F8_E8M0", {3, 2}, std::vector<uint8_t>(6))), HasSubstr("F8_E8M0"));
  FolderBuilder none = fp8_folder();
  none.tensors.erase(scale);
  EXPECT_THAT(error(none), HasSubstr(scale + ": expected the scales [3, 2] of F8_E4M3 [10, 9], the file has nothing"));
  FolderBuilder unsaid = fp8_folder();
  unsaid.config = "{}";
  EXPECT_THAT(error(unsaid), HasSubstr("under quantization_config.quant_method fp8"));
  EXPECT_THAT(error(fp8_folder().add(weight, "F8_E4M3", {kRows, kColumns - 1}, fp8_codes(1, 90 - kRows))),
              HasSubstr("blk.1.ffn_up.weight: expected shape [10, 9], the file has [10, 8]"));
  EXPECT_THAT(error(fp8_folder().add(weight, "F8_E4M3", {90}, fp8_codes(1, 90))), HasSubstr("of rank 2 or 3"));
  EXPECT_THAT(error(fp8_folder().add(kLayer + "other.weight", "F8_E4M3", {2}, fp8_codes(1, 2))),
              HasSubstr("other.weight"));
}

// MXFP4.

constexpr int64_t kCodedExperts = 2, kF = 3, kGroups = 2, kK = 32 * kGroups;

const TensorNames kExperts = names_of(
    {hf("ffn_gate_exps.weight",
        {{"experts.gate_up", Pick::kEven, true}, {"experts.gate_up", Pick::kEven, false, true}}),
     hf("ffn_up_exps.weight", {{"experts.gate_up", Pick::kOdd, true}, {"experts.gate_up", Pick::kOdd, false, true}})});

std::vector<uint8_t> some_bytes(int which, int64_t n, uint8_t most = 255) {
  std::vector<uint8_t> all;
  for (int64_t i = 0; i < n; ++i) all.push_back(std::min(byte_at(which, i), most));
  return all;
}

FolderBuilder mxfp4_folder() {
  FolderBuilder f;
  f.config = R"({"quantization_config":{"quant_method":"mxfp4"}})";
  f.add(kLayer + "experts.gate_up_blocks", "U8", {kCodedExperts, 2 * kF, kGroups, 16},
        some_bytes(1, kCodedExperts * 2 * kF * kGroups * 16));
  f.add(kLayer + "experts.gate_up_scales", "U8", {kCodedExperts, 2 * kF, kGroups},
        some_bytes(2, kCodedExperts * 2 * kF * kGroups, 200));
  return f;
}

// Of the stored row: byte j of a group has elements 2 j and 2 j + 1.
float mxfp4_value(int64_t row, int64_t k) {
  constexpr double magnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const int64_t group = row * kGroups + k / 32;
  const int code = byte_at(1, group * 16 + k % 32 / 2) >> (k % 2 * 4) & 15;
  const int scale = std::min<int>(byte_at(2, group), 200);
  return static_cast<float>((code >= 8 ? -1 : 1) * magnitudes[code % 8] * std::pow(2.0, scale - 127));
}

TEST(Mxfp4, BlocksAndScales) {
  for (bool repack : {true, false}) {
    Opened o = open_folder(mxfp4_folder(), kExperts, {.repack = repack, .decoded_type = DType::kF16});
    const Tensor gate = o.get("ffn_gate_exps.weight", {kCodedExperts, kF, kK}),
                 up = o.get("ffn_up_exps.weight", {kCodedExperts, kF, kK});
    EXPECT_EQ(o.weights->parameters()[0].file_type, DType::kMXFP4);
    o.load();
    const auto expected = [](int64_t odd) {
      return filled<float>(kCodedExperts, kF, kK,
                           [=](int64_t e, int64_t i, int64_t k) { return mxfp4_value(e * 2 * kF + 2 * i + odd, k); });
    };
    EXPECT_EQ(values(gate), expected(0));
    EXPECT_EQ(values(up), expected(1));
  }
}

TEST(Mxfp4, Refused) {
  const auto error = [](const FolderBuilder& f, const Shape& shape = {kCodedExperts, kF, kK}) {
    return error_of([&] {
      Opened o = open_folder(f, kExperts);
      o.get("ffn_gate_exps.weight", shape);
      o.get("ffn_up_exps.weight", shape);
      o.load();
    });
  };
  const std::string blocks = kLayer + "experts.gate_up_blocks", scales = kLayer + "experts.gate_up_scales";
  EXPECT_EQ(error(mxfp4_folder()), "");
  EXPECT_THAT(error(mxfp4_folder(), {kCodedExperts, kF + 1, kK}),
              HasSubstr(blocks + ": expected shape [2, 8, 64], the file has [2, 6, 64]"));
  EXPECT_THAT(error(mxfp4_folder(), {kCodedExperts, kF, kK - 1}),
              HasSubstr("expected shape [2, 6, 63], the file has [2, 6, 64]"));
  EXPECT_THAT(error(mxfp4_folder(), {kCodedExperts + 1, kF, kK}),
              HasSubstr("expected shape [3, 6, 64], the file has [2, 6, 64]"));
  FolderBuilder f = mxfp4_folder();
  f.tensors.erase(scales);
  EXPECT_THAT(error(f), HasSubstr(scales + ": expected U8 [2, 6, 2], the file has nothing"));
  f = mxfp4_folder();
  f.tensors.erase(blocks);
  EXPECT_THAT(error(f), HasSubstr(blocks + ": expected U8, the file has nothing"));
  EXPECT_THAT(
      error(mxfp4_folder().add(scales, "U8", {kCodedExperts, 2 * kF, 1}, some_bytes(2, kCodedExperts * 2 * kF))),
      HasSubstr(scales + ": expected U8 [2, 6, 2], the file has U8 [2, 6, 1]"));
  EXPECT_THAT(error(mxfp4_folder().add(scales, "F8_E8M0", {kCodedExperts, 2 * kF, kGroups},
                                       some_bytes(2, kCodedExperts * 2 * kF * kGroups))),
              HasSubstr(scales + ": expected U8 [2, 6, 2], the file has F8_E8M0"));
  EXPECT_THAT(
      error(mxfp4_folder().add(blocks, "U8", {kCodedExperts, 2 * kF, 32}, some_bytes(1, kCodedExperts * 2 * kF * 32))),
      HasSubstr("[..., rows, groups, 16], the file has [2, 6, 32]"));
  EXPECT_THAT(error(mxfp4_folder().add(blocks, "F32", {1}, std::vector<float>{1.0f})),
              HasSubstr(blocks + ": expected U8, the file has F32 [1]"));
  std::vector<uint8_t> not_numbers = some_bytes(2, kCodedExperts * 2 * kF * kGroups, 200);
  not_numbers[5] = 255;
  EXPECT_THAT(error(mxfp4_folder().add(scales, "U8", {kCodedExperts, 2 * kF, kGroups}, not_numbers)),
              AllOf(HasSubstr("tensor " + scales + ": expected numbers, got NaN"), HasSubstr("group 5")));
  f = mxfp4_folder();
  f.config = "{}";
  EXPECT_THAT(error(f), HasSubstr("under quantization_config.quant_method mxfp4"));
  EXPECT_THAT(error(mxfp4_folder().add(kLayer + "more_blocks", "U8", {1}, some_bytes(1, 1))), HasSubstr("more_blocks"));
}

}  // namespace
}  // namespace godwit
