// Forms that do not fit their parameters: one line that names the tensor of the file and both shapes.
#include "formats/forms.h"

namespace godwit::forms_refused {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kE = 3, kF = 4, kD = 5;

std::vector<float> zeros(const Shape& shape) { return std::vector<float>(static_cast<size_t>(shape.count())); }

const TensorNames kNames =
    names_of({hf("ffn_gate_exps.weight", {{"experts.{}.gate.weight"}, {"experts.gate_up", Pick::kFirst}}),
              hf("ffn_up_exps.weight", {{"experts.{}.up.weight"}, {"experts.gate_up", Pick::kLast}}),
              hf("ffn_down_exps.weight", {{"experts.down", Pick::kAll, true}}),
              hf("ffn_gate_exps.bias", {{"experts.gate_up_bias", Pick::kEven}}),
              hf("attn_k_b.weight", {{"kv_b.weight", Pick::kFirst, true}}),
              hf("attn_v_b.weight", {{"kv_b.weight", Pick::kLast}})});

/// Tensors of the layer, by name and shape.
using Shapes = std::vector<std::pair<std::string, Shape>>;
/// Parameters asked for.
using Wants = std::vector<std::pair<std::string, Shape>>;

std::string error_with(const Shapes& stored, const Wants& wants, const TensorNames& names = kNames) {
  FolderBuilder f;
  for (const auto& [name, shape] : stored) f.add(kLayer + name, "F32", shape, zeros(shape));
  const Scratch scratch;
  const std::string path = f.write(scratch, "m");
  return error_of([&] {
    Opened o(open_hf_folder(path), names);
    for (const auto& [name, shape] : wants) o.get(name, shape);
    o.load();
  });
}

Shapes separate(int64_t experts, const Shape& shape = {kF, kD}) {
  Shapes all;
  for (int64_t e = 0; e < experts; ++e) all.emplace_back(fmt::format("experts.{}.gate.weight", e), shape);
  return all;
}

const Wants kGate = {{"ffn_gate_exps.weight", {kE, kF, kD}}};
const Wants kBoth = {{"ffn_gate_exps.weight", {kE, kF, kD}}, {"ffn_up_exps.weight", {kE, kF, kD}}};
const Wants kDown = {{"ffn_down_exps.weight", {kE, kD, kF}}};
const Wants kHeads = {{"attn_k_b.weight", {2, 6, 3}}, {"attn_v_b.weight", {2, 4, 6}}};

TEST(FormsRefused, MissingExperts) {
  EXPECT_EQ(error_with(separate(kE), kGate), "");
  EXPECT_THAT(error_with({}, kGate), HasSubstr("blk.1.ffn_gate_exps.weight: missing, expected shape [3, 4, 5]"));
  EXPECT_THAT(error_with(separate(2), kGate),
              HasSubstr("tensor model.layers.1.experts.2.gate.weight: missing, expected shape [4, 5]"));
  Shapes no_first = separate(kE);
  no_first.erase(no_first.begin());
  EXPECT_THAT(error_with(no_first, kGate), HasSubstr("experts.0.gate.weight: missing, expected shape [4, 5]"));
}

TEST(FormsRefused, TooManyExperts) {
  EXPECT_THAT(error_with(separate(kE + 1), kGate), HasSubstr("model.layers.1.experts.3.gate.weight"));
  EXPECT_THAT(error_with({{"experts.gate_up", {kE + 1, 2 * kF, kD}}}, kBoth),
              HasSubstr("experts.gate_up: expected shape [3, 4 or more, 5], the file has [4, 8, 5]"));
  EXPECT_THAT(error_with({{"experts.down", {kE + 1, kF, kD}}}, kDown),
              HasSubstr("experts.down: expected shape [3, 4, 5], the file has [4, 4, 5]"));
}

TEST(FormsRefused, ExpertsOfAnotherShapeOrType) {
  Shapes one_wider = separate(kE);
  one_wider[1].second = {kF, kD + 1};
  EXPECT_THAT(error_with(one_wider, kGate),
              HasSubstr("experts.1.gate.weight: expected shape [4, 5], the file has [4, 6]"));
  EXPECT_THAT(error_with(separate(kE, {kF + 1, kD}), kGate),
              HasSubstr("experts.0.gate.weight: expected shape [4, 5], the file has [5, 5]"));
  EXPECT_THAT(error_with(separate(kE, {kF * kD}), kGate), HasSubstr("expected shape [4, 5], the file has [20]"));
  EXPECT_THAT(error_with(separate(kE, {1, 1, kF, kD}), kGate), HasSubstr("the file has [1, 1, 4, 5]"));
  EXPECT_THAT(error_with({{"experts.down", {kE, kD, kF}}}, kDown),  // not transposed
              HasSubstr("experts.down: expected shape [3, 4, 5], the file has [3, 5, 4]"));
  FolderBuilder f;
  for (int64_t e = 0; e < kE; ++e)
    f.add(fmt::format("{}experts.{}.gate.weight", kLayer, e), e == 2 ? "BF16" : "F32", {kF, kD},
          std::vector<uint16_t>(e == 2 ? 20 : 40));
  EXPECT_THAT(error_of([&] {
                open_folder(f, kNames).get("ffn_gate_exps.weight", {kE, kF, kD});
              }),
              HasSubstr("experts.2.gate.weight: expected F32 as its like, the file has BF16"));
}

TEST(FormsRefused, FusedSizesThatDoNotDivide) {
  EXPECT_EQ(error_with({{"experts.gate_up", {kE, 2 * kF, kD}}}, kBoth), "");
  EXPECT_THAT(error_with({{"experts.gate_up", {kE, 2 * kF + 1, kD}}}, kBoth),
              HasSubstr("experts.gate_up: expected shape [3, 8, 5], the file has [3, 9, 5]"));
  EXPECT_THAT(error_with({{"experts.gate_up", {kE, kF + 1, kD}}}, kBoth),  // they would overlap
              HasSubstr("experts.gate_up: expected shape [3, 8, 5], the file has [3, 5, 5]"));
  EXPECT_THAT(error_with({{"experts.gate_up", {kE, 2 * kF, kD}}}, kGate),  // half of it would be ignored
              HasSubstr("experts.gate_up: expected shape [3, 4, 5], the file has [3, 8, 5]"));
  const Wants bias = {{"ffn_gate_exps.bias", {kE, kF}}};
  for (const Shape& shape : {Shape{kE, 2 * kF + 1}, {kE, kF}, {kE + 1, 2 * kF}, {kE * 2 * kF}})
    EXPECT_THAT(error_with({{"experts.gate_up_bias", shape}}, bias),
                AllOf(HasSubstr("experts.gate_up_bias: expected shape"), HasSubstr("8"), HasSubstr(shape.text())));
}

TEST(FormsRefused, HeadsThatDoNotDivide) {
  EXPECT_EQ(error_with({{"kv_b.weight", {14, 6}}}, kHeads), "");
  EXPECT_THAT(error_with({{"kv_b.weight", {16, 6}}}, kHeads),
              HasSubstr("kv_b.weight: expected shape [2 x 7, 6], the file has [16, 6]"));
  EXPECT_THAT(error_with({{"kv_b.weight", {13, 6}}}, kHeads), HasSubstr("the file has [13, 6]"));
  EXPECT_THAT(error_with({{"kv_b.weight", {4, 6}}}, kHeads),
              HasSubstr("kv_b.weight: expected shape [2 x 3 or more, 6], the file has [4, 6]"));
  EXPECT_THAT(error_with({{"kv_b.weight", {14, 7}}}, kHeads), HasSubstr("the file has [14, 7]"));
}

TEST(FormsRefused, TensorsOfOtherKinds) {
  for (const char* type : {"I8", "U8", "F8_E4M3", "F8_E5M2"}) {
    FolderBuilder f;
    f.add(kLayer + "experts.0.gate.weight", type, {kF, kD}, std::vector<uint8_t>(20));
    EXPECT_THAT(
        error_of([&] {
          open_folder(f, kNames).get("ffn_gate_exps.weight", {1, kF, kD});
        }),
        AllOf(HasSubstr("tensor model.layers.1.experts.0.gate.weight: expected F32, F16 or BF16"), HasSubstr(type)));
  }
}

TEST(FormsRefused, LayersPastTheLastAreReadOnlyWhereTheyPredict) {
  TensorNames names = kNames;
  Shapes stored = separate(kE);
  FolderBuilder f;
  for (const auto& [name, shape] : stored) f.add(kLayer + name, "F32", shape, zeros(shape));
  f.add("model.layers.2.eh_proj.weight", "F32", {2, 2}, zeros({2, 2}));
  f.add("model.layers.2.experts.0.gate.weight", "F32", {2, 2}, zeros({2, 2}));
  const auto load = [&] {
    Opened o = open_folder(f, names);
    o.get("ffn_gate_exps.weight", {kE, kF, kD});
    o.load();
  };
  EXPECT_THAT(error_of(load), HasSubstr("model.layers.2.eh_proj.weight"));
  names.prediction_layers = true;
  EXPECT_EQ(error_of(load), "");
  f.add("model.layers.1.eh_proj.weight", "F32", {2, 2}, zeros({2, 2}));
  EXPECT_THAT(error_of(load), HasSubstr("model.layers.1.eh_proj.weight"));
}

}  // namespace
}  // namespace godwit::forms_refused
