// Jamba: Mamba-1 with norms of dt, B and C, attention without positions in every so many layers, and a mixture in every
// so many. Source: Lieber et al. 2024.
#include "blocks/attention.h"
#include "models/mixture.h"
#include "models/recurrent.h"
#include "models/state_space_keys.h"

namespace godwit::jamba {

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c);
  experts_from_hf(hf, c);
  const int64_t n = dimensions(c).n_layers, d = c.integer("embedding_length");
  set_attention_layers(turns_from_hf(hf, "attn", n), c);
  std::vector<bool> sparse = turns_from_hf(hf, "expert", n);
  if (c.integer("expert_count") == 1) sparse.assign(sparse.size(), false);
  c.set("moe_layers", sparse);
  c.set("ssm.inner_size", expanded_width(hf, "mamba_expand"));
  c.set("ssm.time_step_rank", time_step_rank(hf, "mamba_dt_rank", d));
  c.set("ssm.state_size", hf.integer("mamba_d_state"));
  c.set("ssm.conv_kernel", hf.integer("mamba_d_conv"));
  c.set("ssm.bias", hf.boolean("mamba_proj_bias", false));
  c.set("ssm.conv_bias", hf.boolean("mamba_conv_bias", true));
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(as_attending(c), hf);
  experts_to_hf(c, hf, "num_experts");
  hf.erase("attention_bias");
  hf["architectures"] = Json::array({"JambaForCausalLM"});
  hf["model_type"] = "jamba";
  turns_to_hf(attention_layers(c), "attn", c.source, hf);
  if (c.has("moe_layers")) turns_to_hf(expert_layers(c, c.integer("block_count")), "expert", c.source, hf);
  hf["mamba_expand"] = expansion(c.integer("ssm.inner_size"), c.integer("embedding_length"));
  hf["mamba_dt_rank"] = c.integer("ssm.time_step_rank");
  hf["mamba_d_state"] = c.integer("ssm.state_size");
  hf["mamba_d_conv"] = c.integer("ssm.conv_kernel");
  hf["mamba_proj_bias"] = c.boolean("ssm.bias", false);
  hf["mamba_conv_bias"] = c.boolean("ssm.conv_bias", true);
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(as_attending(c));
  Model model(c, w, {.norm_eps = d.eps});
  const AttentionSpec attention = usual_attention(d, {});
  Mamba1Spec mamba = mamba1_from(c, d.d_model);
  mamba.norm = ScanNorm::kGains;
  mamba.norm_eps = d.eps;
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  const std::vector<bool> attends = attention_layers(c);
  // llama.cpp's files have no list: a layer with a router has experts.
  const std::vector<bool> sparse = c.has("moe_layers") ? expert_layers(c, d.n_layers) : std::vector<bool>();
  const int64_t n_experts = c.integer_in("expert_count", 0, 0, kMostExperts);
  for (size_t i = 0; i < attends.size(); ++i) {
    const Scope s = w.block(static_cast<int64_t>(i));
    std::unique_ptr<Block> mixer;
    if (attends[i]) {
      mixer = std::make_unique<Attention>(s, attention);
    } else {
      mixer = std::make_unique<Mamba1>(s, mamba);
    }
    const bool experts =
        sparse.empty() ? n_experts > 0 && !s.find("ffn_gate_inp.weight", {n_experts, d.d_model}).empty() : sparse[i];
    const MoeSpec moe = experts ? moe_from(c, d.d_model, d.d_ff, {}) : MoeSpec{};
    model.add(pre_norm(s, d.d_model, d.eps, std::move(mixer), feed_forward(s, experts, mlp, moe)));
  }
  return model;
}

TensorNames names() {
  std::vector<TensorName> list = expert_names("feed_forward", "gate_proj", "up_proj", "down_proj");
  list[0].hf_forms[1].name = list[1].hf_forms[1].name = "feed_forward.experts.gate_up_proj";
  list[2].hf_forms[1].name = "feed_forward.experts.down_proj";
  list[3].hf_forms = {{.name = "feed_forward.router.weight"}};
  std::vector<TensorName> more = mamba1_names("mamba");
  for (const TensorName& name : std::vector<TensorName>{{"output_norm", "model.final_layernorm"},
                                                        {"ffn_norm", "pre_ff_layernorm"},
                                                        {"ffn_gate", "feed_forward.gate_proj"},
                                                        {"ffn_up", "feed_forward.up_proj"},
                                                        {"ffn_down", "feed_forward.down_proj"},
                                                        {"ssm_dt_norm", "mamba.dt_layernorm"},
                                                        {"ssm_b_norm", "mamba.b_layernorm"},
                                                        {"ssm_c_norm", "mamba.c_layernorm"}})
    more.push_back(name);
  return mixture_names(list, more);
}

const Architecture jamba{
    .name = "jamba",
    .hf_classes = {{"JambaForCausalLM", "jamba", R"({"vocab_size":65536,"hidden_size":4096,"intermediate_size":14336,
        "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"rms_norm_eps":1e-6,
        "max_position_embeddings":262144,"num_experts_per_tok":2,"default_experts":16,"expert_layer_period":2,
        "expert_layer_offset":1,"attn_layer_period":8,"attn_layer_offset":4,"mamba_d_state":16,"mamba_d_conv":4,
        "mamba_expand":2,"mamba_dt_rank":"auto"})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["JambaForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":64,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"num_experts":4,"attn_layer_period":2,
        "attn_layer_offset":1,"expert_layer_offset":0,"mamba_d_state":8,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{jamba};

}  // namespace godwit::jamba
