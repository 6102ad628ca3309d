#include "models/nemotron.h"

#include <algorithm>

#include "blocks/gated_mlp.h"

namespace godwit {

bool has_layer(const std::vector<NemotronLayer>& kinds, NemotronLayer kind) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

std::vector<NemotronLayer> nemotron_layers(const Config& c) {
  const int64_t n = c.integer_in("block_count", 1, 1024);
  const std::vector<bool> attends = attention_layers(c), sparse = expert_layers(c, n);
  const std::vector<int64_t> widths = c.per_layer("feed_forward_length", n);
  if (std::holds_alternative<int64_t>(c.values.at(c.full_key("feed_forward_length"))))
    c.integer_in("feed_forward_length", 1, kMostChannels);  // of every layer: no layer is a mixer
  const bool experts = c.integer("expert_count", 0) != 0;
  std::vector<NemotronLayer> kinds;
  for (size_t i = 0; i < attends.size(); ++i)
    kinds.push_back(widths[i] != 0 ? experts && sparse[i] ? NemotronLayer::kExperts : NemotronLayer::kMlp
                    : attends[i]   ? NemotronLayer::kAttention
                                   : NemotronLayer::kStateSpace);
  return kinds;
}

int64_t nemotron_width(const Config& c, const std::vector<NemotronLayer>& kinds, NemotronLayer kind) {
  const std::vector<int64_t> widths = c.per_layer("feed_forward_length", static_cast<int64_t>(kinds.size()));
  const auto at = std::find(kinds.begin(), kinds.end(), kind);
  return at == kinds.end() ? 1 : widths[static_cast<size_t>(at - kinds.begin())];
}

Config nemotron_plain(const Config& c, const std::vector<NemotronLayer>& kinds) {
  Config p = as_attending(c);
  const char* rms = "attention.layer_norm_rms_epsilon";
  if (!c.has(rms)) p.set(rms, c.real("attention.layer_norm_epsilon"));
  p.set(
      "feed_forward_length",
      nemotron_width(c, kinds, has_layer(kinds, NemotronLayer::kMlp) ? NemotronLayer::kMlp : NemotronLayer::kExperts));
  return p;
}

MoeSpec nemotron_moe(const Config& c, const std::vector<NemotronLayer>& kinds, int64_t d_model) {
  MoeSpec moe = moe_from(c, d_model, nemotron_width(c, kinds, NemotronLayer::kExperts),
                         {.score = RouterScore::kSigmoid, .normalise = true, .epsilon = 1e-20f});
  moe.selection_bias = true;
  moe.activation = {Activation::kRelu2};
  moe.gated = false;
  moe.latent = c.integer_in("moe_latent_size", 0, 0, int64_t{1} << 20);
  moe.latent_biased = moe.shared_biased = c.boolean("feed_forward.bias", false);
  return moe;
}

Model nemotron_build(const Config& c, Weights& w) {
  const std::vector<NemotronLayer> kinds = nemotron_layers(c);
  const Dimensions d = dimensions(nemotron_plain(c, kinds));
  Model model(c, w, {.norm_eps = d.eps});
  const AttentionSpec attention = usual_attention(d, RopeSpec{}, c.boolean("attention.bias", false));
  const MlpSpec mlp{.d_model = d.d_model,
                    .d_ff = d.d_ff,
                    .activation = Activation::kRelu2,
                    .biased = c.boolean("feed_forward.bias", false),
                    .gated = false};
  const Mamba2Spec mamba2 =
      has_layer(kinds, NemotronLayer::kStateSpace) ? mamba2_from(c, d.d_model, d.eps) : Mamba2Spec{};
  const MoeSpec moe = has_layer(kinds, NemotronLayer::kExperts) ? nemotron_moe(c, kinds, d.d_model) : MoeSpec{};
  for (const NemotronLayer kind : kinds) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    std::unique_ptr<Block> block;
    if (kind == NemotronLayer::kStateSpace) block = std::make_unique<Mamba2>(s, mamba2);
    if (kind == NemotronLayer::kAttention) block = std::make_unique<Attention>(s, attention);
    if (kind == NemotronLayer::kMlp) block = std::make_unique<GatedMlp>(s, mlp);
    if (kind == NemotronLayer::kExperts) block = std::make_unique<Moe>(s, moe);
    model.add(single(s, "attn_norm", d.d_model, d.eps, std::move(block)));
  }
  return model;
}

TensorNames nemotron_names() {
  TensorNames n;
  n.model = {{"token_embd", "backbone.embeddings"}, {"output_norm", "backbone.norm_f"}, {"output", "lm_head"}};
  n.layer = mamba2_names("mixer");
  const std::vector<TensorName> plain = {{"attn_norm", "norm"},
                                         {"attn_q", "mixer.q_proj"},
                                         {"attn_k", "mixer.k_proj"},
                                         {"attn_v", "mixer.v_proj"},
                                         {"attn_output", "mixer.o_proj"},
                                         {"ffn_up", "mixer.up_proj"},
                                         {"ffn_down", "mixer.down_proj"},
                                         {"ffn_up_shexp", "mixer.shared_experts.up_proj"},
                                         {"ffn_down_shexp", "mixer.shared_experts.down_proj"},
                                         {"ffn_latent_down", "mixer.fc1_latent_proj"},
                                         {"ffn_latent_up", "mixer.fc2_latent_proj"},
                                         {"exp_probs_b.bias", "mixer.gate.e_score_correction_bias"}};
  n.layer.insert(n.layer.end(), plain.begin(), plain.end());
  std::vector<TensorName> experts = expert_names("mixer", "gate_proj", "up_proj", "down_proj");
  experts[1].hf_forms[1] = {.name = "mixer.experts.up_proj"};
  experts[2].hf_forms[1] = {.name = "mixer.experts.down_proj"};
  n.layer.insert(n.layer.end(), experts.begin() + 1, experts.end());
  n.hf_layers = "backbone.layers.";
  n.hf_root = "backbone.";
  n.hf_ignored.push_back("mtp.");
  return n;
}

}  // namespace godwit
