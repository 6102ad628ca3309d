// Mamba-2: one mixer a layer, no feed-forward network. Source: Dao and Gu 2024.
#include "models/mixer_stack.h"
#include "models/state_space_keys.h"

namespace godwit::mamba2 {

const StateSpaceKeys kKeys{.heads = "num_heads",
                           .head_dim = "head_dim",
                           .state = "state_size",
                           .groups = "n_groups",
                           .kernel = "conv_kernel",
                           .biased = "use_bias",
                           .conv_biased = "use_conv_bias"};

void from_hf(const HfConfig& hf, Config& c) {
  mixer_stack_from_hf(hf, /*tied=*/false, c);
  state_space_from_hf(hf, kKeys, expanded_width(hf, "expand"), c);
  time_limits_from_hf(hf, c);
}

void to_hf(const Config& c, Json& hf) {
  hf["architectures"] = Json::array({"Mamba2ForCausalLM"});
  hf["model_type"] = "mamba2";
  mixer_stack_to_hf(c, hf);
  expand_to_hf(c, "expand", hf);
  state_space_to_hf(c, kKeys, hf);
  time_limits_to_hf(c, hf);
}

Model build(const Config& c, Weights& w) {
  Model model = mixer_stack(c, w);
  const Mamba2Spec spec = mamba2_from(c, model.d_model(), mixer_stack_eps(c));
  return with_mixers<Mamba2>(std::move(model), c, w, spec);
}

const Architecture mamba2{
    .name = "mamba2",
    .hf_classes = {{"Mamba2ForCausalLM", "mamba2", R"({"num_heads":128,"head_dim":64,"vocab_size":32768,
        "hidden_size":4096,"state_size":128,"num_hidden_layers":64,"layer_norm_epsilon":1e-5,"expand":2,
        "conv_kernel":4,"n_groups":8})"}},
    .names = mixer_stack_names(mamba2_names("mixer")),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Mamba2ForCausalLM"],"vocab_size":103,"hidden_size":32,"num_heads":4,"head_dim":16,
        "state_size":12,"num_hidden_layers":2,"n_groups":2})",
    .build = build};
const Registered registered{mamba2};

}  // namespace godwit::mamba2
