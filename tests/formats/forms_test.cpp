// Parameters that containers keep in other tensors: read, against the definition of each form written out here.
#include <gtest/gtest.h>

#include "formats/forms.h"

namespace godwit::forms {
namespace {

constexpr int64_t kE = 3, kF = 5, kD = 7;          // experts
constexpr int64_t kH = 3, kN = 5, kV = 4, kR = 6;  // heads
enum { kGate, kUp, kDown, kGateBias, kUpBias, kDownBias, kKB, kVB };

/// What every Hugging Face form of experts must give.
void expect_experts(Opened& o) {
  const Tensor gate = o.get("ffn_gate_exps.weight", {kE, kF, kD}), up = o.get("ffn_up_exps.weight", {kE, kF, kD});
  const Tensor down = o.get("ffn_down_exps.weight", {kE, kD, kF});
  o.load();
  EXPECT_EQ(values(gate), parameter(kGate, kE, kF, kD));
  EXPECT_EQ(values(up), parameter(kUp, kE, kF, kD));
  EXPECT_EQ(values(down), parameter(kDown, kE, kD, kF));
}

const TensorNames kSeparate = names_of({hf("ffn_gate_exps.weight", {{"mlp.experts.{}.gate_proj.weight"}}),
                                        hf("ffn_up_exps.weight", {{"mlp.experts.{}.up_proj.weight"}}),
                                        hf("ffn_down_exps.weight", {{"mlp.experts.{}.down_proj.weight"}})});
const TensorNames kEither = names_of(
    {hf("ffn_gate_exps.weight", {{"mlp.experts.{}.gate_proj.weight"}, {"mlp.experts.gate_up_proj", Pick::kFirst}}),
     hf("ffn_up_exps.weight", {{"mlp.experts.{}.up_proj.weight"}, {"mlp.experts.gate_up_proj", Pick::kLast}}),
     hf("ffn_down_exps.weight", {{"mlp.experts.{}.down_proj.weight"}, {"mlp.experts.down_proj"}})});
const TensorNames kInterleaved = names_of(
    {hf("ffn_gate_exps.weight",
        {{"mlp.experts.gate_up_proj", Pick::kEven, true}, {"mlp.experts.gate_up_proj", Pick::kEven, false, true}}),
     hf("ffn_up_exps.weight",
        {{"mlp.experts.gate_up_proj", Pick::kOdd, true}, {"mlp.experts.gate_up_proj", Pick::kOdd, false, true}}),
     hf("ffn_down_exps.weight",
        {{"mlp.experts.down_proj", Pick::kAll, true}, {"mlp.experts.down_proj", Pick::kAll, false, true}}),
     hf("ffn_gate_exps.bias", {{"mlp.experts.gate_up_proj_bias", Pick::kEven}}),
     hf("ffn_up_exps.bias", {{"mlp.experts.gate_up_proj_bias", Pick::kOdd}}),
     hf("ffn_down_exps.bias", {{"mlp.experts.down_proj_bias"}})});
const StoredAs kKBForm{"self_attn.kv_b_proj.weight", Pick::kFirst, true};
const StoredAs kVBForm{"self_attn.kv_b_proj.weight", Pick::kLast};
const TensorNames kHeads = names_of({hf("attn_k_b.weight", {kKBForm}), hf("attn_v_b.weight", {kVBForm})});

template <class Element>
FolderBuilder separate(const std::string& type) {
  FolderBuilder f;
  for (int64_t e = 0; e < kE; ++e) {
    const std::string expert = fmt::format("{}mlp.experts.{}.", kLayer, e);
    const auto slice = [&](int which) { return [=](int64_t, int64_t i, int64_t j) { return value(which, e, i, j); }; };
    f.add(expert + "gate_proj.weight", type, {kF, kD}, filled<Element>(1, kF, kD, slice(kGate)));
    f.add(expert + "up_proj.weight", type, {kF, kD}, filled<Element>(1, kF, kD, slice(kUp)));
    f.add(expert + "down_proj.weight", type, {kD, kF}, filled<Element>(1, kD, kF, slice(kDown)));
  }
  return f;
}

// Gate above up, [E, 2F, d].
float fused(int64_t e, int64_t i, int64_t j) { return i < kF ? value(kGate, e, i, j) : value(kUp, e, i - kF, j); }

FolderBuilder fused_folder() {
  return FolderBuilder()
      .add(kLayer + "mlp.experts.gate_up_proj", "BF16", {kE, 2 * kF, kD}, filled<uint16_t>(kE, 2 * kF, kD, fused))
      .add(kLayer + "mlp.experts.down_proj", "BF16", {kE, kD, kF},
           filled<uint16_t>(kE, kD, kF, [](int64_t e, int64_t i, int64_t j) { return value(kDown, e, i, j); }));
}

FolderBuilder interleaved_folder() {
  return FolderBuilder()
      .add(kLayer + "mlp.experts.gate_up_proj", "F32", {kE, kD, 2 * kF},
           filled<float>(kE, kD, 2 * kF,
                         [](int64_t e, int64_t i, int64_t j) { return value(j % 2 == 0 ? kGate : kUp, e, j / 2, i); }))
      .add(kLayer + "mlp.experts.down_proj", "F32", {kE, kF, kD},
           filled<float>(kE, kF, kD, [](int64_t e, int64_t i, int64_t j) { return value(kDown, e, j, i); }))
      .add(kLayer + "mlp.experts.gate_up_proj_bias", "BF16", {kE, 2 * kF},
           filled<uint16_t>(
               1, kE, 2 * kF,
               [](int64_t, int64_t e, int64_t j) { return value(j % 2 == 0 ? kGateBias : kUpBias, 0, e, j / 2); }))
      .add(kLayer + "mlp.experts.down_proj_bias", "BF16", {kE, kD},
           filled<uint16_t>(1, kE, kD, [](int64_t, int64_t e, int64_t j) { return value(kDownBias, 0, e, j); }));
}

// Row i of [H (n + v), r]: of each head n rows of keys, then v of values.
float kv_b(int64_t i, int64_t j) {
  const int64_t head = i / (kN + kV), row = i % (kN + kV);
  return row < kN ? value(kKB, head, j, row) : value(kVB, head, row - kN, j);
}
std::vector<float> kv_b_values() {
  return filled<float>(1, kH * (kN + kV), kR, [](int64_t, int64_t i, int64_t j) { return kv_b(i, j); });
}

void expect_heads(Opened& o, DType k_type, DType v_type) {
  const Tensor k = o.get("attn_k_b.weight", {kH, kR, kN}), v = o.get("attn_v_b.weight", {kH, kV, kR});
  EXPECT_EQ(k.dtype, k_type);
  EXPECT_EQ(v.dtype, v_type);
  o.load();
  EXPECT_EQ(values(k), parameter(kKB, kH, kR, kN));
  EXPECT_EQ(values(v), parameter(kVB, kH, kV, kR));
}

TEST(Forms, OneTensorAnExpert) {
  Opened f32 = open_folder(separate<float>("F32"), kSeparate);
  EXPECT_EQ(f32.get("ffn_gate_exps.weight", {kE, kF, kD}).dtype, DType::kF32);
  expect_experts(f32);
  Opened bf16 = open_folder(separate<uint16_t>("BF16"), kEither);
  EXPECT_EQ(bf16.get("ffn_gate_exps.weight", {kE, kF, kD}).dtype, DType::kBF16);
  expect_experts(bf16);
}

TEST(Forms, GateAndUpInOne) {
  Opened o = open_folder(fused_folder(), kEither);
  EXPECT_EQ(o.get("ffn_up_exps.weight", {kE, kF, kD}).dtype, DType::kBF16);
  expect_experts(o);
}

TEST(Forms, OneMatrixOfTwo) {  // [2F, d], as shared experts may be stored
  const TensorNames names = names_of({hf("ffn_gate_shexp.weight", {{"shared_mlp.input_linear.weight", Pick::kFirst}}),
                                      hf("ffn_up_shexp.weight", {{"shared_mlp.input_linear.weight", Pick::kLast}})});
  FolderBuilder f;
  f.add(kLayer + "shared_mlp.input_linear.weight", "F32", {2 * kF, kD}, filled<float>(1, 2 * kF, kD, fused));
  for (bool repack : {true, false}) {
    const Scratch scratch;
    Opened o(open_hf_folder(f.write(scratch, "m")), names, {.repack = repack});
    const Tensor gate = o.get("ffn_gate_shexp.weight", {kF, kD}), up = o.get("ffn_up_shexp.weight", {kF, kD});
    o.load();
    EXPECT_EQ(values(gate), parameter(kGate, 1, kF, kD));
    EXPECT_EQ(values(up), parameter(kUp, 1, kF, kD));
    // A stretch of the file is mapped where it lies at whole words.
    const auto at = reinterpret_cast<const std::byte*>(o.stored.files[0].map()) + o.stored.tensors[0].offset;
    if (!repack && o.stored.tensors[0].offset % 4 == 0) {
      EXPECT_EQ(up.data, at + 4 * kF * kD);
    }
  }
}

TEST(Forms, InterleavedAndTransposed) {
  Opened o = open_folder(interleaved_folder(), kInterleaved);
  const Tensor gate = o.get("ffn_gate_exps.bias", {kE, kF}), up = o.get("ffn_up_exps.bias", {kE, kF});
  const Tensor down = o.get("ffn_down_exps.bias", {kE, kD});
  EXPECT_EQ(gate.dtype, DType::kF32);  // biases are widened
  expect_experts(o);
  EXPECT_EQ(values(gate), parameter(kGateBias, 1, kE, kF));
  EXPECT_EQ(values(up), parameter(kUpBias, 1, kE, kF));
  EXPECT_EQ(values(down), parameter(kDownBias, 1, kE, kD));
}

TEST(Forms, KeysAndValuesOfHeadsInOneMatrix) {
  FolderBuilder f;
  f.add(kLayer + "self_attn.kv_b_proj.weight", "F32", {kH * (kN + kV), kR}, kv_b_values());
  Opened f32 = open_folder(f, kHeads);
  expect_heads(f32, DType::kF32, DType::kF32);
  f.add(kLayer + "self_attn.kv_b_proj.weight", "BF16", {kH * (kN + kV), kR},
        filled<uint16_t>(1, kH * (kN + kV), kR, [](int64_t, int64_t i, int64_t j) { return kv_b(i, j); }));
  Opened bf16 = open_folder(f, kHeads, {.decoded_type = DType::kQ8_0});  // nothing to decode
  expect_heads(bf16, DType::kBF16, DType::kBF16);
}

TEST(Forms, ASingleOneOfAnything) {  // slices of 1, and shapes that say 1 in front
  const TensorNames names =
      names_of({{.gguf = "ffn_gate_inp_shexp.weight", .hf = "mlp.shared_expert_gate.weight", .hf_row = true},
                {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
                {"attn_sinks.weight", "self_attn.sinks"},
                {"attn_sinks", "not.this"},
                hf("ffn_down_exps.weight", {{"mlp.experts.{}.down_proj.weight"}})});
  FolderBuilder f;
  f.add(kLayer + "mlp.shared_expert_gate.weight", "BF16", {1, kD}, filled<uint16_t>(1, 1, kD, fused));
  f.add(kLayer + "mlp.gate.e_score_correction_bias", "F32", {kE}, parameter(kUp, 1, 1, kE));
  f.add(kLayer + "self_attn.sinks", "F32", {kH}, parameter(kDown, 1, 1, kH));
  f.add(kLayer + "mlp.experts.0.down_proj.weight", "F32", {kD, kF}, parameter(kDown, 1, kD, kF));
  Opened o = open_folder(f, names);
  const Tensor gate = o.get("ffn_gate_inp_shexp.weight", {kD}), bias = o.get("exp_probs_b.bias", {kE});
  const Tensor sinks = o.get("attn_sinks.weight", {kH}), down = o.get("ffn_down_exps.weight", {1, kD, kF});
  o.load();
  EXPECT_EQ(gate.dtype, DType::kF32);
  EXPECT_EQ(values(gate), parameter(kGate, 1, 1, kD));
  EXPECT_EQ(values(bias), parameter(kUp, 1, 1, kE));
  EXPECT_EQ(values(sinks), parameter(kDown, 1, 1, kH));
  EXPECT_EQ(values(down), parameter(kDown, 1, kD, kF));
}

// GGUF.

constexpr uint32_t kTypeF32 = 0, kTypeF16 = 1, kTypeQ8_0 = 8;

const TensorNames kGgufEither =
    names_of({gguf("ffn_gate_exps.weight", {{"ffn_gate_up_exps.weight", Pick::kFirst}, {"ffn_gate.{}.weight"}}),
              gguf("ffn_up_exps.weight", {{"ffn_gate_up_exps.weight", Pick::kLast}, {"ffn_up.{}.weight"}}),
              gguf("ffn_down_exps.weight", {{"ffn_down.{}.weight"}}),
              gguf("attn_k_b.weight", {{"attn_kv_b.weight", Pick::kFirst, true}}),
              gguf("attn_v_b.weight", {{"attn_kv_b.weight", Pick::kLast}})});

TEST(Forms, GgufFusedAndSeparateAndOwnNames) {
  const GgufTensorBytes down{
      "blk.1.ffn_down_exps.weight", kTypeF32, {kE, kD, kF}, bytes_of(parameter(kDown, kE, kD, kF))};
  Opened fused_file = open_gguf_of(
      {{"blk.1.ffn_gate_up_exps.weight", kTypeF32, {kE, 2 * kF, kD}, bytes_of(filled<float>(kE, 2 * kF, kD, fused))},
       down},
      kGgufEither);
  expect_experts(fused_file);
  std::vector<GgufTensorBytes> apart{down};
  for (int64_t e = 0; e < kE; ++e)
    for (int which : {kGate, kUp})
      apart.push_back(
          {fmt::format("blk.1.ffn_{}.{}.weight", which == kGate ? "gate" : "up", e),
           kTypeF16,
           {kF, kD},
           encoded(DType::kF16,
                   filled<float>(1, kF, kD, [=](int64_t, int64_t i, int64_t j) { return value(which, e, i, j); }),
                   kD)});
  Opened old_file = open_gguf_of(apart, kGgufEither);
  expect_experts(old_file);
  Opened new_file =
      open_gguf_of({down,
                    {"blk.1.ffn_gate_exps.weight", kTypeF32, {kE, kF, kD}, bytes_of(parameter(kGate, kE, kF, kD))},
                    {"blk.1.ffn_up_exps.weight", kTypeF32, {kE, kF, kD}, bytes_of(parameter(kUp, kE, kF, kD))}},
                   kGgufEither);
  expect_experts(new_file);
}

TEST(Forms, GgufHeadsInOneMatrix) {
  Opened f32 =
      open_gguf_of({{"blk.1.attn_kv_b.weight", kTypeF32, {kH * (kN + kV), kR}, bytes_of(kv_b_values())}}, kGgufEither);
  expect_heads(f32, DType::kF32, DType::kF32);
}

TEST(Forms, QuantizedHeadsAreDecodedWhereTheyAreTurned) {
  constexpr int64_t n = 5, v = 20, r = 64;  // quantized rows of r
  const int64_t rows = 2 * (n + v);
  const std::vector<float> all = parameter(kKB, 1, rows, r);
  const std::string bytes = encoded(DType::kQ8_0, all, r);
  std::vector<float> decoded(all.size());
  for (int64_t i = 0; i < rows; ++i)
    decode_row(DType::kQ8_0, reinterpret_cast<const std::byte*>(bytes.data()) + i * 68, decoded.data() + i * r, r);
  std::vector<float> k, values_rows;
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t j = 0; j < r; ++j)
      for (int64_t i = 0; i < n; ++i) k.push_back(decoded[static_cast<size_t>((h * (n + v) + i) * r + j)]);
    for (int64_t i = 0; i < v * r; ++i) values_rows.push_back(decoded[static_cast<size_t>((h * (n + v) + n) * r + i)]);
  }
  for (const auto& [wanted, got] : {std::pair{std::optional<DType>(), DType::kF32},
                                    {std::optional(DType::kBF16), DType::kBF16},
                                    {std::optional(DType::kQ8_0), DType::kF16}}) {  // rows of 5
    Opened o =
        open_gguf_of({{"blk.1.attn_kv_b.weight", kTypeQ8_0, {rows, r}, bytes}}, kGgufEither, {.decoded_type = wanted});
    const Tensor tk = o.get("attn_k_b.weight", {2, r, n}), tv = o.get("attn_v_b.weight", {2, v, r});
    EXPECT_EQ(tk.dtype, got);
    EXPECT_EQ(tv.dtype, DType::kQ8_0x16);
    EXPECT_EQ(tv.bytes(), 2 * 32 * 68);  // each matrix of 20 rows in two panels of its own
    o.load();
    EXPECT_EQ(values(tv), values_rows);
    const std::string expected = encoded(got, k, n);
    EXPECT_EQ(std::memcmp(tk.data, expected.data(), expected.size()), 0) << name(got);
  }
}

TEST(Forms, StacksArePaddedSliceBySlice) {
  constexpr int64_t slices = 3, rows = 21, k = 32;
  const std::string bytes = encoded(DType::kQ8_0, parameter(kUp, slices, rows, k), k);
  std::vector<float> expected(static_cast<size_t>(slices * rows * k));
  decode_row(DType::kQ8_0, reinterpret_cast<const std::byte*>(bytes.data()), expected.data(), slices * rows * k);
  for (bool repack : {true, false}) {
    const Scratch scratch;
    const GgufTensorBytes up{"blk.1.ffn_up_exps.weight", kTypeQ8_0, {slices, rows, k}, bytes};
    Opened o(open_gguf(scratch.write("m.gguf", gguf_bytes(GgufBuilder::llama(), {up}))), names_of({}),
             {.repack = repack});
    const Tensor t = o.get("ffn_up_exps.weight", {slices, rows, k});
    EXPECT_EQ(t.slice_bytes(), (repack ? 32 : rows) * 34);
    EXPECT_EQ(t.bytes(), slices * t.slice_bytes());
    EXPECT_EQ(o.weights->file_bytes(), slices * rows * 34);
    o.load();
    EXPECT_EQ(values(t), expected);
    if (!repack) {
      EXPECT_EQ(t.data, o.stored.files[0].map() + o.stored.tensors[0].offset);
    }
  }
}

}  // namespace
}  // namespace godwit::forms
