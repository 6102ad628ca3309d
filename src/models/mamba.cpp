// Mamba, and Falcon-Mamba, which norms dt, B and C: one mixer a layer, no feed-forward network. Source: Gu and Dao
// 2023; Zuo et al. 2024 (Falcon Mamba).
#include "base/error.h"
#include "base/text.h"
#include "models/recurrent.h"
#include "models/state_space_keys.h"

namespace godwit {
namespace {

constexpr int64_t kAnyLength = int64_t{1} << 20;  // as llama.cpp's converter has it

void from_hf(const HfConfig& hf, Config& c) {
  if (const std::string act = hf.text("hidden_act", "silu"); act != "silu" && act != "swish")
    invalid("{}: key hidden_act: expected silu, got {}", hf.source, quoted(act));
  const int64_t d = hf.integer("hidden_size");
  c.set("context_length", kAnyLength);
  c.set("embedding_length", d);
  c.set("block_count", hf.integer("num_hidden_layers"));
  c.set("vocab_size", hf.integer("vocab_size"));
  c.set("attention.layer_norm_rms_epsilon", hf.real("layer_norm_epsilon"));
  c.set("tie_embeddings", hf.boolean("tie_word_embeddings", true));
  c.set("ssm.inner_size", expanded_width(hf, "expand"));
  c.set("ssm.time_step_rank", time_step_rank(hf, "time_step_rank", d));
  c.set("ssm.state_size", hf.integer("state_size"));
  c.set("ssm.conv_kernel", hf.integer("conv_kernel"));
  c.set("ssm.bias", hf.boolean("use_bias", false));
  c.set("ssm.conv_bias", hf.boolean("use_conv_bias", true));
  const bool norms = hf.has("mixer_rms_eps");
  c.set("ssm.dt_b_c_rms", norms);
  if (norms) c.set("ssm.dt_b_c_rms_epsilon", hf.real("mixer_rms_eps"));
}

void to_hf(const Config& c, Json& hf) {
  const bool norms = c.boolean("ssm.dt_b_c_rms", false);
  hf["architectures"] = Json::array({norms ? "FalconMambaForCausalLM" : "MambaForCausalLM"});
  hf["model_type"] = norms ? "falcon_mamba" : "mamba";
  hf["hidden_size"] = c.integer("embedding_length");
  hf["intermediate_size"] = c.integer("ssm.inner_size");
  expand_to_hf(c, "expand", hf);
  hf["num_hidden_layers"] = c.integer("block_count");
  hf["vocab_size"] = c.integer("vocab_size");
  hf["layer_norm_epsilon"] = c.real("attention.layer_norm_rms_epsilon");
  hf["tie_word_embeddings"] = c.boolean("tie_embeddings", false);
  hf["time_step_rank"] = c.integer("ssm.time_step_rank");
  hf["state_size"] = c.integer("ssm.state_size");
  hf["conv_kernel"] = c.integer("ssm.conv_kernel");
  hf["use_bias"] = c.boolean("ssm.bias", false);
  hf["use_conv_bias"] = c.boolean("ssm.conv_bias", true);
  if (norms) hf["mixer_rms_eps"] = c.real("ssm.dt_b_c_rms_epsilon", 1e-6);
}

Model build(const Config& c, Weights& w) {
  const auto eps = static_cast<float>(c.real_in("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  Model model(c, w, {.norm_eps = eps});
  Mamba1Spec spec = mamba1_from(c, model.d_model());
  if (c.boolean("ssm.dt_b_c_rms", false)) spec.norm = ScanNorm::kPlain;
  spec.norm_eps = static_cast<float>(c.real_in("ssm.dt_b_c_rms_epsilon", 1e-6, 0.0, 1.0));  // Falcon-Mamba-7B's
  for (int64_t i = 0; i < c.integer_in("block_count", 1, 1024); ++i) {
    const Scope s = w.block(i);
    model.add(single(s, "attn_norm", spec.d_model, eps, std::make_unique<Mamba1>(s, spec)));
  }
  return model;
}

TensorNames names() {
  TensorNames n;
  n.model = {{"token_embd", "backbone.embeddings"}, {"output_norm", "backbone.norm_f"}, {"output", "lm_head"}};
  n.layer = mamba1_names("mixer");
  n.layer.push_back({"attn_norm", "norm"});
  n.hf_layers = "backbone.layers.";
  return n;
}

constexpr const char* kDefaults = R"({"vocab_size":50280,"hidden_size":768,"state_size":16,"num_hidden_layers":32,
    "layer_norm_epsilon":1e-5,"expand":2,"conv_kernel":4,"time_step_rank":"auto"})";
constexpr const char* kFalconDefaults = R"({"vocab_size":50280,"hidden_size":768,"state_size":16,
    "num_hidden_layers":32,"layer_norm_epsilon":1e-5,"expand":2,"conv_kernel":4,"time_step_rank":"auto",
    "mixer_rms_eps":1e-6})";

const Architecture mamba{
    .name = "mamba",
    .hf_classes = {{"MambaForCausalLM", "mamba", kDefaults},
                   {"FalconMambaForCausalLM", "falcon_mamba", kFalconDefaults}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["MambaForCausalLM"],"vocab_size":103,"hidden_size":32,"state_size":5,
        "num_hidden_layers":2,"time_step_rank":3})",
    .build = build};
const Registered registered{mamba};

}  // namespace
}  // namespace godwit
