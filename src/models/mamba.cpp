// Mamba, and Falcon-Mamba, which norms dt, B and C: one mixer a layer, no feed-forward network. Source: Gu and Dao
// 2023; Zuo et al. 2024 (Falcon Mamba).
#include "models/mixer_stack.h"
#include "models/recurrent.h"
#include "models/state_space_keys.h"

namespace godwit::mamba {

void from_hf(const HfConfig& hf, Config& c) {
  mixer_stack_from_hf(hf, /*tied=*/true, c);
  // Falcon-Mamba's files have an expand that is not in use.
  c.set("ssm.inner_size", hf.has("intermediate_size") ? hf.integer("intermediate_size") : expanded_width(hf, "expand"));
  c.set("ssm.time_step_rank", time_step_rank(hf, "time_step_rank", hf.integer("hidden_size")));
  c.set("ssm.state_size", hf.integer("state_size"));
  c.set("ssm.conv_kernel", hf.integer("conv_kernel"));
  c.set("ssm.bias", hf.boolean("use_bias", false));
  c.set("ssm.conv_bias", hf.boolean("use_conv_bias", true));
  const bool norms = hf.boolean("norms_dt_b_c", false);  // by the class: its defaults
  c.set("ssm.dt_b_c_rms", norms);
  if (norms) c.set("ssm.dt_b_c_rms_epsilon", hf.real("mixer_rms_eps"));
}

void to_hf(const Config& c, Json& hf) {
  const bool norms = c.boolean("ssm.dt_b_c_rms", false);
  hf["architectures"] = Json::array({norms ? "FalconMambaForCausalLM" : "MambaForCausalLM"});
  hf["model_type"] = norms ? "falcon_mamba" : "mamba";
  mixer_stack_to_hf(c, hf);
  const int64_t inner = c.integer("ssm.inner_size");
  hf["intermediate_size"] = inner;
  hf["expand"] = expansion(inner, c.integer("embedding_length"));
  hf["time_step_rank"] = c.integer("ssm.time_step_rank");
  hf["state_size"] = c.integer("ssm.state_size");
  hf["conv_kernel"] = c.integer("ssm.conv_kernel");
  hf["use_bias"] = c.boolean("ssm.bias", false);
  hf["use_conv_bias"] = c.boolean("ssm.conv_bias", true);
  if (norms) hf["mixer_rms_eps"] = c.real("ssm.dt_b_c_rms_epsilon", 1e-6);
}

Model build(const Config& c, Weights& w) {
  Model model = mixer_stack(c, w);
  Mamba1Spec spec = mamba1_from(c, model.d_model());
  if (c.boolean("ssm.dt_b_c_rms", false)) spec.norm = ScanNorm::kPlain;
  spec.norm_eps = static_cast<float>(c.real_in("ssm.dt_b_c_rms_epsilon", 1e-6, 0.0, 1.0));  // Falcon-Mamba-7B's
  return with_mixers<Mamba1>(std::move(model), c, w, spec);
}

constexpr const char* kDefaults = R"({"vocab_size":50280,"hidden_size":768,"state_size":16,"num_hidden_layers":32,
    "layer_norm_epsilon":1e-5,"expand":2,"conv_kernel":4,"time_step_rank":"auto"})";
constexpr const char* kFalconDefaults = R"({"vocab_size":50280,"hidden_size":768,"state_size":16,
    "num_hidden_layers":32,"layer_norm_epsilon":1e-5,"expand":2,"conv_kernel":4,"time_step_rank":"auto",
    "mixer_rms_eps":1e-6,"norms_dt_b_c":true})";

const Architecture mamba{
    .name = "mamba",
    .hf_classes = {{"MambaForCausalLM", "mamba", kDefaults},
                   {"FalconMambaForCausalLM", "falcon_mamba", kFalconDefaults}},
    .names = mixer_stack_names(mamba1_names("mixer")),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["MambaForCausalLM"],"vocab_size":103,"hidden_size":32,"state_size":5,
        "num_hidden_layers":2,"time_step_rank":3})",
    .build = build};
const Registered registered{mamba};

}  // namespace godwit::mamba
