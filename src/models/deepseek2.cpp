// DeepSeek-V2 and DeepSeek-V3 (Kimi K2 with it): latent attention, first layers dense, then mixtures with shared
// experts and groups. Sources: DeepSeek-V2 (2024), section 2; DeepSeek-V3 (2024), section 2.1.
#include "base/error.h"
#include "base/text.h"
#include "models/latent.h"
#include "models/mixture.h"

namespace godwit::deepseek2 {

bool is_v3(const Config& c) { return c.integer("expert_gating_func", 1) == 2; }

void from_hf(const HfConfig& hf, Config& c) {
  latent_from_hf(hf, c);
  experts_from_hf(hf, c);
  groups_from_hf(hf, c);
  const bool v2 = hf.has("topk_method") && hf.text("topk_method", "") != "noaux_tc";
  c.set("expert_gating_func", v2 ? int64_t{1} : int64_t{2});
  if (!v2) return;
  const std::string method = hf.text("topk_method", "");
  if (method != "greedy" && method != "group_limited_greedy")
    invalid("{}: key topk_method: {} is not known, expected greedy, group_limited_greedy or noaux_tc", hf.source,
            quoted(method));
  c.set("expert_weights_norm", false);
  c.set("rope.interleaved", true);
  const bool groups = method != "greedy" && hf.has("n_group");
  c.set("expert_group_count", groups ? hf.integer("n_group") : int64_t{1});
  c.set("expert_group_used_count", groups ? hf.integer("topk_group") : int64_t{1});
  if (groups) c.set("expert_group_best", true);
}

void to_hf(const Config& c, Json& hf) {
  latent_to_hf(c, hf);
  experts_to_hf(c, hf, "n_routed_experts");
  groups_to_hf(c, hf);
  const bool v3 = is_v3(c);
  hf["architectures"] = Json::array({v3 ? "DeepseekV3ForCausalLM" : "DeepseekV2ForCausalLM"});
  hf["model_type"] = v3 ? "deepseek_v3" : "deepseek_v2";
  if (v3) {
    hf["num_nextn_predict_layers"] = 0;
  } else {
    hf["topk_method"] = c.boolean("expert_group_best", false) ? "group_limited_greedy" : "greedy";
  }
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = latent_dimensions(c);
  Model model(c, w, {.norm_eps = d.eps});
  const LatentAttentionSpec attention = latent_from(c);
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff};
  MoeSpec moe = moe_from(c, d.d_model, d.d_ff, {.epsilon = 1e-20f});
  moe.selection_bias = moe.router.score == RouterScore::kSigmoid;
  for (bool sparse : expert_layers(c, d.n_layers)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    model.add(pre_norm(s, d.d_model, d.eps, std::make_unique<LatentAttention>(s, attention),
                       feed_forward(s, sparse, mlp, moe)));
  }
  return model;
}

TensorNames names() {
  std::vector<TensorName> more = latent_names();
  for (const TensorName& name : shared_names("mlp.shared_experts")) more.push_back(name);
  more.push_back({"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"});
  TensorNames names = mixture_names(expert_names("mlp", "gate_proj", "up_proj", "down_proj"), more);
  names.prediction_layers = true;
  return names;
}

const Architecture deepseek2{
    .name = "deepseek2",
    .hf_classes = {{"DeepseekV3ForCausalLM", "deepseek_v3", R"({"vocab_size":129280,"hidden_size":7168,
        "intermediate_size":18432,"moe_intermediate_size":2048,"num_hidden_layers":61,"num_attention_heads":128,
        "n_shared_experts":1,"default_experts":256,"routed_scaling_factor":2.5,"kv_lora_rank":512,"q_lora_rank":1536,
        "qk_rope_head_dim":64,"v_head_dim":128,"qk_nope_head_dim":128,"n_group":8,"topk_group":4,
        "num_experts_per_tok":8,"first_k_dense_replace":3,"norm_topk_prob":true,"max_position_embeddings":4096,
        "rms_norm_eps":1e-6,"rope_theta":10000.0,"rope_interleave":true,"attention_bias":false,"mlp_bias":false,
        "topk_method":"noaux_tc"})"},
                   {"DeepseekV2ForCausalLM", "deepseek_v2", R"({"vocab_size":102400,"hidden_size":4096,
        "intermediate_size":11008,"moe_intermediate_size":1407,"num_hidden_layers":32,"num_attention_heads":32,
        "n_shared_experts":2,"default_experts":64,"routed_scaling_factor":1.0,"kv_lora_rank":512,"q_lora_rank":1536,
        "qk_rope_head_dim":64,"v_head_dim":128,"qk_nope_head_dim":128,"topk_method":"greedy",
        "first_k_dense_replace":0,"max_position_embeddings":2048,"rms_norm_eps":1e-6,"rope_theta":10000.0,
        "attention_bias":false,"mlp_bias":false})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["DeepseekV3ForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "moe_intermediate_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":4,
        "q_lora_rank":32,"kv_lora_rank":64,"qk_nope_head_dim":32,"qk_rope_head_dim":16,"v_head_dim":32,
        "n_routed_experts":8,"num_experts_per_tok":2,"n_group":4,"topk_group":2,"first_k_dense_replace":1,
        "max_position_embeddings":2048})",
    .build = build};
const Registered registered{deepseek2};

}  // namespace godwit::deepseek2
