// Mamba-2: one mixer a layer, no feed-forward network. Source: Dao and Gu 2024.
#include "blocks/mamba2.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "models/architecture.h"
#include "models/hf_config.h"

namespace godwit {
namespace {

constexpr int64_t kAnyLength = int64_t{1} << 20;  // as llama.cpp's converter has it

/// A limit of time steps: a number, or infinity as {"__float__": "Infinity"}.
double limit(const HfConfig& hf, size_t i) {
  const Json& list = hf.json["time_step_limit"];
  if (list.is_array() && list.size() == 2) {
    if (list[i].is_number()) return list[i].get<double>();
    if (list[i].is_object() && list[i].contains("__float__") && list[i]["__float__"] == "Infinity") return INFINITY;
  }
  invalid("{}: key time_step_limit: expected two numbers, got {}", hf.source, printable(list.dump(), 100));
}

void from_hf(const HfConfig& hf, Config& c) {
  if (const std::string act = hf.text("hidden_act", "silu"); act != "silu" && act != "swish")
    invalid("{}: key hidden_act: expected silu, got {}", hf.source, quoted(act));
  const int64_t heads = hf.integer("num_heads"), head_dim = hf.integer("head_dim"), d = hf.integer("hidden_size");
  int64_t inner = 0;
  if (heads < 1 || head_dim < 1 || __builtin_mul_overflow(heads, head_dim, &inner) ||
      static_cast<double>(inner) != std::floor(hf.real("expand") * static_cast<double>(d)))
    invalid("{}: key num_heads: expected num_heads * head_dim == expand * hidden_size, got {} * {} and {} * {}",
            hf.source, heads, head_dim, hf.real("expand"), d);
  c.set("context_length", kAnyLength);
  c.set("embedding_length", d);
  c.set("block_count", hf.integer("num_hidden_layers"));
  c.set("vocab_size", hf.integer("vocab_size"));
  c.set("attention.layer_norm_rms_epsilon", hf.real("layer_norm_epsilon"));
  c.set("tie_embeddings", hf.boolean("tie_word_embeddings", false));
  c.set("ssm.inner_size", inner);
  c.set("ssm.time_step_rank", heads);
  c.set("ssm.state_size", hf.integer("state_size"));
  c.set("ssm.group_count", hf.integer("n_groups"));
  c.set("ssm.conv_kernel", hf.integer("conv_kernel"));
  c.set("ssm.bias", hf.boolean("use_bias", false));
  c.set("ssm.conv_bias", hf.boolean("use_conv_bias", true));
  if (!hf.has("time_step_limit")) return;
  if (limit(hf, 0) != 0.0) c.set("ssm.time_step_min", limit(hf, 0));
  if (std::isfinite(limit(hf, 1))) c.set("ssm.time_step_max", limit(hf, 1));
}

void to_hf(const Config& c, Json& hf) {
  hf["architectures"] = Json::array({"Mamba2ForCausalLM"});
  hf["model_type"] = "mamba2";
  const int64_t inner = c.integer("ssm.inner_size"), heads = c.integer("ssm.time_step_rank"),
                d = c.integer("embedding_length");
  hf["hidden_size"] = d;
  hf["expand"] = static_cast<double>(inner) / static_cast<double>(d);
  if (inner % d == 0) hf["expand"] = inner / d;
  hf["num_heads"] = heads;
  hf["head_dim"] = inner / heads;
  hf["num_hidden_layers"] = c.integer("block_count");
  hf["vocab_size"] = c.integer("vocab_size");
  hf["layer_norm_epsilon"] = c.real("attention.layer_norm_rms_epsilon");
  hf["tie_word_embeddings"] = c.boolean("tie_embeddings", false);
  hf["state_size"] = c.integer("ssm.state_size");
  hf["n_groups"] = c.integer("ssm.group_count", 1);
  hf["conv_kernel"] = c.integer("ssm.conv_kernel");
  hf["use_bias"] = c.boolean("ssm.bias", false);
  hf["use_conv_bias"] = c.boolean("ssm.conv_bias", true);
  Json high;
  if (c.has("ssm.time_step_max")) {
    high = c.real("ssm.time_step_max");
  } else {
    high["__float__"] = "Infinity";
  }
  hf["time_step_limit"] = Json::array({c.real("ssm.time_step_min", 0.0), high});
}

Model build(const Config& c, Weights& w) {
  const auto eps = static_cast<float>(c.real_in("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  Model model(c, w, {.norm_eps = eps});
  Mamba2Spec spec{.d_model = model.d_model(),
                  .taps = c.integer_in("ssm.conv_kernel", 1, kMostTaps),
                  .biased = c.boolean("ssm.bias", false),
                  .conv_biased = c.boolean("ssm.conv_bias", true),
                  .eps = eps};
  const int64_t inner = c.integer_in("ssm.inner_size", 1, int64_t{1} << 22);
  spec.ssd.heads = c.integer_in("ssm.time_step_rank", 1, inner);
  if (inner % spec.ssd.heads != 0)
    c.refuse("ssm.time_step_rank", fmt::format("a divisor of {}", inner), std::to_string(spec.ssd.heads));
  spec.ssd.head_dim = inner / spec.ssd.heads;
  spec.ssd.d_state = c.integer_in("ssm.state_size", 1, 4096);
  spec.ssd.groups = c.integer_in("ssm.group_count", 1, 1, spec.ssd.heads);
  if (spec.ssd.heads % spec.ssd.groups != 0)
    c.refuse("ssm.group_count", fmt::format("a divisor of the {} heads", spec.ssd.heads),
             std::to_string(spec.ssd.groups));
  spec.ssd.dt_low = static_cast<float>(c.real("ssm.time_step_min", 0.0));
  spec.ssd.dt_high = c.has("ssm.time_step_max") ? static_cast<float>(c.real("ssm.time_step_max")) : INFINITY;
  for (int64_t i = 0; i < c.integer_in("block_count", 1, 1024); ++i) {
    const Scope s = w.block(i);
    model.add(single(s, "attn_norm", spec.d_model, eps, std::make_unique<Mamba2>(s, spec)));
  }
  return model;
}

TensorNames names() {
  TensorNames n;
  n.model = {{"token_embd", "backbone.embeddings"}, {"output_norm", "backbone.norm_f"}, {"output", "lm_head"}};
  n.layer = {{"attn_norm", "norm"},
             {"ssm_in", "mixer.in_proj"},
             {.gguf = "ssm_conv1d.weight", .hf = "mixer.conv1d.weight", .hf_row = true},
             {"ssm_conv1d", "mixer.conv1d"},
             {"ssm_dt.bias", "mixer.dt_bias"},
             {.gguf = "ssm_a", .hf = "mixer.A_log", .gguf_minus_exp = true, .hf_flat = true},
             {.gguf = "ssm_d", .hf = "mixer.D", .hf_flat = true},
             {.gguf = "ssm_norm", .hf = "mixer.norm", .hf_flat = true},
             {"ssm_out", "mixer.out_proj"}};
  n.hf_layers = "backbone.layers.";
  return n;
}

const Architecture mamba2{
    .name = "mamba2",
    .hf_classes = {{"Mamba2ForCausalLM", "mamba2", R"({"num_heads":128,"head_dim":64,"vocab_size":32768,
        "hidden_size":4096,"state_size":128,"num_hidden_layers":64,"layer_norm_epsilon":1e-5,"expand":2,
        "conv_kernel":4,"n_groups":8})"}},
    .names = names(),
    .from_hf = from_hf,
    .to_hf = to_hf,
    .tiny = R"({"architectures":["Mamba2ForCausalLM"],"vocab_size":103,"hidden_size":32,"num_heads":4,"head_dim":16,
        "state_size":12,"num_hidden_layers":2,"n_groups":2})",
    .build = build};
const Registered registered{mamba2};

}  // namespace
}  // namespace godwit
