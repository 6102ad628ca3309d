// Mixtures of experts and latent attention that no file may have: each is refused by one line that names the key or the
// tensor.
#include <gtest/gtest.h>

#include <limits>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "formats/scratch.h"
#include "models/open.h"
#include "models/save.h"

namespace godwit {
namespace {

/// The class's name and what it takes for absent keys; the tiny model has the rest.
const Architecture& architecture_of(const std::string& hf_class) {
  const HfClass* found = nullptr;
  const Architecture* a = find_hf_architecture(Json{{"architectures", {hf_class}}}, found);
  EXPECT_NE(a, nullptr) << hf_class;
  return *a;
}

void expect_refused(const std::string& path, const OpenOptions& options, const std::string& named,
                    const std::string& what) {
  try {
    open_model(path, options);
    ADD_FAILURE() << what << ": was opened";
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << what << ": " << message;
    EXPECT_NE(message.find(named), std::string::npos) << what << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << what << ": " << message;
    EXPECT_EQ(message.find("does not fit together"), std::string::npos) << what << ": " << message;
  }
}

// ---------------------------------------------------------------- config.json

class RefusedConfigJson : public testing::Test {
 protected:
  void expect(const Architecture& a, const std::string& key, const Json& value, const std::string& named) {
    Json json = Json::parse(a.tiny);
    json[key] = value;
    OpenOptions options;
    options.random_seed = 1;
    expect_refused(scratch_.write("config.json", json.dump()), options, named,
                   a.hf_classes[0].name + ": " + key + " = " + value.dump());
  }
  /// Whether config.json of the tiny model, or the class for it, has the key.
  static bool has(const Architecture& a, const std::string& key) {
    return Json::parse(a.tiny).contains(key) || Json::parse(a.hf_classes[0].defaults).contains(key);
  }

  Scratch scratch_;
};

TEST_F(RefusedConfigJson, SizesOfEveryArchitectureWithExperts) {
  int n = 0;
  for (const Architecture* a : architectures()) {
    if (!has(*a, "num_experts_per_tok")) continue;
    ++n;
    const char* count = has(*a, "num_experts")         ? "num_experts"
                        : has(*a, "num_local_experts") ? "num_local_experts"
                                                       : "n_routed_experts";
    for (const Json& value : {Json(0), Json(-1), Json(1025), Json(int64_t{1} << 31), Json(int64_t{1} << 62),
                              Json(UINT64_MAX), Json(1.5), Json("4"), Json::array(), Json::object(), Json(true)}) {
      const bool typed = value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() >> 63 != 0);
      const bool dense = value == 0 && has(*a, "shared_intermediate_size");  // Granite 4.0 H without experts
      if (!dense) expect(*a, count, value, typed ? "expert_count" : count);
      expect(*a, "num_experts_per_tok", value, typed ? "expert_used_count" : "num_experts_per_tok");
      const char* width = has(*a, "moe_intermediate_size") ? "moe_intermediate_size" : "intermediate_size";
      if (value != Json(1025)) expect(*a, width, value, typed ? "feed_forward_length" : width);
    }
    expect(*a, "num_experts_per_tok", 9, "expert_used_count");  // of 8, 6 or 4
  }
  EXPECT_EQ(n, 15);
}

TEST_F(RefusedConfigJson, Groups) {
  for (const char* name : {"DeepseekV3ForCausalLM", "Glm4MoeForCausalLM", "Mistral4ForCausalLM"}) {
    const Architecture& a = architecture_of(name);
    for (const int64_t n : {3, 0, -2, 9}) expect(a, "n_group", n, "expert_group_count");
    for (const int64_t n : {0, -1, 5}) expect(a, "topk_group", n, "expert_group_used_count");
    expect(a, "n_group", "2", "n_group");
    expect(a, "n_group", 2.0, "n_group");
    for (const Json& scale : {Json(0), Json(0.0), Json(-2.5), Json(1e-60), Json(1e60)})
      expect(a, "routed_scaling_factor", scale, "expert_weights_scale");
    expect(a, "routed_scaling_factor", "2", "routed_scaling_factor");
    expect(a, "n_shared_experts", -1, "expert_shared_count");
    expect(a, "n_shared_experts", int64_t{1} << 31, "expert_shared_count");
    expect(a, "first_k_dense_replace", -1, "leading_dense_block_count");
    expect(a, "first_k_dense_replace", 3, "leading_dense_block_count");  // of 2 layers
    expect(a, "mlp_layer_types", {"sparse"}, "mlp_layer_types");
    expect(a, "mlp_layer_types", {"sparse", "dense", "sparse"}, "mlp_layer_types");
    expect(a, "mlp_layer_types", {"sparse", "thin"}, "mlp_layer_types");
    expect(a, "mlp_layer_types", {"sparse", 1}, "mlp_layer_types");
    expect(a, "mlp_layer_types", "sparse", "mlp_layer_types");
  }
  const Architecture& v3 = architecture_of("DeepseekV3ForCausalLM");
  expect(v3, "num_experts_per_tok", 5, "expert_group_used_count");  // two groups of two
  expect(v3, "n_group", 8, "expert_group_count");                   // the two best of one
  expect(v3, "topk_method", "best", "topk_method");
}

TEST_F(RefusedConfigJson, LatentAttention) {
  for (const char* name : {"DeepseekV3ForCausalLM", "Mistral4ForCausalLM"}) {
    const Architecture& a = architecture_of(name);
    for (const Json& n : {Json(0), Json(-1), Json(513), Json(int64_t{1} << 31), Json(1.5), Json("64")})
      expect(a, "kv_lora_rank", n, "kv_lora_rank");
    for (const Json& n : {Json(-1), Json(int64_t{1} << 31), Json(1.5), Json("64")})
      expect(a, "q_lora_rank", n, "q_lora_rank");
    for (const Json& n : {Json(0), Json(-1), Json(int64_t{1} << 31), Json("64")})
      expect(a, "qk_nope_head_dim", n, "qk_nope_head_dim");
    for (const Json& n : {Json(0), Json(-1), Json(int64_t{1} << 31), Json("64")})
      expect(a, "qk_rope_head_dim", n, "qk_rope_head_dim");
    for (const int64_t n : {15, 1}) expect(a, "qk_rope_head_dim", n, "rope.dimension_count");
    for (const Json& n : {Json(0), Json(-1), Json(int64_t{1} << 31), Json("64")})
      expect(a, "v_head_dim", n, n.is_string() ? "v_head_dim" : "value_length");
    expect(a, "rope_interleave", "yes", "rope_interleave");
  }
  Json rope = Json::parse(architecture_of("Mistral4ForCausalLM").tiny)["rope_parameters"];
  rope["llama_4_scaling_beta"] = "0.1";
  expect(architecture_of("Mistral4ForCausalLM"), "rope_parameters", rope, "llama_4_scaling_beta");
}

TEST_F(RefusedConfigJson, WhatWouldBeReadAsSomethingElse) {
  for (const char* name : {"MixtralForCausalLM", "DeepseekV3ForCausalLM"})
    expect(architecture_of(name), "hidden_act", "gelu", "hidden_act");
  const Architecture& oss = architecture_of("GptOssForCausalLM");
  const Json yarn{{"rope_type", "yarn"}, {"rope_theta", 1e4}, {"factor", 4.0}};
  for (const auto& [key, value] : {std::pair<const char*, Json>{"rope_type", 3}, {"truncate", "no"}}) {
    Json rope = yarn;
    rope[key] = value;
    expect(oss, "rope_parameters", rope, key);
  }
}

TEST_F(RefusedConfigJson, KeysOfOneFamily) {
  for (const char* name : {"Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"}) {
    const Architecture& a = architecture_of(name);
    for (const Json& item : {Json("1"), Json(-1), Json(1.5), Json(true), Json(UINT64_MAX), Json::array()}) {
      Json list = Json::array();
      list.push_back(item);
      expect(a, "mlp_only_layers", list, "mlp_only_layers");
    }
    expect(a, "mlp_only_layers", "1", "mlp_only_layers");
    for (const Json& step : {Json(0), Json(-1), Json("1"), Json(1.5)})
      expect(a, "decoder_sparse_step", step, "decoder_sparse_step");
  }
  expect(architecture_of("Qwen2MoeForCausalLM"), "shared_expert_intermediate_size", -1, "shared_feed_forward_length");
  const Architecture& granite = architecture_of("GraniteMoeForCausalLM");
  for (const Json& value : {Json(0), Json(0.0), Json(-1.0), Json(1e-60), Json(1e60)}) {
    expect(granite, "logits_scaling", value, "logit_scale");
    expect(granite, "residual_multiplier", value, "residual_scale");
    expect(granite, "embedding_multiplier", value, "embedding_scale");
  }
  const Architecture& gpt = architecture_of("GptOssForCausalLM");
  for (const char* key : {"swiglu_limit", "swiglu_alpha"}) {
    for (const Json& value : {Json(0), Json(-7.0), Json(1e60)}) expect(gpt, key, value, key);
    expect(gpt, key, "7", key);
  }
  expect(gpt, "layer_types", {"sliding_attention"}, "layer_types");
  expect(gpt, "layer_types", {"sliding_attention", "full_attention", "full_attention"}, "layer_types");
  expect(gpt, "layer_types", {"sliding_attention", 2}, "layer_types");
  expect(gpt, "layer_types", "sliding_attention", "layer_types");
  for (const int64_t n : {0, -1, 15, 33, 34})
    expect(architecture_of("MiniMaxM2ForCausalLM"), "rotary_dim", n, "rope.dimension_count");
}

// JSON has no NaN; Python writes one all the same.
TEST_F(RefusedConfigJson, NotANumber) {
  constexpr std::pair<const char*, const char*> kRead[] = {{"GptOssForCausalLM", "swiglu_limit"},
                                                           {"DeepseekV3ForCausalLM", "routed_scaling_factor"},
                                                           {"GraniteMoeForCausalLM", "logits_scaling"}};
  for (const auto& [name, key] : kRead) {
    for (const char* value : {"NaN", "Infinity", "-Infinity"}) {
      Json json = Json::parse(architecture_of(name).tiny);
      json[key] = "VALUE";
      std::string text = json.dump();
      text.replace(text.find("\"VALUE\""), 7, value);
      OpenOptions options;
      options.random_seed = 1;
      expect_refused(scratch_.write("config.json", text), options, value == std::string("NaN") ? "config.json" : key,
                     text);
    }
  }
}

// ---------------------------------------------------------------- GGUF files and folders

/// The tiny model of a class with random weights, and files of it that were tampered with.
class Tampered {
 public:
  explicit Tampered(const std::string& hf_class) {
    OpenOptions options;
    options.random_seed = 1;
    options.random_type = DType::kF32;
    open_ = open_model(scratch_.write("config.json", architecture_of(hf_class).tiny), options);
  }

  template <class Change>
  std::string gguf(const Change& change) {
    GgufPlan plan = plan_gguf(*open_, std::nullopt);
    change(plan);
    const std::string path = scratch_.path("tampered.gguf");
    write_gguf(path, plan.config, plan.tensors, {});
    return path;
  }
  template <class Change>
  std::string folder(const Change& change) {
    HfPlan plan = plan_hf(*open_, std::nullopt);
    change(plan);
    std::filesystem::remove_all(scratch_.path("tampered"));
    write_hf_folder(scratch_.path("tampered"), plan, {});
    return scratch_.path("tampered");
  }
  std::string name() const { return open_->architecture->hf_classes[0].name; }

  void expect_key(const std::string& key, const ConfigValue& value, const std::string& named) {
    const std::string path = gguf([&](GgufPlan& plan) { plan.config.set(key, value); });
    expect_refused(path, {}, named, name() + ": " + key);
  }

 private:
  Scratch scratch_;
  std::unique_ptr<OpenModel> open_;
};

TensorToWrite& tensor(SavePlan& plan, const std::string& name) {
  for (TensorToWrite& t : plan.tensors)
    if (t.name == name) return t;
  ADD_FAILURE() << "no tensor " << name;
  return plan.tensors.front();
}

/// Zeros in another shape.
void reshape(TensorToWrite& t, const Shape& shape) {
  t.shape = shape;
  t.fill = [n = matrix_bytes(t.dtype, shape.count() / shape[-1], shape[-1])](const auto& write) {
    const std::vector<std::byte> zeros(static_cast<size_t>(n));
    write(zeros.data(), zeros.size());
  };
}

TEST(RefusedGguf, KeysOfExperts) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();
  for (const char* name : {"Qwen3MoeForCausalLM", "DeepseekV3ForCausalLM", "MixtralForCausalLM", "GptOssForCausalLM"}) {
    Tampered model(name);
    EXPECT_NO_THROW(open_model(model.gguf([](GgufPlan&) {}), {})) << name;  // as it is, it opens
    const bool shared_name = std::string(name) == "MixtralForCausalLM";     // of no experts: a dense Llama
    model.expect_key("expert_count", int64_t{0}, shared_name ? "blk.0." : "expert_count");
    model.expect_key("expert_count", int64_t{1025}, "expert_count");
    model.expect_key("expert_count", int64_t{1} << 31, "expert_count");
    model.expect_key("expert_count", 8.0, "expert_count");
    model.expect_key("expert_count", std::string("8"), "expert_count");
    const bool grouped = std::string(name) == "DeepseekV3ForCausalLM";
    model.expect_key("expert_count", int64_t{7}, grouped ? "expert_group_count" : "blk.");  // the tensors are of 8
    model.expect_key("expert_count", int64_t{16}, "blk.");
    for (const int64_t n : {int64_t{0}, int64_t{9}, int64_t{1} << 31, int64_t{-1}})
      model.expect_key("expert_used_count", n, "expert_used_count");
    model.expect_key("expert_used_count", 2.0, "expert_used_count");
    model.expect_key("expert_group_count", int64_t{3}, "expert_group_count");
    model.expect_key("expert_group_count", int64_t{0}, "expert_group_count");
    model.expect_key("expert_group_used_count", int64_t{0}, "expert_group_used_count");
    model.expect_key("expert_group_used_count", int64_t{9}, "expert_group_used_count");
    for (const double scale : {0.0, -1.0, 1e-40, kNan, kInf})
      model.expect_key("expert_weights_scale", scale, "expert_weights_scale");
    model.expect_key("expert_weights_norm", int64_t{1}, "expert_weights_norm");
    for (const int64_t n : {0, 4, 9}) model.expect_key("expert_gating_func", n, "expert_gating_func");
    model.expect_key("expert_feed_forward_length", int64_t{0}, "expert_feed_forward_length");
    model.expect_key("expert_feed_forward_length", int64_t{1} << 31, "expert_feed_forward_length");
  }
  Tampered deepseek("DeepseekV3ForCausalLM");
  deepseek.expect_key("expert_used_count", int64_t{5}, "expert_group_used_count");  // two groups of two
  deepseek.expect_key("leading_dense_block_count", int64_t{3}, "leading_dense_block_count");
  deepseek.expect_key("leading_dense_block_count", int64_t{-1}, "leading_dense_block_count");
  deepseek.expect_key("expert_shared_count", int64_t{1} << 31, "expert_shared_count");
  for (const double value : {0.0, -1.0, 1e-40, kNan, kInf}) {
    Tampered("GraniteMoeForCausalLM").expect_key("logit_scale", value, "logit_scale");
    Tampered("GptOssForCausalLM").expect_key("swiglu_limit", value, "swiglu_limit");
  }
}

TEST(RefusedGguf, KeysOfLatentAttention) {
  for (const char* name : {"DeepseekV3ForCausalLM", "Mistral4ForCausalLM"}) {
    Tampered model(name);
    for (const int64_t n : {int64_t{0}, int64_t{-1}, int64_t{513}, int64_t{1} << 31})
      model.expect_key("attention.kv_lora_rank", n, "attention.kv_lora_rank");
    model.expect_key("attention.kv_lora_rank", std::string("64"), "attention.kv_lora_rank");
    model.expect_key("attention.kv_lora_rank", int64_t{32}, "blk.0.attn_kv_a");  // the tensors say 64
    model.expect_key("attention.q_lora_rank", int64_t{-1}, "attention.q_lora_rank");
    model.expect_key("attention.q_lora_rank", int64_t{31}, "blk.0.attn_q_a");
    for (const int64_t n : {48, 64}) model.expect_key("rope.dimension_count", n, "rope.dimension_count");
    for (const int64_t n : {int64_t{0}, int64_t{-1}, int64_t{15}, int64_t{513}})
      model.expect_key("rope.dimension_count", n, n == 15 ? "rope.dimension_count" : "");
    for (const int64_t n : {int64_t{0}, int64_t{-1}, int64_t{1025}}) {
      model.expect_key("attention.key_length_mla", n, "attention.key_length_mla");
      model.expect_key("attention.value_length_mla", n, "attention.value_length_mla");
    }
    model.expect_key("attention.head_count", int64_t{0}, "attention.head_count");
    model.expect_key("attention.head_count", int64_t{1} << 31, "attention.head_count");
    model.expect_key("attention.temperature_scale", std::string("x"), "attention.temperature_scale");
  }
}

TEST(RefusedGguf, Tensors) {
  for (const char* name : {"Qwen3MoeForCausalLM", "DeepseekV3ForCausalLM"}) {
    Tampered model(name);
    const auto expect = [&](const std::string& named, const auto& change) {
      expect_refused(model.gguf(change), {}, named, std::string(name) + ", " + named);
    };
    const std::string up = "blk.1.ffn_up_exps.weight", down = "blk.1.ffn_down_exps.weight";
    expect(up, [&](GgufPlan& p) { reshape(tensor(p, up), {7, 32, 64}); });
    expect(up, [&](GgufPlan& p) { reshape(tensor(p, up), {9, 32, 64}); });
    expect(up, [&](GgufPlan& p) { reshape(tensor(p, up), {8, 64, 32}); });
    expect(up, [&](GgufPlan& p) { reshape(tensor(p, up), {256, 64}); });
    expect(down, [&](GgufPlan& p) { reshape(tensor(p, down), {8, 64, 33}); });
    expect(up, [&](GgufPlan& p) { std::erase_if(p.tensors, [&](const auto& t) { return t.name == up; }); });
    expect("blk.1.ffn_gate_inp.weight", [&](GgufPlan& p) { reshape(tensor(p, "blk.1.ffn_gate_inp.weight"), {7, 64}); });
    expect("blk.1.ffn_up.8.weight", [&](GgufPlan& p) {  // a ninth, beside the stack
      TensorToWrite extra{"blk.1.ffn_up.8.weight", DType::kF32, {}, {}};
      reshape(extra, {32, 64});
      p.tensors.push_back(extra);
    });
  }
  Tampered deepseek("DeepseekV3ForCausalLM");
  const std::string k_b = "blk.0.attn_k_b.weight", bias = "blk.1.exp_probs_b.bias";
  for (const Shape& shape : {Shape{4, 32, 64}, Shape{3, 64, 32}, Shape{256, 32}})
    expect_refused(deepseek.gguf([&](GgufPlan& p) { reshape(tensor(p, k_b), shape); }), {}, k_b, shape.text());
  expect_refused(deepseek.gguf([&](GgufPlan& p) { reshape(tensor(p, bias), {7}); }), {}, bias, bias);
  expect_refused(
      deepseek.gguf([&](GgufPlan& p) { std::erase_if(p.tensors, [&](const auto& t) { return t.name == bias; }); }), {},
      bias, bias);
}

TEST(RefusedFolder, ExpertsOneByOne) {
  for (const char* name : {"Qwen3MoeForCausalLM", "MixtralForCausalLM"}) {
    Tampered model(name);
    const bool mixtral = std::string(name) == "MixtralForCausalLM";
    const std::string block = mixtral ? "model.layers.1.block_sparse_moe." : "model.layers.1.mlp.";
    const auto up = [&](int e) {
      return block + "experts." + std::to_string(e) + (mixtral ? ".w3.weight" : ".up_proj.weight");
    };
    const int64_t d_ff = mixtral ? 96 : 32;
    const auto expect = [&](const std::string& named, const auto& change) {
      expect_refused(model.folder(change), {}, named, std::string(name) + ", " + named);
    };
    EXPECT_NO_THROW(open_model(model.folder([](HfPlan&) {}), {})) << name;
    for (const int e : {0, 3, 7})
      expect(up(e), [&](HfPlan& p) { std::erase_if(p.tensors, [&](const auto& t) { return t.name == up(e); }); });
    for (const int e : {0, 5}) {
      expect(up(e), [&](HfPlan& p) { reshape(tensor(p, up(e)), {d_ff + 1, 64}); });
      expect(up(e), [&](HfPlan& p) { reshape(tensor(p, up(e)), {d_ff * 64}); });
    }
    expect(up(8), [&](HfPlan& p) {  // one more than there are
      TensorToWrite extra = tensor(p, up(7));
      extra.name = up(8);
      p.tensors.push_back(extra);
    });
    // "01" and "-1" are no numbers of experts.
    for (const char* number : {"01", "-1", "99999999999999999999"}) {
      const std::string odd = block + "experts." + number + (mixtral ? ".w3.weight" : ".up_proj.weight");
      expect(odd, [&](HfPlan& p) {
        TensorToWrite extra = tensor(p, up(7));
        extra.name = odd;
        p.tensors.push_back(extra);
      });
    }
  }
}

}  // namespace
}  // namespace godwit
