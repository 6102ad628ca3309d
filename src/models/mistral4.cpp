// Mistral Small 4: latent attention whose queries grow with their position, a softmax router, a shared expert.
// Source: the published model card and configuration (2026).
#include "models/latent.h"
#include "models/mixture.h"

namespace godwit::mistral4 {

void from_hf(const HfConfig& hf, Config& c) {
  latent_from_hf(hf, c);
  experts_from_hf(hf, c);
  groups_from_hf(hf, c);
  c.set("expert_gating_func", int64_t{1});
  const HfConfig rope(hf.has("rope_parameters") ? hf.json["rope_parameters"] : Json::object(), hf.source);
  if (!rope.has("llama_4_scaling_beta")) return;
  c.set("attention.temperature_scale", rope.real("llama_4_scaling_beta"));
  c.set("attention.temperature_length", rope.integer("original_max_position_embeddings"));
}

void to_hf(const Config& c, Json& hf) {
  latent_to_hf(c, hf);
  experts_to_hf(c, hf, "n_routed_experts");
  groups_to_hf(c, hf);
  hf["architectures"] = Json::array({"Mistral4ForCausalLM"});
  hf["model_type"] = "mistral4";
  const LatentAttentionSpec spec = latent_from(c);
  hf["head_dim"] = spec.nope_dim + spec.rope_dim;
  Json& rope = hf["rope_parameters"];
  rope["partial_rotary_factor"] =
      static_cast<double>(spec.rope_dim) / static_cast<double>(spec.nope_dim + spec.rope_dim);
  // The class reads both keys always; 0 leaves queries alone.
  rope["llama_4_scaling_beta"] = spec.temperature.beta;
  if (spec.temperature.beta != 0.0) rope["original_max_position_embeddings"] = spec.temperature.length;
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = latent_dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  const LatentAttentionSpec attention = latent_from(c);
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  const MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.epsilon = 1e-20f});
  for (bool sparse : expert_layers(c, d.n_layers)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<LatentAttention>(s, attention),
                       feed_forward(s, sparse, mlp, moe)));
  }
  return model;
}

TensorNames names() {
  std::vector<TensorName> experts = expert_names("mlp", "gate_proj", "up_proj", "down_proj");
  for (size_t i = 0; i < 3; ++i) std::swap(experts[i].hf_forms[0], experts[i].hf_forms[1]);  // its files are stacked
  std::vector<TensorName> more = latent_names();
  for (const TensorName& name : shared_names("mlp.shared_experts")) more.push_back(name);
  return mixture_names(experts, more);
}

const Architecture mistral4{
    .name = "mistral4",
    .hf_classes = {{"Mistral4ForCausalLM", "mistral4", R"({"vocab_size":131072,"hidden_size":4096,
        "intermediate_size":12288,"moe_intermediate_size":2048,"num_hidden_layers":36,"num_attention_heads":32,
        "n_shared_experts":1,"default_experts":128,"routed_scaling_factor":1.0,"kv_lora_rank":256,"q_lora_rank":1024,
        "qk_rope_head_dim":64,"v_head_dim":128,"qk_nope_head_dim":64,"n_group":1,"topk_group":1,
        "num_experts_per_tok":4,"first_k_dense_replace":0,"norm_topk_prob":true,"max_position_embeddings":1048576,
        "rms_norm_eps":1e-6,"rope_theta":10000.0,"rope_interleave":true,"attention_bias":false,"mlp_bias":false,
        "rope_parameters":{"rope_type":"yarn","rope_theta":10000.0,"factor":128.0,
        "original_max_position_embeddings":8192,"beta_fast":32.0,"beta_slow":1.0,"mscale":1.0,"mscale_all_dim":1.0,
        "llama_4_scaling_beta":0.1}})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Mistral4ForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "moe_intermediate_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":4,
        "q_lora_rank":32,"kv_lora_rank":64,"qk_nope_head_dim":32,"qk_rope_head_dim":16,"v_head_dim":32,
        "n_routed_experts":8,"num_experts_per_tok":2,"max_position_embeddings":2048,
        "rope_parameters":{"rope_type":"yarn","rope_theta":10000.0,"factor":32.0,
        "original_max_position_embeddings":64,"mscale":1.0,"mscale_all_dim":1.0,"llama_4_scaling_beta":0.1}})",
    .build = build};
const Registered registered{mistral4};

}  // namespace godwit::mistral4
