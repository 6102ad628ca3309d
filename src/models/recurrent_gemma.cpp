// RecurrentGemma: Griffin's recurrence and attention to a window in turn, norms with gain 1 + w, scaled embedding.
// Source: De et al. 2024 (Griffin); Botev et al. 2024 (RecurrentGemma).
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "blocks/attention.h"
#include "blocks/gated_mlp.h"
#include "blocks/rg_lru.h"
#include "blocks/rope_config.h"
#include "models/recurrent.h"
#include "models/usual.h"
#include "tensor/float16.h"

namespace godwit::recurrent_gemma {

/// block_types, repeated, to the layers' flags: whether they recur.
std::vector<bool> recurrent_layers(const HfConfig& hf, int64_t n) {
  const Json& list = hf.json["block_types"];
  if (!list.is_array() || list.empty())
    invalid("{}: key block_types: expected a list of words, got {}", hf.source, printable(dump_json(list), 100));
  std::vector<bool> all;
  for (const Json& item : list) {
    const std::string word = item.is_string() ? item.get<std::string>() : item.dump();
    if (word != "recurrent" && word != "attention")
      invalid("{}: key block_types: {} is not known here, expected recurrent or attention", hf.source, quoted(word));
    all.push_back(word == "recurrent");
  }
  const size_t period = all.size();
  for (int64_t i = 0; i < n; ++i) all.push_back(all[static_cast<size_t>(i) % period]);
  return {all.begin() + static_cast<int64_t>(period), all.end()};
}

void from_hf(const HfConfig& hf, Config& c) {
  usual_from_hf(hf, c, /*silu=*/false);
  const std::string act = hf.text("hidden_activation", "gelu_pytorch_tanh");
  if (act != "gelu_pytorch_tanh")
    invalid("{}: key hidden_activation: expected gelu_pytorch_tanh, got {}", hf.source, quoted(act));
  c.set("feed_forward_length", hf.integer("intermediate_size") / 2);
  c.set("final_logit_softcapping", hf.real("logits_soft_cap"));
  // Two names of one value, of which transformers lets the second win.
  c.set("attention.sliding_window", hf.integer(hf.has("sliding_window") ? "sliding_window" : "attention_window_size"));
  c.set("rglru.width", hf.integer(hf.has("lru_width") ? "lru_width" : "hidden_size"));
  c.set("rglru.conv_kernel", hf.integer("conv1d_width"));
  c.set("rglru.layers", recurrent_layers(hf, c.integer_in("block_count", 1, 1024)));
  rope_from_hf(hf, c);
}

void to_hf(const Config& c, Json& hf) {
  usual_to_hf(c, hf);
  hf["architectures"] = Json::array({"RecurrentGemmaForCausalLM"});
  hf["model_type"] = "recurrent_gemma";
  hf["hidden_activation"] = "gelu_pytorch_tanh";
  hf["intermediate_size"] = 2 * c.integer("feed_forward_length");
  hf["logits_soft_cap"] = c.real("final_logit_softcapping");
  hf["attention_window_size"] = c.integer("attention.sliding_window");
  hf["lru_width"] = c.integer("rglru.width");
  hf["conv1d_width"] = c.integer("rglru.conv_kernel");
  hf["block_types"] = Json::array();
  for (const int64_t recurs : c.per_layer("rglru.layers", c.integer_in("block_count", 1, 1024)))
    hf["block_types"].push_back(recurs != 0 ? "recurrent" : "attention");
  hf["rope_parameters"] = rope_to_hf(c);
  const auto head_dim = static_cast<double>(c.integer("attention.key_length"));  // absent means a half
  hf["rope_parameters"]["partial_rotary_factor"] =
      static_cast<double>(c.integer("rope.dimension_count", c.integer("attention.key_length"))) / head_dim;
}

Model build(const Config& c, Weights& w) {
  const Dimensions d = dimensions(c);
  // The factor was a bfloat16 in training.
  const float scale = bf16_to_f32(f32_to_bf16(std::sqrt(static_cast<float>(d.d_model))));
  Model model(c, w,
              {.embedding_scale = scale,
               .norm_eps = d.eps,
               .norm_plus_one = true,
               .logit_softcap = static_cast<float>(c.real_in("final_logit_softcapping", 0.0, 1e30))});
  AttentionSpec attention = usual_attention(d, rope_from(c, d.head_dim, /*interleaved=*/false));
  attention.window = c.integer_in("attention.sliding_window", 1, int64_t{1} << 40);
  attention.biased = c.boolean("attention.bias", false);
  attention.output_biased = true;
  const RgLruSpec lru{.d_model = d.d_model,
                      .width = c.integer_in("rglru.width", 1, kMostChannels),
                      .heads = d.n_heads,
                      .taps = c.integer_in("rglru.conv_kernel", 1, kMostTaps)};
  if (lru.width % lru.heads != 0)
    c.refuse("rglru.width", fmt::format("a multiple of the {} heads", lru.heads), std::to_string(lru.width));
  const MlpSpec mlp{.d_model = d.d_model, .d_ff = d.d_ff, .activation = Activation::kGeluTanh, .biased = true};
  for (const int64_t recurs : c.per_layer("rglru.layers", d.n_layers)) {
    const Scope s = w.block(static_cast<int64_t>(model.layers().size()));
    std::unique_ptr<Block> mixer;
    if (recurs != 0) {
      mixer = std::make_unique<RgLru>(s, lru);
    } else {
      mixer = std::make_unique<Attention>(s, attention);
    }
    model.add(
        std::make_unique<ResidualLayer>(ResidualLayer::Parts{.mixer_norm = norm(s, "attn_norm", d.d_model, d.eps, true),
                                                             .mixer = std::move(mixer),
                                                             .ffn_norm = norm(s, "ffn_norm", d.d_model, d.eps, true),
                                                             .ffn = std::make_unique<GatedMlp>(s, mlp)}));
  }
  return model;
}

TensorNames names() {
  const auto gain = [](const char* gguf, const char* hf) {
    return TensorName{.gguf = gguf, .hf = hf, .gguf_plus_one = true};
  };
  std::vector<TensorName> list = rg_lru_names("temporal_block");
  for (const TensorName& name : std::vector<TensorName>{gain("output_norm", "model.final_norm"),
                                                        gain("attn_norm", "temporal_pre_norm"),
                                                        gain("ffn_norm", "channel_pre_norm"),
                                                        {"attn_q", "temporal_block.q_proj"},
                                                        {"attn_k", "temporal_block.k_proj"},
                                                        {"attn_v", "temporal_block.v_proj"},
                                                        {"attn_output", "temporal_block.o_proj"},
                                                        {"ffn_gate", "mlp_block.gate_proj"},
                                                        {"ffn_up", "mlp_block.up_proj"},
                                                        {"ffn_down", "mlp_block.down_proj"}})
    list.push_back(name);
  return usual_names(list);
}

const Architecture recurrent_gemma{
    .name = "recurrent_gemma",
    .hf_classes = {{"RecurrentGemmaForCausalLM", "recurrent_gemma", R"({"vocab_size":256000,"hidden_size":2560,
        "intermediate_size":7680,"num_hidden_layers":26,"num_attention_heads":10,"attention_window_size":2048,
        "conv1d_width":4,"logits_soft_cap":30.0,"rms_norm_eps":1e-6,"block_types":["recurrent","recurrent","attention"],
        "tie_word_embeddings":true,"rope_theta":10000.0,"partial_rotary_factor":0.5,
        "max_position_embeddings":1048576})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["RecurrentGemmaForCausalLM"],"vocab_size":103,"hidden_size":64,"intermediate_size":128,
        "num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"attention_window_size":40,
        "block_types":["recurrent","attention"]})",
    .build = build};
const Registered registered{recurrent_gemma};

}  // namespace godwit::recurrent_gemma
