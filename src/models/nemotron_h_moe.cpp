// Nemotron-H with experts: Nemotron 3. Source: NVIDIA Nemotron 3 (2025), section 2.
#include "models/nemotron.h"

namespace godwit::nemotron_h_moe {

constexpr const char* kExpertDefaults = R"("n_routed_experts":8,"n_shared_experts":1,"moe_intermediate_size":7688,
    "num_experts_per_tok":2,"moe_shared_expert_intermediate_size":7688,"routed_scaling_factor":1.0,"n_group":1,
    "topk_group":1,"first_k_dense_replace":0)";

const Architecture nemotron_h_moe{
    .name = "nemotron_h_moe",
    .hf_classes = {{"NemotronHForCausalLM", "nemotron_h", fmt::format("{{{},{}}}", kNemotronDefaults, kExpertDefaults),
                    nemotron_has_experts}},
    .names = nemotron_names(),
    .from_hf = nemotron_from_hf,
    .to_hf = nemotron_to_hf,
    .tiny = R"({"architectures":["NemotronHForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"mamba_num_heads":4,"mamba_head_dim":16,
        "ssm_state_size":12,"n_groups":2,"n_routed_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":32,
        "moe_shared_expert_intermediate_size":64,"moe_latent_size":32,"layers_block_type":["mamba","moe","attention"],
        "max_position_embeddings":2048})",
    .build = nemotron_build};
const Registered registered{nemotron_h_moe};

}  // namespace godwit::nemotron_h_moe
