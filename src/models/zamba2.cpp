// Zamba2: Mamba-2 in every layer, in some after a transformer whose parameters few distinct ones share. Source: Zamba2
// (2024), section 2.
#include "base/error.h"
#include "base/text.h"
#include "blocks/rope_config.h"
#include "models/zamba.h"

namespace godwit::zamba2 {

constexpr float kGateEps = 1e-5f;  // of the norm in the mixer, whatever the model's is

SharedTransformerSpec transformer_from(const Config& c, const Dimensions& d) {
  const bool rotates = c.boolean("rope.scaling.finetuned", true);
  return {.d_model = d.d_model,
          .d_ff = d.d_ff,
          .n_heads = d.n_heads,
          .n_kv_heads = d.n_kv_heads,
          .head_dim = d.head_dim,
          .rope = rotates ? rope_from(c, d.head_dim, /*interleaved=*/false) : RopeSpec{},
          .eps = d.eps,
          .rank = c.integer_in("adapter_rank", 1, int64_t{1} << 20),
          .adapted_heads = c.boolean("attention.adapters", false),
          .biased = c.boolean("feed_forward.bias", false)};
}

// The transformer of place `place` of those that have one; its parameters are those of layer `owner`.
Zamba2Layer::Transformer transformer(Weights& w, const SharedTransformerSpec& spec, int64_t owner, int64_t layer,
                                     int64_t place) {
  const Scope shared(w, fmt::format("blk.{}.shared_", owner));
  return {.attn_norm = norm(shared, "attn_norm", 2 * spec.d_model, spec.eps),
          .attention = std::make_unique<SharedAttention>(shared, spec, place),
          .ffn_norm = norm(shared, "ffn_norm", spec.d_model, spec.eps),
          .ffn = std::make_unique<SharedMlp>(shared, spec, place),
          .linear = linear_weight(w.block(layer), "linear", spec.d_model, spec.d_model)};
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(as_attending(c));
  Model model(c, w, {.norm_eps = d.eps});
  const Mamba2Spec mamba2 = mamba2_from(c, d.d_model, kGateEps);
  const SharedTransformerSpec spec = transformer_from(c, d);
  const std::vector<bool> hybrid = attention_layers(c);
  const int64_t distinct = c.integer_in("shared_block_count", 1, 1, kMostZambaPlaces);
  std::vector<int64_t> places;  // the layers with a transformer, so far
  for (int64_t i = 0; i < d.n_layers; ++i) {
    const bool both = hybrid[static_cast<size_t>(i)];
    if (both) places.push_back(i);
    const auto place = static_cast<int64_t>(places.size()) - 1;
    if (place >= kMostZambaPlaces)
      c.refuse("attention.head_count_kv", fmt::format("at most {} layers that attend", kMostZambaPlaces), "more");
    const Scope s(w, fmt::format("blk.{}.{}", i, both ? "hybrid_" : ""));
    std::optional<Zamba2Layer::Transformer> before;
    if (both) before = transformer(w, spec, places[static_cast<size_t>(place % distinct)], i, place);
    model.add(std::make_unique<Zamba2Layer>(norm(s, "attn_norm", d.d_model, d.eps), std::make_unique<Mamba2>(s, mamba2),
                                            std::move(before)));
  }
  return model;
}

const Architecture zamba2{
    .name = "zamba2",
    .hf_classes = {{"Zamba2ForCausalLM", "zamba2", R"({"vocab_size":32000,"max_position_embeddings":4096,
        "hidden_size":2560,"num_hidden_layers":54,"mamba_d_state":64,"mamba_d_conv":4,"mamba_expand":2,
        "mamba_ngroups":1,"time_step_min":0.001,"n_mamba_heads":8,"hidden_act":"gelu","num_attention_heads":32,
        "num_mem_blocks":1,"adapter_rank":128,"rms_norm_eps":1e-5,"tie_word_embeddings":true,"rope_theta":10000.0})"}},
    .names = zamba_names(),
    .from_hf = zamba_from_hf,
    .to_hf = zamba_to_hf,
    .tiny = R"({"architectures":["Zamba2ForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":96,
        "num_hidden_layers":3,"layers_block_type":["hybrid","mamba","hybrid"],"num_attention_heads":4,
        "num_key_value_heads":2,"n_mamba_heads":4,"mamba_d_state":12,"mamba_ngroups":2,"adapter_rank":32,
        "use_mem_rope":true,"use_shared_attention_adapter":true,"max_position_embeddings":2048})",
    .build = build};
const Registered registered{zamba2};

}  // namespace godwit::zamba2
