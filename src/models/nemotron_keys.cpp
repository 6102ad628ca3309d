// Keys of Nemotron-H: config.json to GGUF's vocabulary and back.
#include "base/error.h"
#include "base/text.h"
#include "models/nemotron.h"

namespace godwit {
namespace {

const StateSpaceKeys kNemotronKeys{.heads = "mamba_num_heads",
                                   .head_dim = "mamba_head_dim",
                                   .state = "ssm_state_size",
                                   .groups = "n_groups",
                                   .kernel = "conv_kernel",
                                   .biased = "use_bias",
                                   .conv_biased = "use_conv_bias"};

void set_kinds(const std::vector<NemotronLayer>& kinds, int64_t d_ff, Config& c) {
  c.set("block_count", static_cast<int64_t>(kinds.size()));
  std::vector<bool> attends, sparse;
  std::vector<int64_t> widths;
  const int64_t expert_ff = c.integer("expert_feed_forward_length", 0);
  for (const NemotronLayer kind : kinds) {
    attends.push_back(kind == NemotronLayer::kAttention);
    sparse.push_back(kind == NemotronLayer::kExperts);
    widths.push_back(kind == NemotronLayer::kMlp ? d_ff : kind == NemotronLayer::kExperts ? expert_ff : 0);
  }
  set_attention_layers(attends, c);
  c.set("feed_forward_length", widths);
  if (has_layer(kinds, NemotronLayer::kExperts) && has_layer(kinds, NemotronLayer::kMlp)) c.set("moe_layers", sparse);
}

void experts_of(const HfConfig& hf, Config& c) {
  experts_from_hf(hf, c);
  c.integer_in("expert_count", 1, kMostExperts);
  c.integer_in("expert_feed_forward_length", 1, kMostChannels);
  groups_from_hf(hf, c);
  c.set("leading_dense_block_count", int64_t{0});
  c.set("expert_gating_func", int64_t{2});
  c.set("expert_weights_norm", hf.boolean("norm_topk_prob", true));
  c.set("expert_shared_feed_forward_length", hf.integer("moe_shared_expert_intermediate_size"));
  if (hf.has("moe_latent_size")) c.set("moe_latent_size", hf.integer("moe_latent_size"));
}

}  // namespace

void nemotron_from_hf(const HfConfig& file, Config& c) {
  HfConfig hf = file;
  constexpr std::pair<const char*, const char*> kOld[] = {{"mamba_n_groups", "n_groups"},
                                                          {"mamba_d_conv", "conv_kernel"},
                                                          {"mamba_dt_min", "time_step_min"},
                                                          {"mamba_conv_bias", "use_conv_bias"}};
  for (const auto& [old, now] : kOld)
    if (hf.has(old)) hf.json[now] = hf.json[old];
  if (const std::string act = hf.text("mlp_hidden_act", "relu2"); act != "relu2")
    invalid("{}: key mlp_hidden_act: expected relu2, got {}", hf.source, quoted(act));
  expect_silu(hf, "mamba_hidden_act");
  const std::vector<NemotronLayer> kinds = nemotron_layers_from_hf(hf);
  hf.json["rms_norm_eps"] = hf.real("layer_norm_epsilon");
  hf.json["num_hidden_layers"] = kinds.size();  // whatever the file says
  usual_from_hf(hf, c);
  const int64_t d_ff = c.integer_in("feed_forward_length", 1, kMostChannels);
  c.set("attention.bias", false);  // whatever attention_bias says
  c.set("tie_embeddings", false);  // the class has a head of its own, whatever tie_word_embeddings says
  state_space_from_hf(hf, kNemotronKeys, 0, c);
  if (hf.real("time_step_min") != 0.0) c.set("ssm.time_step_min", hf.real("time_step_min"));
  if (has_layer(kinds, NemotronLayer::kExperts)) experts_of(hf, c);
  set_kinds(kinds, d_ff, c);
}

void nemotron_to_hf(const Config& c, Json& hf) {
  const std::vector<NemotronLayer> kinds = nemotron_layers(c);
  usual_to_hf(nemotron_plain(c, kinds), hf);
  hf["architectures"] = Json::array({"NemotronHForCausalLM"});
  hf["model_type"] = "nemotron_h";
  hf["layer_norm_epsilon"] = hf["rms_norm_eps"];
  for (const char* key : {"rms_norm_eps", "num_hidden_layers"}) hf.erase(key);
  hf["mlp_bias"] = c.boolean("feed_forward.bias", false);
  hf["mlp_hidden_act"] = "relu2";
  state_space_to_hf(c, kNemotronKeys, hf);
  hf["time_step_min"] = c.real("ssm.time_step_min", 0.0);
  hf["layers_block_type"] = nemotron_layers_to_hf(kinds);
  if (!has_layer(kinds, NemotronLayer::kExperts)) return;
  groups_to_hf(c, hf);
  hf.erase("first_k_dense_replace");
  if (hf["n_shared_experts"].is_null()) hf["n_shared_experts"] = 0;  // this class takes no null
  hf["n_routed_experts"] = c.integer("expert_count");
  hf["num_experts_per_tok"] = c.integer("expert_used_count");
  hf["norm_topk_prob"] = c.boolean("expert_weights_norm", true);
  const MoeSpec moe = nemotron_moe(c, kinds, c.integer("embedding_length"));
  hf["moe_intermediate_size"] = moe.d_ff;
  hf["moe_shared_expert_intermediate_size"] = moe.shared_d_ff;
  if (moe.latent > 0) hf["moe_latent_size"] = moe.latent;
}

}  // namespace godwit
