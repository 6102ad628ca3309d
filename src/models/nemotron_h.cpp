// Nemotron-H: one mixer or one feed-forward network a layer. Source: Nemotron-H (2025), section 2.
#include "models/nemotron.h"

namespace godwit::nemotron_h {

const Architecture nemotron_h{
    .name = "nemotron_h",
    .hf_classes = {{"NemotronHForCausalLM", "nemotron_h", fmt::format("{{{}}}", kNemotronDefaults)}},
    .names = nemotron_names(),
    .from_hf = nemotron_from_hf,
    .to_hf = nemotron_to_hf,
    .tiny = R"({"architectures":["NemotronHForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"mamba_num_heads":4,"mamba_head_dim":16,
        "ssm_state_size":12,"n_groups":2,"layers_block_type":["mamba","mlp","attention"],
        "max_position_embeddings":2048})",
    .build = nemotron_build};
const Registered registered{nemotron_h};

}  // namespace godwit::nemotron_h
