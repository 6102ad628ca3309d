#include "models/zamba.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

constexpr int64_t kMostZambaWidth = int64_t{1} << 20;
const LayerWords kZambaWords{{"hybrid"}, {"linear_attention", "mamba"}};
const StateSpaceKeys kZambaKeys{.heads = "n_mamba_heads",
                                .head_dim = "mamba_headdim",
                                .state = "mamba_d_state",
                                .groups = "mamba_ngroups",
                                .kernel = "mamba_d_conv",
                                .biased = "add_bias_linear",
                                .conv_biased = "mamba_conv_bias"};

// Those of the class where the file has no list.
std::vector<bool> zamba_layers(const HfConfig& hf, const Config& c) {
  if (hf.has("layers_block_type")) return layers_from_hf(hf, "layers_block_type", kZambaWords, c);
  std::vector<bool> attends(54);
  for (const size_t i : {6, 12, 18, 24, 30, 36, 42, 47, 51}) attends[i] = true;
  if (c.integer("block_count") != static_cast<int64_t>(attends.size()))
    invalid("{}: key layers_block_type: missing, as {} layers are not {}", hf.source, c.integer("block_count"),
            attends.size());
  return attends;
}

}  // namespace

void zamba_from_hf(const HfConfig& file, Config& c) {
  HfConfig hf = file;
  if (!hf.has("intermediate_size"))
    hf.json["intermediate_size"] = 4 * std::clamp(hf.integer("hidden_size"), int64_t{0}, kMostZambaWidth);
  for (const char* key : {"mamba_headdim", "mamba_conv_bias", "head_dim"}) hf.json.erase(key);  // nothing reads them
  if (const std::string act = hf.text("hidden_act", "gelu"); act != "gelu")
    invalid("{}: key hidden_act: expected gelu, got {}", hf.source, quoted(act));
  if (hf.boolean("use_long_context", false)) invalid("{}: key use_long_context: expected false, got true", hf.source);
  usual_from_hf(hf, c, /*silu=*/false);
  const int64_t heads = c.integer_in("attention.head_count", 1, 4096);
  c.set("attention.bias", false);  // whatever attention_bias says
  c.set("attention.key_length", 2 * c.integer_in("embedding_length", 1, kMostZambaWidth) / heads);
  c.set("attention.value_length", c.integer("attention.key_length"));
  whole_rope_from_hf(hf, c);
  c.set("rope.scaling.finetuned", hf.boolean("use_mem_rope", false));
  c.set("attention.adapters", hf.boolean("use_shared_attention_adapter", false));
  c.set("feed_forward.bias", hf.boolean("add_bias_linear", false));
  c.set("adapter_rank", hf.integer("adapter_rank"));
  c.set("shared_block_count", hf.integer("num_mem_blocks"));
  state_space_from_hf(hf, kZambaKeys, expanded_width(hf, "mamba_expand"), c);
  if (hf.real("time_step_min") != 0.0) c.set("ssm.time_step_min", hf.real("time_step_min"));
  set_attention_layers(zamba_layers(hf, c), c);
}

void zamba_to_hf(const Config& c, Json& hf) {
  const Config plain = as_attending(c);
  usual_to_hf(plain, hf);
  hf["architectures"] = Json::array({"Zamba2ForCausalLM"});
  hf["model_type"] = "zamba2";
  hf["hidden_act"] = "gelu";
  hf["rope_parameters"] = rope_to_hf(plain);
  state_space_to_hf(c, kZambaKeys, hf);
  expand_to_hf(c, "mamba_expand", hf);
  for (const char* key : {"mamba_conv_bias", "head_dim", "attention_bias"}) hf.erase(key);
  hf["time_step_min"] = c.real("ssm.time_step_min", 0.0);
  hf["use_mem_rope"] = c.boolean("rope.scaling.finetuned", true);
  hf["use_shared_attention_adapter"] = c.boolean("attention.adapters", false);
  hf["add_bias_linear"] = c.boolean("feed_forward.bias", false);
  hf["adapter_rank"] = c.integer("adapter_rank");
  hf["num_mem_blocks"] = c.integer("shared_block_count", 1);
  hf["layers_block_type"] = layers_to_hf(attention_layers(c), kZambaWords);
}

TensorNames zamba_names() {
  TensorNames n;
  n.model = {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.final_layernorm"}, {"output", "lm_head"}};
  n.layer = {{"attn_norm", "input_layernorm"}};
  for (const TensorName& name : mamba2_names("mamba")) n.layer.push_back(name);
  for (size_t i = 0, end = n.layer.size(); i < end; ++i) {
    TensorName both = n.layer[i];
    both.gguf = "hybrid_" + both.gguf;
    both.hf = "mamba_decoder." + both.hf;
    n.layer.push_back(both);
  }
  n.layer.push_back({"linear", "linear"});
  const std::string attention = "shared_transformer.self_attn.", mlp = "shared_transformer.feed_forward.";
  const std::vector<TensorName> shared = {{"shared_attn_norm", "shared_transformer.input_layernorm"},
                                          {"shared_ffn_norm", "shared_transformer.pre_ff_layernorm"},
                                          {"shared_attn_q", attention + "q_proj"},
                                          {"shared_attn_k", attention + "k_proj"},
                                          {"shared_attn_v", attention + "v_proj"},
                                          {"shared_attn_output", attention + "o_proj"},
                                          {"shared_ffn_gate_up", mlp + "gate_up_proj"},
                                          {"shared_ffn_down", mlp + "down_proj"}};
  n.layer.insert(n.layer.end(), shared.begin(), shared.end());
  for (int64_t place = 0; place < kMostZambaPlaces; ++place) {
    for (int64_t half = 0; half < 2; ++half) {
      const std::string number = fmt::format(".{}.{}", place, half);
      n.layer.push_back({"shared_ffn_adapter" + number, mlp + "gate_up_proj_adapter_list" + number});
      for (const std::string part : {"q", "k", "v"})
        n.layer.push_back(
            {"shared_attn_" + part + "_adapter" + number, attention + "linear_" + part + "_adapter_list" + number});
    }
  }
  return n;
}

}  // namespace godwit
