// Recurrent mixers that no file may have: each is refused by one line that names the key.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/scratch.h"
#include "models/open.h"

namespace godwit {
namespace {

struct Refused {
  const char* hf_class;
  const char* key;
  Json value;
  const char* named;  // by the message
};

void expect_nemotron_refused(const std::string& key, const Json& value, const std::string& named) {
  const Scratch scratch;
  OpenOptions options;
  options.random_seed = 1;
  Config experts;
  experts.architecture = "nemotron_h_moe";
  Json json = Json::parse(find_architecture(experts)->tiny);
  json[key] = value;
  if (key == "hybrid_override_pattern") json.erase("layers_block_type");
  try {
    open_model(scratch.write("config.json", json.dump()), options);
    ADD_FAILURE() << key << " = " << value << " was opened";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << e.what();
    EXPECT_NE(std::string(e.what()).find(named), std::string::npos) << e.what();
  }
}

TEST(RefusedRecurrent, ExpertsOfNemotron) {
  expect_nemotron_refused("moe_latent_size", -1, "moe_latent_size");
  expect_nemotron_refused("moe_intermediate_size", 0, "expert_feed_forward_length");
  expect_nemotron_refused("n_routed_experts", 0, "expert_count");
  expect_nemotron_refused("num_experts_per_tok", 9, "expert_used_count");
  expect_nemotron_refused("n_group", 3, "expert_group_count");
  expect_nemotron_refused("hybrid_override_pattern", "MEX", "hybrid_override_pattern");
  expect_nemotron_refused("hybrid_override_pattern", "", "hybrid_override_pattern");
  expect_nemotron_refused("hybrid_override_pattern", 3, "hybrid_override_pattern");
}

// Where layer_types is absent, numbers of layers take its place.
TEST(RefusedRecurrent, NumbersOfLayers) {
  const Scratch scratch;
  OpenOptions options;
  options.random_seed = 1;
  const HfClass* found = nullptr;
  Json json = Json::parse(find_hf_architecture(Json{{"architectures", {"Lfm2ForCausalLM"}}}, found)->tiny);
  json.erase("layer_types");
  json["full_attn_idxs"] = {1};
  open_model(scratch.write("config.json", json.dump()), options);
  for (const Json& value : {Json{2}, Json{-1}, Json{0.5}, Json{"1"}, Json{UINT64_MAX}, Json{{0}}}) {
    json["full_attn_idxs"] = value;
    try {
      open_model(scratch.write("config.json", json.dump()), options);
      ADD_FAILURE() << value << " was opened";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << e.what();
      EXPECT_NE(std::string(e.what()).find("full_attn_idxs"), std::string::npos) << e.what();
    }
  }
}

TEST(RefusedRecurrent, SizesOfConfigJson) {
  const int64_t kTwo31 = int64_t{1} << 31;
  const std::vector<Refused> cases = {
      {"Mamba2ForCausalLM", "n_groups", 0, "ssm.group_count"},
      {"Mamba2ForCausalLM", "n_groups", 3, "ssm.group_count"},  // of 4 heads
      {"Mamba2ForCausalLM", "n_groups", kTwo31, "ssm.group_count"},
      {"Mamba2ForCausalLM", "state_size", 0, "ssm.state_size"},
      {"Mamba2ForCausalLM", "state_size", -1, "ssm.state_size"},
      {"Mamba2ForCausalLM", "state_size", kTwo31, "ssm.state_size"},
      {"Mamba2ForCausalLM", "state_size", "8", "state_size"},
      {"Mamba2ForCausalLM", "conv_kernel", 0, "ssm.conv_kernel"},
      {"Mamba2ForCausalLM", "conv_kernel", kTwo31, "ssm.conv_kernel"},
      {"Mamba2ForCausalLM", "num_heads", 0, "num_heads"},
      {"Mamba2ForCausalLM", "num_heads", 3, "num_heads"},  // of 16 do not fill 64
      {"Mamba2ForCausalLM", "num_heads", INT64_MAX, "num_heads"},
      {"Mamba2ForCausalLM", "head_dim", 0, "num_heads"},
      {"Mamba2ForCausalLM", "expand", "x", "expand"},
      {"Mamba2ForCausalLM", "hidden_act", "gelu", "hidden_act"},
      {"Mamba2ForCausalLM", "time_step_limit", Json{{0.0, 1.0, 2.0}}, "time_step_limit"},
      {"Mamba2ForCausalLM", "time_step_limit", Json{{"0", 1.0}}, "time_step_limit"},
      {"Mamba2ForCausalLM", "time_step_limit", 3, "time_step_limit"},
      {"Mamba2ForCausalLM", "num_hidden_layers", 10000000, "block_count"},
      {"GraniteMoeHybridForCausalLM", "mamba_n_groups", 0, "ssm.group_count"},
      {"GraniteMoeHybridForCausalLM", "mamba_n_groups", 3, "ssm.group_count"},
      {"GraniteMoeHybridForCausalLM", "mamba_d_state", kTwo31, "ssm.state_size"},
      {"GraniteMoeHybridForCausalLM", "mamba_d_conv", 0, "ssm.conv_kernel"},
      {"GraniteMoeHybridForCausalLM", "mamba_n_heads", 3, "mamba_n_heads"},  // of 42 do not fill 128
      {"GraniteMoeHybridForCausalLM", "mamba_d_head", 0, "mamba_n_heads"},
      {"GraniteMoeHybridForCausalLM", "mamba_d_head", "wide", "mamba_d_head"},
      {"GraniteMoeHybridForCausalLM", "mamba_expand", kTwo31, "mamba_expand"},
      {"GraniteMoeHybridForCausalLM", "position_embedding_type", "alibi", "position_embedding_type"},
      {"GraniteMoeHybridForCausalLM", "layer_types", Json{"mamba", "attention", "mamba"}, "layer_types"},  // of 2
      {"GraniteMoeHybridForCausalLM", "layer_types", Json{"mamba", "hybrid"}, "layer_types"},
      {"GraniteMoeHybridForCausalLM", "num_local_experts", -1, "expert_count"},
      {"GraniteMoeHybridForCausalLM", "num_experts_per_tok", 0, "expert_used_count"},
      {"GraniteMoeHybridForCausalLM", "shared_intermediate_size", -1, "expert_shared_feed_forward_length"},
      {"GraniteMoeHybridForCausalLM", "attention_multiplier", 0.0, "attention_multiplier"},
      {"GraniteMoeHybridForCausalLM", "residual_multiplier", -1.0, "residual_scale"},
      {"BambaForCausalLM", "attn_layer_indices", Json{2}, "attn_layer_indices"},  // of 2 layers
      {"BambaForCausalLM", "rope_parameters", Json{{"rope_theta", 1e4}, {"partial_rotary_factor", 1.0}},
       "partial_rotary_factor"},
      {"BambaForCausalLM", "mamba_n_heads", -4, "mamba_n_heads"},
      {"BambaForCausalLM", "mamba_proj_bias", "no", "mamba_proj_bias"},
      {"NemotronHForCausalLM", "layers_block_type", Json{"mamba", "conv"}, "layers_block_type"},
      {"NemotronHForCausalLM", "layers_block_type", Json::array(), "layers_block_type"},
      {"NemotronHForCausalLM", "layers_block_type", Json{1, 2}, "layers_block_type"},
      {"NemotronHForCausalLM", "layers_block_type", "M-*", "layers_block_type"},
      {"NemotronHForCausalLM", "mlp_hidden_act", "silu", "mlp_hidden_act"},
      {"NemotronHForCausalLM", "mamba_num_heads", 0, "mamba_num_heads"},
      {"NemotronHForCausalLM", "mamba_num_heads", INT64_MAX, "mamba_num_heads"},
      {"NemotronHForCausalLM", "n_groups", 3, "ssm.group_count"},
      {"NemotronHForCausalLM", "ssm_state_size", 0, "ssm.state_size"},
      {"NemotronHForCausalLM", "conv_kernel", 0, "ssm.conv_kernel"},
      {"NemotronHForCausalLM", "time_step_min", "x", "time_step_min"},
      {"NemotronHForCausalLM", "layers_block_type", Json(1025, "mlp"), "layers_block_type"},
      {"FalconH1ForCausalLM", "mamba_d_ssm", 62, "mamba_n_heads"},  // 4 heads do not fill it
      {"FalconH1ForCausalLM", "mamba_d_ssm", kTwo31, "ssm.inner_size"},
      {"FalconH1ForCausalLM", "mamba_n_groups", 0, "ssm.group_count"},
      {"FalconH1ForCausalLM", "mamba_d_state", 0, "ssm.state_size"},
      {"FalconH1ForCausalLM", "ssm_multipliers", Json{1.0, 1.0, 1.0, 1.0}, "ssm_multipliers"},
      {"FalconH1ForCausalLM", "ssm_multipliers", Json{1.0, 1.0, 0.0, 1.0, 1.0}, "ssm_multipliers"},
      {"FalconH1ForCausalLM", "mlp_multipliers", Json{1.0, "x"}, "mlp_multipliers"},
      {"FalconH1ForCausalLM", "mlp_multipliers", 1.0, "mlp_multipliers"},
      {"FalconH1ForCausalLM", "key_multiplier", 0.0, "key_multiplier"},
      {"FalconH1ForCausalLM", "embedding_multiplier", 1e300, "embedding_multiplier"},
      {"FalconH1ForCausalLM", "lm_head_multiplier", "x", "lm_head_multiplier"},
      {"FalconH1ForCausalLM", "mamba_rms_norm", 1, "mamba_rms_norm"},
      {"Zamba2ForCausalLM", "num_mem_blocks", 0, "shared_block_count"},
      {"Zamba2ForCausalLM", "num_mem_blocks", kTwo31, "shared_block_count"},
      {"Zamba2ForCausalLM", "adapter_rank", 0, "adapter_rank"},
      {"Zamba2ForCausalLM", "layers_block_type", Json{"hybrid", "mamba"}, "layers_block_type"},  // of 3 layers
      {"Zamba2ForCausalLM", "layers_block_type", Json{"hybrid", "mamba", "attention"}, "layers_block_type"},
      {"Zamba2ForCausalLM", "layers_block_type", Json(), "layers_block_type"},  // the class's own has 54
      {"Zamba2ForCausalLM", "n_mamba_heads", 3, "n_mamba_heads"},
      {"Zamba2ForCausalLM", "mamba_ngroups", 0, "ssm.group_count"},
      {"Zamba2ForCausalLM", "hidden_act", "silu", "hidden_act"},
      {"Zamba2ForCausalLM", "use_long_context", true, "use_long_context"},
      {"Lfm2ForCausalLM", "conv_L_cache", 0, "shortconv.l_cache"},
      {"Lfm2ForCausalLM", "conv_L_cache", kTwo31, "shortconv.l_cache"},
      {"Lfm2ForCausalLM", "conv_L_cache", "3", "conv_L_cache"},
      {"Lfm2ForCausalLM", "conv_bias", 1, "conv_bias"},
      {"Lfm2ForCausalLM", "layer_types", Json{"conv"}, "layer_types"},  // of 2 layers
      {"Lfm2ForCausalLM", "layer_types", Json{"conv", "sliding_attention"}, "layer_types"},
      {"Lfm2ForCausalLM", "layer_types", "conv", "layer_types"},
      {"Lfm2ForCausalLM", "block_multiple_of", 0, "block_multiple_of"},
      {"Lfm2ForCausalLM", "block_ffn_dim_multiplier", 1e300, "block_ffn_dim_multiplier"},
      {"Lfm2ForCausalLM", "block_ffn_dim_multiplier", -1.0, "block_ffn_dim_multiplier"},
      {"Lfm2ForCausalLM", "block_ff_dim", 0, "block_ff_dim"},
      {"Lfm2MoeForCausalLM", "num_dense_layers", 3, "leading_dense_block_count"},  // of 2 layers
      {"Lfm2MoeForCausalLM", "num_dense_layers", -1, "leading_dense_block_count"},
      {"Lfm2MoeForCausalLM", "num_experts_per_tok", 9, "expert_used_count"},  // of 8
      {"Lfm2MoeForCausalLM", "routed_scaling_factor", 0.0, "expert_weights_scale"},
      {"Lfm2MoeForCausalLM", "use_expert_bias", "yes", "use_expert_bias"},
      {"MambaForCausalLM", "state_size", 0, "ssm.state_size"},
      {"MambaForCausalLM", "state_size", 257, "ssm.state_size"},
      {"MambaForCausalLM", "state_size", kTwo31, "ssm.state_size"},
      {"MambaForCausalLM", "state_size", 1.5, "state_size"},
      {"MambaForCausalLM", "conv_kernel", 0, "ssm.conv_kernel"},
      {"MambaForCausalLM", "conv_kernel", 33, "ssm.conv_kernel"},
      {"MambaForCausalLM", "conv_kernel", kTwo31, "ssm.conv_kernel"},
      {"MambaForCausalLM", "time_step_rank", 0, "ssm.time_step_rank"},
      {"MambaForCausalLM", "time_step_rank", kTwo31, "ssm.time_step_rank"},
      {"MambaForCausalLM", "time_step_rank", "automatic", "time_step_rank"},
      {"MambaForCausalLM", "time_step_rank", Json::array({3}), "time_step_rank"},
      {"MambaForCausalLM", "expand", 0, "expand"},
      {"MambaForCausalLM", "expand", -2, "expand"},
      {"MambaForCausalLM", "expand", 1e300, "expand"},
      {"MambaForCausalLM", "expand", "2", "expand"},
      {"MambaForCausalLM", "hidden_size", INT64_MAX, "expand"},
      {"MambaForCausalLM", "hidden_size", 0, "expand"},
      {"MambaForCausalLM", "hidden_act", "gelu", "hidden_act"},
      {"MambaForCausalLM", "use_conv_bias", 1, "use_conv_bias"},
      {"MambaForCausalLM", "layer_norm_epsilon", -1.0, "layer_norm_rms_epsilon"},
      {"MambaForCausalLM", "num_hidden_layers", 0, "block_count"},
      {"RecurrentGemmaForCausalLM", "block_types", Json::array(), "block_types"},
      {"RecurrentGemmaForCausalLM", "block_types", Json{"recurrent", "mamba"}, "block_types"},
      {"RecurrentGemmaForCausalLM", "block_types", Json{1, 2}, "block_types"},
      {"RecurrentGemmaForCausalLM", "block_types", "recurrent", "block_types"},
      {"RecurrentGemmaForCausalLM", "lru_width", 0, "rglru.width"},
      {"RecurrentGemmaForCausalLM", "lru_width", 63, "rglru.width"},  // of 2 heads
      {"RecurrentGemmaForCausalLM", "lru_width", kTwo31, "rglru.width"},
      {"RecurrentGemmaForCausalLM", "conv1d_width", 0, "rglru.conv_kernel"},
      {"RecurrentGemmaForCausalLM", "conv1d_width", kTwo31, "rglru.conv_kernel"},
      {"RecurrentGemmaForCausalLM", "attention_window_size", 0, "attention.sliding_window"},
      {"RecurrentGemmaForCausalLM", "logits_soft_cap", -1.0, "final_logit_softcapping"},
      {"RecurrentGemmaForCausalLM", "hidden_activation", "silu", "hidden_activation"},
      {"JambaForCausalLM", "attn_layer_period", 0, "attn_layer_period"},
      {"JambaForCausalLM", "attn_layer_offset", 2, "attn_layer_offset"},
      {"JambaForCausalLM", "attn_layer_offset", -1, "attn_layer_offset"},
      {"JambaForCausalLM", "expert_layer_period", -1, "expert_layer_period"},
      {"JambaForCausalLM", "expert_layer_offset", "0", "expert_layer_offset"},
      {"JambaForCausalLM", "num_experts_per_tok", 5, "expert_used_count"},  // of 4
      {"JambaForCausalLM", "mamba_d_state", 0, "ssm.state_size"},
      {"JambaForCausalLM", "mamba_d_state", kTwo31, "ssm.state_size"},
      {"JambaForCausalLM", "mamba_d_conv", 0, "ssm.conv_kernel"},
      {"JambaForCausalLM", "mamba_expand", 0, "mamba_expand"},
      {"JambaForCausalLM", "mamba_dt_rank", "all", "mamba_dt_rank"},
      {"JambaForCausalLM", "mamba_dt_rank", 0, "ssm.time_step_rank"},
      {"JambaForCausalLM", "mamba_proj_bias", 1, "mamba_proj_bias"},
      {"FalconMambaForCausalLM", "mixer_rms_eps", -1e-6, "dt_b_c_rms_epsilon"},
      {"FalconMambaForCausalLM", "mixer_rms_eps", "1e-6", "mixer_rms_eps"},
  };
  const Scratch scratch;
  OpenOptions options;
  options.random_seed = 1;
  for (const Refused& c : cases) {
    const HfClass* found = nullptr;
    const Architecture* a = find_hf_architecture(Json{{"architectures", {c.hf_class}}}, found);
    ASSERT_NE(a, nullptr) << c.hf_class;
    Json json = Json::parse(a->tiny);
    json["architectures"] = Json::array({c.hf_class});
    json[c.key] = c.value;
    const std::string what = std::string(c.hf_class) + ": " + c.key + " = " + c.value.dump();
    try {
      open_model(scratch.write("config.json", json.dump()), options);
      ADD_FAILURE() << what << ": was opened";
    } catch (const Error& e) {
      const std::string message = e.what();
      EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << what << ": " << message;
      EXPECT_NE(message.find(c.named), std::string::npos) << what << ": " << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << what << ": " << message;
      EXPECT_EQ(message.find("does not fit together"), std::string::npos) << what << ": " << message;
    }
  }
}

}  // namespace
}  // namespace godwit
