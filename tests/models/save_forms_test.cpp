// The law of saving for parameters that Hugging Face folders keep in other tensors: to GGUF and back, every bit of
// every tensor of the folder is the same.
#include "formats/forms.h"
#include "models/save.h"

namespace godwit {
namespace {

void nothing_to_hf(const Config&, Json&) {}

/// A model of parameters only.
struct Parameters : OpenModel {
  Architecture table;

  Parameters(StoredModel model, const TensorNames& names, const std::vector<std::pair<std::string, Shape>>& wants) {
    table.name = "test";
    table.names = names;
    table.to_hf = nothing_to_hf;
    architecture = &table;
    stored = std::move(model);
    config.architecture = "test";
    config.set("block_count", int64_t{2});
    weights = std::make_unique<Weights>(stored_source(stored, config, table.names), LoadOptions{});
    for (const auto& [name, shape] : wants) weights->block(1).get(name, shape);
    weights->check_all_used();
  }
};

/// All tensors of a folder or file by name, with their bytes.
std::map<std::string, TensorBytes> contents(const StoredModel& m) {
  std::map<std::string, TensorBytes> all;
  for (const StoredTensor& t : m.tensors) {
    std::string bytes(static_cast<size_t>(t.bytes), '\0');
    m.files[static_cast<size_t>(t.file)].read_at(t.offset, std::as_writable_bytes(std::span(bytes)));
    all[t.name] = {std::string(name(t.dtype)), t.shape, bytes};
  }
  return all;
}

struct Case {
  std::string name;
  TensorNames names;
  std::vector<std::pair<std::string, Shape>> stored;  // in the folder, relative to the layer
  std::vector<std::pair<std::string, Shape>> wants;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

FolderBuilder random_folder(const Case& c, const std::string& type) {
  FolderBuilder f;
  uint64_t seed = 0;
  for (const auto& [name, shape] : c.stored) {
    const bool f32 = type == "F32" || name.ends_with("bias");  // GGUF keeps biases in F32
    std::string bytes(static_cast<size_t>(shape.count() * (f32 ? 4 : 2)), '\0');
    ++seed;
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random_bits(seed, 0, i));
    f.tensors[kLayer + name] = {f32 ? "F32" : type, shape, bytes};
  }
  return f;
}

constexpr int64_t kE = 3, kF = 5, kD = 7;          // experts
constexpr int64_t kH = 3, kN = 5, kV = 4, kR = 9;  // heads

std::vector<Case> cases() {
  const std::vector<std::pair<std::string, Shape>> experts = {{"ffn_gate_exps.weight", {kE, kF, kD}},
                                                              {"ffn_up_exps.weight", {kE, kF, kD}},
                                                              {"ffn_down_exps.weight", {kE, kD, kF}}};
  std::vector<Case> all;
  Case separate{"separate",
                names_of({hf("ffn_gate_exps.weight", {{"mlp.experts.{}.gate_proj.weight"}, {"gate_up", Pick::kFirst}}),
                          hf("ffn_up_exps.weight", {{"mlp.experts.{}.up_proj.weight"}, {"gate_up", Pick::kLast}}),
                          hf("ffn_down_exps.weight", {{"mlp.experts.{}.down_proj.weight"}, {"down"}})}),
                {},
                experts};
  for (int64_t e = 0; e < kE; ++e) {
    separate.stored.push_back({fmt::format("mlp.experts.{}.gate_proj.weight", e), {kF, kD}});
    separate.stored.push_back({fmt::format("mlp.experts.{}.up_proj.weight", e), {kF, kD}});
    separate.stored.push_back({fmt::format("mlp.experts.{}.down_proj.weight", e), {kD, kF}});
  }
  all.push_back(separate);
  all.push_back({"fused",
                 names_of({hf("ffn_gate_exps.weight", {{"input_linear.weight", Pick::kFirst}}),
                           hf("ffn_up_exps.weight", {{"input_linear.weight", Pick::kLast}}),
                           hf("ffn_down_exps.weight", {{"output_linear.weight"}})}),
                 {{"input_linear.weight", {kE, 2 * kF, kD}}, {"output_linear.weight", {kE, kD, kF}}},
                 experts});
  const auto shared = [&](const Shape& stored, const Shape& wanted) {
    return Case{
        wanted.rank == 3 ? "one_expert" : "shared",
        names_of({hf("ffn_gate_shexp.weight", {{"shared_mlp.input_linear.weight", Pick::kFirst}}),
                  hf("ffn_up_shexp.weight", {{"shared_mlp.input_linear.weight", Pick::kLast}}),
                  {.gguf = "ffn_gate_inp_shexp.weight", .hf = "shared_gate.bias", .hf_row = true}}),
        {{"shared_mlp.input_linear.weight", stored}, {"shared_gate.bias", {1, kD}}},
        {{"ffn_gate_shexp.weight", wanted}, {"ffn_up_shexp.weight", wanted}, {"ffn_gate_inp_shexp.weight", {kD}}}};
  };
  all.push_back(shared({2 * kF, kD}, {kF, kD}));
  all.push_back(shared({1, 2 * kF, kD}, {1, kF, kD}));
  Case interleaved{"interleaved",
                   names_of({hf("ffn_gate_exps.weight",
                                {{"gate_up_proj", Pick::kEven, false, true}, {"gate_up_proj", Pick::kEven, true}}),
                             hf("ffn_up_exps.weight", {{"gate_up_proj", Pick::kOdd, true}}),
                             hf("ffn_down_exps.weight", {{"down_proj", Pick::kAll, true}}),
                             hf("ffn_gate_exps.bias", {{"gate_up_proj_bias", Pick::kEven}}),
                             hf("ffn_up_exps.bias", {{"gate_up_proj_bias", Pick::kOdd}}),
                             hf("ffn_down_exps.bias", {{"down_proj_bias"}})}),
                   {{"gate_up_proj", {kE, kD, 2 * kF}},
                    {"down_proj", {kE, kF, kD}},
                    {"gate_up_proj_bias", {kE, 2 * kF}},
                    {"down_proj_bias", {kE, kD}}},
                   experts};
  interleaved.wants.push_back({"ffn_gate_exps.bias", {kE, kF}});
  interleaved.wants.push_back({"ffn_up_exps.bias", {kE, kF}});
  interleaved.wants.push_back({"ffn_down_exps.bias", {kE, kD}});
  all.push_back(interleaved);
  all.push_back({"halves_transposed",
                 names_of({hf("ffn_gate_exps.weight", {{"gate_up_proj", Pick::kFirst, true}}),
                           hf("ffn_up_exps.weight", {{"gate_up_proj", Pick::kLast, true}}),
                           hf("ffn_down_exps.weight", {{"down_proj", Pick::kAll, true}})}),
                 {{"gate_up_proj", {kE, kD, 2 * kF}}, {"down_proj", {kE, kF, kD}}},
                 experts});
  all.push_back({"heads",
                 names_of({hf("attn_k_b.weight", {{"self_attn.kv_b_proj.weight", Pick::kFirst, true}}),
                           hf("attn_v_b.weight", {{"self_attn.kv_b_proj.weight", Pick::kLast}})}),
                 {{"self_attn.kv_b_proj.weight", {kH * (kN + kV), kR}}},
                 {{"attn_k_b.weight", {kH, kR, kN}}, {"attn_v_b.weight", {kH, kV, kR}}}});
  return all;
}

class SaveForms : public testing::TestWithParam<Case> {};

TEST_P(SaveForms, EveryBitComesBack) {
  const Case& c = GetParam();
  for (const char* type : {"F32", "BF16", "F16"}) {
    const Scratch scratch;
    const FolderBuilder folder = random_folder(c, type);
    const Parameters from_hf(open_hf_folder(folder.write(scratch, "a")), c.names, c.wants);
    const GgufPlan gguf_plan = plan_gguf(from_hf, std::nullopt);
    write_gguf(scratch.path("b.gguf"), gguf_plan.config, gguf_plan.tensors, {});
    const Parameters from_gguf(open_gguf(scratch.path("b.gguf")), c.names, c.wants);
    for (const auto& [name, shape] : c.wants) {
      const StoredTensor* t = from_gguf.stored.find("blk.1." + name);
      ASSERT_NE(t, nullptr) << name;
      EXPECT_EQ(t->shape, shape);
    }
    write_hf_folder(scratch.path("c"), plan_hf(from_gguf, std::nullopt), {});
    EXPECT_EQ(contents(open_hf_folder(scratch.path("c"))), folder.tensors) << type;
    write_hf_folder(scratch.path("d"), plan_hf(from_hf, std::nullopt), {});
    EXPECT_EQ(contents(open_hf_folder(scratch.path("d"))), folder.tensors) << type;
    const Parameters again(open_hf_folder(scratch.path("c")), c.names, c.wants);
    const GgufPlan second = plan_gguf(again, std::nullopt);
    write_gguf(scratch.path("e.gguf"), second.config, second.tensors, {});
    EXPECT_EQ(contents(open_gguf(scratch.path("e.gguf"))), contents(open_gguf(scratch.path("b.gguf")))) << type;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, SaveForms, testing::ValuesIn(cases()),
                         [](const auto& param) { return param.param.name; });

// What the folder's random bits of MXFP4 or FP8 become.

FolderBuilder codes_folder(const std::string& method, const std::vector<std::pair<std::string, Shape>>& codes) {
  FolderBuilder f;
  f.config = fmt::format(R"({{"quantization_config":{{"quant_method":"{}"}}}})", method);
  uint64_t seed = 0;
  for (const auto& [name, shape] : codes) {
    std::vector<uint8_t> bytes(static_cast<size_t>(shape.count()));
    ++seed;
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(random_bits(seed, 0, i) & 0xbf);
    f.add(kLayer + name, method == "fp8" ? "F8_E4M3" : "U8", shape, bytes);
  }
  return f;
}

/// The parameters of a model as it loads them.
std::map<std::string, std::vector<float>> loaded(const Parameters& m) {
  ThreadPool pool(2);
  m.weights->load(pool, {});
  std::map<std::string, std::vector<float>> all;
  for (const Parameter& p : m.weights->parameters()) all[p.name] = values(p.tensor);
  return all;
}

/// The file that `plan` makes, opened again.
std::unique_ptr<Parameters> written(const Scratch& scratch, const char* file, const GgufPlan& plan, const Case& c) {
  write_gguf(scratch.path(file), plan.config, plan.tensors, {});
  return std::make_unique<Parameters>(open_gguf(scratch.path(file)), c.names, c.wants);
}

TEST(SaveCodes, Mxfp4KeepsItsBitsInGgufAndIsRoundedInFolders) {
  const Case c{
      "mxfp4",
      names_of({hf("ffn_gate_exps.weight", {{"gate_up", Pick::kEven, true}, {"gate_up", Pick::kEven, false, true}}),
                hf("ffn_up_exps.weight", {{"gate_up", Pick::kOdd, true}, {"gate_up", Pick::kOdd, false, true}})}),
      {},
      {{"ffn_gate_exps.weight", {2, 3, 64}}, {"ffn_up_exps.weight", {2, 3, 64}}}};
  const FolderBuilder f = codes_folder("mxfp4", {{"gate_up_blocks", {2, 6, 2, 16}}, {"gate_up_scales", {2, 6, 2}}});
  const Scratch scratch;
  const Parameters from_hf(open_hf_folder(f.write(scratch, "a")), c.names, c.wants);
  const auto from_gguf = written(scratch, "b.gguf", plan_gguf(from_hf, std::nullopt), c);
  for (const StoredTensor& t : from_gguf->stored.tensors) EXPECT_EQ(t.dtype, DType::kMXFP4) << t.name;
  EXPECT_EQ(loaded(*from_gguf), loaded(from_hf));
  const HfPlan plan = plan_hf(*from_gguf, DType::kF32);
  ASSERT_EQ(plan.tensors.size(), 1u);
  EXPECT_EQ(plan.tensors[0].shape, (Shape{2, 64, 6}));
  write_hf_folder(scratch.path("c"), plan, {});
  EXPECT_EQ(loaded({open_hf_folder(scratch.path("c")), c.names, c.wants}), loaded(from_hf));
  const HfPlan half = plan_hf(*from_gguf, std::nullopt);
  EXPECT_EQ(half.tensors[0].dtype, DType::kF16);
  EXPECT_EQ(half.warnings.size(), 1u);
}

TEST(SaveCodes, Fp8BecomesF32OrTheTypeAskedFor) {
  const Case c{"fp8",
               names_of({hf("ffn_up_exps.weight", {{"experts.{}.up.weight"}})}),
               {},
               {{"ffn_up_exps.weight", {2, 5, 64}}}};
  FolderBuilder f = codes_folder("fp8", {{"experts.0.up.weight", {5, 64}}, {"experts.1.up.weight", {5, 64}}});
  for (int e : {0, 1})
    f.add(fmt::format("{}experts.{}.up.weight_scale_inv", kLayer, e), "F32", {1, 1}, std::vector<float>{0.3f});
  const Scratch scratch;
  const Parameters from_hf(open_hf_folder(f.write(scratch, "a")), c.names, c.wants);
  const auto f32 = written(scratch, "b.gguf", plan_gguf(from_hf, std::nullopt), c);
  EXPECT_EQ(f32->stored.tensors[0].dtype, DType::kF32);
  EXPECT_EQ(loaded(*f32), loaded(from_hf));
  const auto q8 = written(scratch, "c.gguf", plan_gguf(from_hf, DType::kQ8_0), c);
  const auto twice = written(scratch, "d.gguf", plan_gguf(*f32, DType::kQ8_0), c);
  EXPECT_EQ(q8->stored.tensors[0].dtype, DType::kQ8_0);
  EXPECT_EQ(contents(q8->stored), contents(twice->stored));
  write_hf_folder(scratch.path("e"), plan_hf(from_hf, std::nullopt), {});
  const StoredModel folder = open_hf_folder(scratch.path("e"));
  EXPECT_EQ(folder.quant_method, "");
  EXPECT_EQ(folder.find(kLayer + "experts.1.up.weight")->dtype, DType::kF32);
}

TEST(SaveCodes, QuantizedStacksAndPartsOfSeveralTypes) {
  const Case heads{"heads",
                   names_of({hf("attn_k_b.weight", {{"kv_b.weight", Pick::kFirst, true}}),
                             hf("attn_v_b.weight", {{"kv_b.weight", Pick::kLast}})}),
                   {},
                   {{"attn_k_b.weight", {2, 32, 5}}, {"attn_v_b.weight", {2, 4, 32}}}};
  FolderBuilder f;
  std::vector<float> all;
  for (uint64_t i = 0; i < 18 * 32; ++i) all.push_back(static_cast<float>(random_bits(1, 0, i) % 255) - 127.0f);
  f.add(kLayer + "kv_b.weight", "F32", {18, 32}, all);
  const Scratch scratch;
  const Parameters from_hf(open_hf_folder(f.write(scratch, "a")), heads.names, heads.wants);
  const auto q8 = written(scratch, "b.gguf", plan_gguf(from_hf, DType::kQ8_0), heads);
  EXPECT_EQ(q8->stored.find("blk.1.attn_k_b.weight")->dtype, DType::kF16);  // rows of 5
  EXPECT_EQ(q8->stored.find("blk.1.attn_v_b.weight")->dtype, DType::kQ8_0);
  EXPECT_EQ(plan_hf(*q8, std::nullopt).tensors[0].dtype, DType::kF16);
  write_hf_folder(scratch.path("c"), plan_hf(*q8, DType::kF32), {});
  EXPECT_EQ(loaded({open_hf_folder(scratch.path("c")), heads.names, heads.wants}), loaded(*q8));
  const auto mixed = plan_gguf(from_hf, std::nullopt);
  GgufPlan f16 = plan_gguf(from_hf, DType::kF16);
  f16.tensors[1] = mixed.tensors[1];  // F16 keys, F32 values
  const auto both = written(scratch, "d.gguf", f16, heads);
  EXPECT_EQ(plan_hf(*both, std::nullopt).tensors[0].dtype, DType::kF32);
}

TEST(SaveForms, BlocksThatPredictFurtherTokensAreLeftOut) {
  const std::string tiny = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/llama-plain-gqa";
  const auto open = open_model(tiny, {});
  GgufPlan plan = plan_gguf(*open, std::nullopt);
  const int64_t layers = open->config.integer("block_count");
  TensorToWrite extra = plan.tensors.back();
  extra.name = fmt::format("blk.{}.nextn.eh_proj.weight", layers);
  plan.tensors.push_back(extra);
  const Scratch scratch;
  const auto reopened = [&](int64_t blocks, int64_t predict) {
    plan.config.set("block_count", blocks);
    plan.config.set("nextn_predict_layers", predict);
    write_gguf(scratch.path("m.gguf"), plan.config, plan.tensors, {});
    auto again = open_model(scratch.path("m.gguf"), {});
    std::filesystem::remove(scratch.path("m.gguf"));
    return again;
  };
  const auto again = reopened(layers + 1, 1);
  EXPECT_EQ(again->model->layers().size(), static_cast<size_t>(layers));
  EXPECT_EQ(again->config.integer("block_count"), layers);
  EXPECT_FALSE(again->config.has("nextn_predict_layers"));
  EXPECT_EQ(again->weights->count(), open->weights->count());
  EXPECT_THAT(error_of([&] { reopened(layers, 0); }), testing::HasSubstr(extra.name));
  EXPECT_THAT(error_of([&] { reopened(layers + 1, 0); }), testing::HasSubstr(fmt::format("blk.{}.", layers)));
  for (int64_t predict : {int64_t{-1}, layers + 1, int64_t{1} << 40})
    EXPECT_THAT(error_of([&] { reopened(layers + 1, predict); }), testing::HasSubstr("nextn_predict_layers"));
}

}  // namespace
}  // namespace godwit
