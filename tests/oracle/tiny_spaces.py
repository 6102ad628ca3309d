"""The tiny models of make_tiny.py with state spaces, gated convolutions and linear recurrences, alone or
with attention.

Sequences are longer than the chunks of the recurrence: of 67 and 200 tokens, but 17 in most of the old style. Each
must at lengths 1 and 17 give what it gives for the first tokens of the whole prompt (make_tiny.py)."""
from transformers import (BambaConfig, BambaForCausalLM, FalconH1Config, FalconH1ForCausalLM, FalconMambaConfig,
                          FalconMambaForCausalLM, GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM, JambaConfig,
                          JambaForCausalLM, Lfm2Config, Lfm2ForCausalLM, Lfm2MoeConfig, Lfm2MoeForCausalLM,
                          Mamba2Config, Mamba2ForCausalLM, MambaConfig, MambaForCausalLM, NemotronHConfig,
                          NemotronHForCausalLM, RecurrentGemmaConfig, RecurrentGemmaForCausalLM, Zamba2Config,
                          Zamba2ForCausalLM)
from tiny_experts import zero
from tiny_models import NO_ROPE_SCALING, model, old_style, rope

INF = float("inf")


def parameter(name, noise, config):
    """Values of a parameter that other families do not have, or None: decays that remember 1 to 100 tokens."""
    last = name.rsplit(".", 1)[-1]
    if last == "A_log":
        return 1.2 * noise - 1.5
    if last == "D":
        return 0.8 * noise + 0.5
    if last == "dt_bias" or name.endswith("dt_proj.bias"):
        return noise - 0.5
    if last == "recurrent_param":
        return 1.3 * noise - 4.0
    if config.model_type == "recurrent_gemma":
        if "embed_tokens" in name:
            return noise / noise.shape[1] ** 0.5
        if "norm" in name:  # of what is added to 1
            return 0.3 * noise + (1.2 if "final_norm" in name else 0.0)
    if config.model_type == "zamba2" and "final_layernorm" in name:
        return noise  # of either sign, so that the tied embedding does not make every token predict itself
    if config.model_type == "zamba2" and any(part in name for part in ("q_proj", "k_proj", "linear", "adapter",
                                                                       "out_proj.weight")):
        return noise * (0.5 / noise.shape[1] ** 0.5)  # steeper ones amplify rounding beyond what a test can allow
    if "norm" in name and last == "weight":
        return 0.3 * noise + 1.0
    if name.endswith("embeddings.weight"):
        return noise * (2.5 / noise.shape[1] ** 0.5 if config.tie_word_embeddings else 1.0)
    return None


def space(name, classes, base, config, ablations=(), tokens=67, **further):
    model(name, classes, base, config, ablations, tokens=tokens, **further)


def old_style_of_spaces(c, *drop, **add):
    c.setdefault("rope_parameters", None)
    old_style(c, *[k for k in drop if k in c and k != "rope_parameters"], **add)


# Mamba-2
mamba2 = (Mamba2ForCausalLM, Mamba2Config)
MAMBA2 = dict(vocab_size=97, hidden_size=32, num_heads=4, head_dim=16, expand=2, state_size=8, n_groups=1,
              num_hidden_layers=3, chunk_size=8, conv_kernel=4, time_step_limit=[0.0, INF])
# transformers writes infinity as {"__float__": "Infinity"}
space("mamba2-plain", mamba2, MAMBA2, {},
      [zero("conv1d.bias"), zero(".D"), zero("A_log"), zero("dt_bias"), dict(time_step_limit=[0.1, 1.0]),
       dict(hidden_act="relu")])
space("mamba2-groups", mamba2, MAMBA2,
      dict(n_groups=2, use_bias=True, use_conv_bias=False, conv_kernel=3, hidden_size=36, head_dim=12, num_heads=6,
           state_size=5, chunk_size=256, time_step_limit=[0.15, 0.9], tie_word_embeddings=True,
           layer_norm_epsilon=1e-3, vocab_size=89),
      [zero("in_proj.bias"), zero("out_proj.bias"), dict(time_step_limit=[0.15, INF]),
       dict(time_step_limit=[0.0, 0.9]), dict(layer_norm_epsilon=1e-5)], tokens=200)
space("mamba2-oldstyle", mamba2, MAMBA2,
      dict(n_groups=8, num_heads=16, head_dim=4, num_hidden_layers=2, state_size=6, vocab_size=80), [zero("dt_bias")],
      rewrite=lambda c: old_style_of_spaces(c, "layer_norm_epsilon", "use_conv_bias", "hidden_act",
                                            norm_before_gate=True,
                                            time_step_limit=[0.0, INF], rms_norm=True))

# Mamba-1
mamba = (MambaForCausalLM, MambaConfig)
MAMBA = dict(vocab_size=97, hidden_size=32, state_size=5, num_hidden_layers=3, expand=2, conv_kernel=4,
             time_step_rank=3)
SCAN = [zero("A_log"), zero(".D"), zero("dt_proj.bias"), zero("conv1d.weight")]
space("mamba-plain", mamba, MAMBA, {}, [*SCAN, zero("conv1d.bias"), dict(hidden_act="gelu")])
space("mamba-bias", mamba, MAMBA,
      dict(use_bias=True, use_conv_bias=False, conv_kernel=3, hidden_size=20, expand=3, state_size=16,
           time_step_rank="auto", tie_word_embeddings=False, layer_norm_epsilon=1e-3, vocab_size=91),
      [*SCAN, zero("in_proj.bias"), zero("out_proj.bias"), dict(layer_norm_epsilon=1e-5)], tokens=200)
space("mamba-oldstyle", mamba, MAMBA, dict(hidden_size=40, time_step_rank=3, state_size=4, num_hidden_layers=2),
      SCAN[:1],
      tokens=17,
      rewrite=lambda c: old_style_of_spaces(
          c, "hidden_act", "tie_word_embeddings", "use_conv_bias", "expand", "use_associative_scan", "use_mambapy",
          d_model=40, d_inner=80, n_layer=2, fused_add_norm=True, rms_norm=True, ssm_cfg={}, intermediate_size=80,
          pad_vocab_size_multiple=8))

# LFM2
lfm2 = (Lfm2ForCausalLM, Lfm2Config)
C, A = "conv", "full_attention"
LFM2 = dict(vocab_size=97, hidden_size=36, intermediate_size=90, num_hidden_layers=3, num_attention_heads=6,
            num_key_value_heads=2, max_position_embeddings=256, block_multiple_of=8, layer_types=[C, A, C])
space("lfm2-plain", lfm2, LFM2, {}, [NO_ROPE_SCALING, zero("q_layernorm.weight"), zero("conv.weight")])
space("lfm2-bias", lfm2, LFM2,
      rope("default", rope_theta=300.0) | dict(
          conv_bias=True, conv_L_cache=4, block_auto_adjust_ff_dim=False, intermediate_size=50, num_attention_heads=4,
          num_key_value_heads=4, hidden_size=40, tie_word_embeddings=False, layer_types=[A, C, C], norm_eps=1e-3,
          vocab_size=79),
      [zero("conv.conv.bias"), zero("in_proj.bias"), zero("out_proj.bias"), dict(norm_eps=1e-5),
       dict(layer_types=[A, C, C], rope_parameters=dict(rope_type="default", rope_theta=10000.0))], tokens=200)
space("lfm2-oldstyle", lfm2, LFM2,
      dict(layer_types=[C, C, A, C], num_hidden_layers=4, intermediate_size=75, block_multiple_of=16,
           block_ffn_dim_multiplier=0.9, hidden_size=32, num_attention_heads=4, num_key_value_heads=1),
      [NO_ROPE_SCALING], tokens=17,
      rewrite=lambda c: old_style_of_spaces(
          c, "layer_types", "intermediate_size", "tie_word_embeddings", "conv_bias", full_attn_idxs=[2],
          block_ff_dim=75, block_dim=32, block_mlp_init_scale=1.0, block_norm_eps=1e-5, block_out_init_scale=1.0,
          block_use_swiglu=True, block_use_xavier_init=True, conv_dim=32, conv_dim_out=32, conv_use_xavier_init=True,
          num_heads=4,
          rope_theta=1000000.0, tie_embedding=True, use_pos_enc=True))

# Granite 4
M = "linear_attention"
granite4 = (GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig)
GRANITE4 = dict(vocab_size=97, hidden_size=32, intermediate_size=16, num_hidden_layers=3, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=256, layer_types=[M, A, M], mamba_n_heads=4,
                mamba_d_state=8, mamba_chunk_size=8, shared_intermediate_size=30, num_local_experts=0,
                num_experts_per_tok=0, embedding_multiplier=1.5, attention_multiplier=0.3, residual_multiplier=0.8,
                logits_scaling=0.7, position_embedding_type="nope", time_step_limit=[0.0, INF])
MULTIPLIERS4 = [dict(embedding_multiplier=1.0), dict(attention_multiplier=0.4), dict(residual_multiplier=1.0),
                dict(logits_scaling=1.0)]
space("granitemoehybrid-dense", granite4, GRANITE4, {},
      [*MULTIPLIERS4, rope("default") | dict(position_embedding_type="rope"), zero("A_log"), zero("dt_bias"),
       zero(".D")])
space("granitemoehybrid-experts", granite4, GRANITE4,
      rope("default", rope_theta=1000.0) | dict(
          position_embedding_type="rope", num_local_experts=5, num_experts_per_tok=2, intermediate_size=14,
          layer_types=[A, M, A], attention_bias=True, mamba_n_groups=2, mamba_conv_bias=False, mamba_proj_bias=True,
          mamba_d_conv=3, mamba_d_state=5, time_step_limit=[0.1, 1.0], shared_intermediate_size=21, vocab_size=73),
      [*MULTIPLIERS4, rope("default", rope_theta=10000.0), dict(position_embedding_type="nope"),
       dict(time_step_limit=[0.0, INF]), zero("o_proj.bias"), zero("in_proj.bias"), dict(num_experts_per_tok=3)],
       tokens=200)
space("granitemoehybrid-oldstyle", granite4, GRANITE4,
      dict(num_local_experts=6, num_experts_per_tok=3, mamba_n_heads=8, mamba_d_state=6, tie_word_embeddings=True,
           intermediate_size=12, layer_types=[M, A, M]),
      MULTIPLIERS4, tokens=17,
      rewrite=lambda c: old_style_of_spaces(
          c, "time_step_limit", "mamba_d_head", layer_types=["mamba", "attention", "mamba"], rope_theta=10000,
          rope_scaling=None, mamba_d_head=8, normalization_function="rmsnorm", init_method="mup",
          position_embedding_type=None))

# Bamba
bamba = (BambaForCausalLM, BambaConfig)
BAMBA = dict(vocab_size=97, hidden_size=32, intermediate_size=46, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, attn_layer_indices=[1], mamba_n_heads=4,
             mamba_d_state=8, mamba_chunk_size=8, time_step_limit=[0.0, INF])
space("bamba-plain", bamba, BAMBA, {},
      [dict(attn_layer_indices=[1], rope_parameters=dict(rope_type="default", rope_theta=100.0)), zero("A_log"),
       zero("dt_bias")])
space("bamba-bias", bamba, BAMBA,
      rope("default", rope_theta=500.0) | dict(
          attention_bias=True, mlp_bias=True, mamba_proj_bias=True, mamba_conv_bias=False, mamba_n_groups=2,
          attn_layer_indices=[0, 2], hidden_size=36, num_attention_heads=3, num_key_value_heads=3, mamba_n_heads=6,
          mamba_d_conv=3, mamba_d_state=6, time_step_limit=[0.1, 1.0], tie_word_embeddings=True, rms_norm_eps=1e-3,
          intermediate_size=33),
      [NO_ROPE_SCALING, zero("o_proj.bias"), zero("down_proj.bias"), zero("in_proj.bias"),
       dict(time_step_limit=[0.0, INF]), dict(rms_norm_eps=1e-5)], tokens=200)
space("bamba-oldstyle", bamba, BAMBA,
      dict(attn_layer_indices=[1], num_hidden_layers=2, mamba_n_heads=8, num_key_value_heads=4, mamba_n_groups=2,
           num_attention_heads=4),
      [zero("A_log")], tokens=17,
      rewrite=lambda c: old_style_of_spaces(c, "time_step_limit", "layers_block_type", "layer_types", "mlp_bias",
                                            rope_theta=10000.0,
                                            rope_scaling=None, mamba_d_head="auto"))

# Jamba
jamba = (JambaForCausalLM, JambaConfig)
JAMBA = dict(vocab_size=97, hidden_size=28, intermediate_size=18, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, attn_layer_period=2, attn_layer_offset=1,
             expert_layer_period=2, expert_layer_offset=1, num_experts=4, num_experts_per_tok=2, mamba_d_state=5,
             mamba_dt_rank=3)
SCAN_JAMBA = [*SCAN, zero("b_layernorm.weight"), zero("dt_layernorm.weight")]
space("jamba-plain", jamba, JAMBA, {},
      [*SCAN_JAMBA, zero("c_layernorm.weight"), zero("conv1d.bias"), zero("router.weight"),
       dict(num_experts_per_tok=3)])
space("jamba-bias", jamba, JAMBA,
      dict(num_hidden_layers=3, mamba_proj_bias=True, mamba_conv_bias=False, mamba_d_conv=3, mamba_dt_rank="auto",
           attn_layer_period=3,
           attn_layer_offset=0, expert_layer_period=3, expert_layer_offset=2, num_experts=5, num_experts_per_tok=1,
           hidden_size=32, num_attention_heads=4, num_key_value_heads=4, rms_norm_eps=0.05, vocab_size=83),
      [*SCAN_JAMBA, zero("in_proj.bias"), zero("out_proj.bias"), dict(rms_norm_eps=1e-6)], tokens=130, stacked=True)
space("jamba-oldstyle", jamba, JAMBA,
      dict(num_hidden_layers=3, attn_layer_period=8, attn_layer_offset=1, num_experts=3, hidden_size=32,
           mamba_d_state=16,
           num_key_value_heads=1, mamba_dt_rank=2), SCAN_JAMBA[:1], tokens=17,
      rewrite=lambda c: old_style_of_spaces(
          c, "rms_norm_eps", "mamba_proj_bias", "mamba_conv_bias", "mamba_expand", "attn_layer_period",
          "expert_layer_period", "expert_layer_offset", "use_associative_scan", "use_mambapy", sliding_window=None,
          calc_logits_for_entire_prompt=False, mamba_inner_layernorms=True, use_mamba_kernels=True))

# Falcon Mamba
falcon = (FalconMambaForCausalLM, FalconMambaConfig)
space("falconmamba-plain", falcon, MAMBA, dict(tie_word_embeddings=False, mixer_rms_eps=0.03),
      [*SCAN, dict(mixer_rms_eps=1e-6)])
space("falconmamba-bias", falcon, MAMBA,
      dict(use_bias=True, use_conv_bias=False, conv_kernel=3, hidden_size=20, expand=3, state_size=16,
           time_step_rank="auto",
           layer_norm_epsilon=1e-3, vocab_size=91),
      [*SCAN, zero("in_proj.bias"), zero("out_proj.bias"), dict(layer_norm_epsilon=1e-5)], tokens=200)
space("falconmamba-oldstyle", falcon, MAMBA,
      dict(num_hidden_layers=2, tie_word_embeddings=False, hidden_size=36), SCAN[:1], tokens=17,
      rewrite=lambda c: old_style_of_spaces(c, "use_mambapy", "use_associative_scan", "mixer_rms_eps",
                                            intermediate_size=72,
                                            use_mambapy=False, use_falcon_mambapy=False))

# Falcon-H1
falconh1 = (FalconH1ForCausalLM, FalconH1Config)
MUP = dict(embedding_multiplier=1.7, lm_head_multiplier=0.6, mlp_multipliers=[0.7, 1.4], key_multiplier=0.6,
           attention_in_multiplier=0.9, attention_out_multiplier=1.2, ssm_in_multiplier=1.3, ssm_out_multiplier=0.8,
           ssm_multipliers=[0.6, 1.3, 0.8, 1.2, 0.7])
FALCONH1 = MUP | dict(vocab_size=97, hidden_size=32, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4,
                      num_key_value_heads=2, max_position_embeddings=256, mamba_d_ssm=48, mamba_n_heads=4,
                      mamba_d_state=8, mamba_chunk_size=8, time_step_limit=[0.0, INF])
EACH = [{k: [1.0] * len(v) if isinstance(v, list) else 1.0} for k, v in MUP.items()]
SEGMENTS = [dict(ssm_multipliers=[1.0 if i == j else m for i, m in enumerate(MUP["ssm_multipliers"])])
            for j in range(5)]
space("falconh1-plain", falconh1, FALCONH1, {},
      [*EACH, *SEGMENTS, rope("default", rope_theta=100.0), zero("A_log"), zero(".D"), zero("dt_bias")])
space("falconh1-normbefore", falconh1, FALCONH1,
      rope("default", rope_theta=500.0) | dict(
          mamba_rms_norm=True, mamba_norm_before_gate=True, mamba_n_groups=2, mamba_d_ssm=None, mamba_expand=2,
          hidden_size=24, mamba_n_heads=6, mamba_d_conv=3, mamba_d_state=5, mamba_conv_bias=False, mamba_proj_bias=True,
          projectors_bias=True, attention_bias=True, mlp_bias=True, time_step_limit=[0.1, 1.0], rms_norm_eps=1e-3,
          tie_word_embeddings=True, num_attention_heads=6, num_key_value_heads=3, vocab_size=83),
      [*EACH[1:], dict(mamba_norm_before_gate=False), NO_ROPE_SCALING, dict(time_step_limit=[0.0, INF]),
       dict(rms_norm_eps=1e-5), zero("in_proj.bias"), zero("out_proj.bias"), zero("o_proj.bias"),
       zero("down_proj.bias")], tokens=200)
space("falconh1-oldstyle", falconh1, FALCONH1,
      rope("default", rope_theta=1e6) | dict(mamba_rms_norm=True, mamba_norm_before_gate=False, mamba_n_groups=2,
                                             num_hidden_layers=2),
      [dict(mamba_norm_before_gate=True), *EACH[3:6]], tokens=17,
      rewrite=lambda c: old_style_of_spaces(
          c, "time_step_limit", rope_theta=1e6, rope_scaling=None, mamba_use_mlp=True, time_step_floor=1e-4,
          time_step_max=0.1, time_step_min=0.001, time_step_rank="auto", mlp_expansion_factor=8))

# Nemotron-H
E, P = "moe", "mlp"
nemotron = (NemotronHForCausalLM, NemotronHConfig)
NEMOTRON = dict(vocab_size=97, hidden_size=32, intermediate_size=42, num_attention_heads=4, num_key_value_heads=2,
                head_dim=10, max_position_embeddings=256, layers_block_type=[M, E, A, P], mamba_num_heads=4,
                mamba_head_dim=10, n_groups=2, ssm_state_size=8, chunk_size=8, n_routed_experts=6,
                num_experts_per_tok=2, moe_intermediate_size=14, moe_shared_expert_intermediate_size=22,
                routed_scaling_factor=1.7)
CORRECTION = zero("e_score_correction_bias")
space("nemotronh-plain", nemotron, NEMOTRON, {},
      [dict(routed_scaling_factor=1.0), dict(norm_topk_prob=False), CORRECTION, zero("A_log"), zero(".D"),
       zero("dt_bias"),
       zero("conv1d.bias"), dict(time_step_min=0.5)])
space("nemotronh-latent", nemotron, NEMOTRON,
      dict(layers_block_type=[E, M, A, M], moe_latent_size=12, norm_topk_prob=False, n_group=2, topk_group=1,
           n_routed_experts=6, mlp_bias=True, use_bias=True, use_conv_bias=False, conv_kernel=3, n_groups=1,
           time_step_min=0.4, layer_norm_epsilon=0.02, vocab_size=83),
      [dict(norm_topk_prob=True), dict(n_group=1), dict(time_step_min=0.001), dict(layer_norm_epsilon=1e-5),
       zero("fc2_latent_proj.bias"), zero("in_proj.bias"), zero("out_proj.bias")], tokens=200, stacked=True,
      rewrite=lambda c: c.update(layers_block_type=["moe", "mamba", "attention", "mamba"]))
space("nemotronh-oldstyle", nemotron, NEMOTRON,
      dict(layers_block_type=[M, P, M, A, E], mamba_num_heads=6, num_key_value_heads=1, vocab_size=83), [zero("A_log")],
      tokens=17,
      rewrite=lambda c: old_style_of_spaces(
          c, "layers_block_type", "n_group", "topk_group", "norm_topk_prob", "num_hidden_layers", "layer_norm_epsilon",
          "moe_latent_size", "mtp_layers_block_type", hybrid_override_pattern="M-M*E", num_hidden_layers=5,
          layer_norm_epsilon=1e-5, time_step_limit=[0.0, INF], residual_in_fp32=False))

# LFM2-MoE
lfm2moe = (Lfm2MoeForCausalLM, Lfm2MoeConfig)
LFM2MOE = dict(vocab_size=97, hidden_size=32, intermediate_size=42, moe_intermediate_size=14, num_hidden_layers=3,
               num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, layer_types=[C, A, C],
               num_dense_layers=1, num_experts=6, num_experts_per_tok=2)
space("lfm2moe-plain", lfm2moe, LFM2MOE, {},
      [NO_ROPE_SCALING, zero("expert_bias"), dict(norm_topk_prob=False), dict(routed_scaling_factor=2.0)])
space("lfm2moe-nobias", lfm2moe, LFM2MOE,
      rope("default", rope_theta=300.0) | dict(
          use_expert_bias=False, norm_topk_prob=False, routed_scaling_factor=1.6, conv_bias=True, conv_L_cache=4,
          num_dense_layers=0, num_experts=5, num_experts_per_tok=3, layer_types=[A, C], num_hidden_layers=2,
          hidden_size=36, num_attention_heads=6, tie_word_embeddings=False, norm_eps=1e-3, vocab_size=79),
      [dict(norm_topk_prob=True), dict(routed_scaling_factor=1.0), zero("conv.conv.bias"), zero("out_proj.bias"),
       dict(norm_eps=1e-5)], tokens=200, stacked=True)
space("lfm2moe-oldstyle", lfm2moe, LFM2MOE, dict(num_dense_layers=2, layer_types=[C, C, A], num_key_value_heads=1),
      [NO_ROPE_SCALING, zero("expert_bias")], tokens=17,
      rewrite=lambda c: old_style_of_spaces(c, "tie_word_embeddings", "routed_scaling_factor", rope_theta=1000000.0,
                                            tie_embedding=True, routed_scaling_factor=1.0))

# RecurrentGemma
recurrent = (RecurrentGemmaForCausalLM, RecurrentGemmaConfig)
RECURRENT = dict(vocab_size=97, hidden_size=32, intermediate_size=60, num_hidden_layers=3, num_attention_heads=4,
                 num_key_value_heads=1, attention_window_size=6)
SHORT = [dict(attention_window_size=5), dict(attention_window_size=7), zero("recurrent_param"), zero("input_gate_bias"),
         zero("recurrent_gate_bias"), zero("conv_1d.bias"), zero("linear_y.bias"), zero("o_proj.bias")]
space("recurrentgemma-plain", recurrent, RECURRENT, {}, [*SHORT, dict(rope_parameters=dict(
    rope_type="default", rope_theta=100.0))])
space("recurrentgemma-bias", recurrent, RECURRENT,
      rope("default", rope_theta=500.0, partial_rotary_factor=0.5) | dict(
          attention_bias=True, lru_width=40, num_attention_heads=2, num_key_value_heads=2, attention_window_size=4,
          conv1d_width=3, hidden_size=24, logits_soft_cap=8.0, rms_norm_eps=0.05,
          block_types=["attention", "recurrent"], vocab_size=79),
      [*SHORT, zero("q_proj.bias"), zero("v_proj.bias"), dict(logits_soft_cap=30.0), dict(rms_norm_eps=1e-6)],
      tokens=200)
space("recurrentgemma-oldstyle", recurrent, RECURRENT,
      dict(attention_window_size=8, block_types=["recurrent", "recurrent", "attention"], num_key_value_heads=1),
      [dict(attention_window_size=7)], tokens=17,
      rewrite=lambda c: old_style_of_spaces(c, "lru_width", "tie_word_embeddings", "conv1d_width",
                                            "num_key_value_heads",
                                            rope_theta=10000.0, partial_rotary_factor=0.5, num_key_value_heads=1,
                                            block_types=["recurrent", "recurrent", "attention"]))

# Zamba2
H = "hybrid"
zamba2 = (Zamba2ForCausalLM, Zamba2Config)
ZAMBA2 = dict(vocab_size=97, hidden_size=24, intermediate_size=28, num_hidden_layers=4, num_attention_heads=4,
              layers_block_type=[M, H, M, H], mamba_d_state=8, mamba_ngroups=2, n_mamba_heads=4, chunk_size=8,
              adapter_rank=4, max_position_embeddings=256, use_mem_rope=False)
ADAPTERS = [zero("gate_up_proj_adapter_list.0.1.weight"), zero("A_log"), zero(".D"), zero("dt_bias"),
            zero("linear.weight")]
space("zamba2-plain", zamba2, ZAMBA2, {}, [*ADAPTERS, dict(time_step_min=0.5)])
space("zamba2-adapters", zamba2, ZAMBA2,
      rope("default", rope_theta=500.0) | dict(
          num_mem_blocks=2, use_mem_rope=True, use_shared_attention_adapter=True, add_bias_linear=True, adapter_rank=3,
          hidden_size=16, num_attention_heads=2, layers_block_type=[H, M, H, H], n_mamba_heads=2, mamba_ngroups=1,
          time_step_min=0.3, mamba_d_conv=3, rms_norm_eps=0.02, vocab_size=79, intermediate_size=18),
      [*ADAPTERS, dict(use_mem_rope=False), dict(rms_norm_eps=1e-5), dict(time_step_min=0.001), NO_ROPE_SCALING,
       zero("linear_q_adapter_list.0.1.weight"), zero("in_proj.bias"), zero("gate_up_proj.bias")])
space("zamba2-oldstyle", zamba2, ZAMBA2,
      dict(num_mem_blocks=2, use_mem_rope=True, num_hidden_layers=3, layers_block_type=[M, H, H], hidden_size=16,
           num_attention_heads=2), ADAPTERS[:2], tokens=17,
      rewrite=lambda c: old_style_of_spaces(
          c, "rms_norm_eps", "tie_word_embeddings", layers_block_type=["mamba", "hybrid", "hybrid"], rope_theta=10000,
          use_shared_mlp_adapter=True, use_conv_bias=True, rms_norm_eps=1e-5, sliding_window=None,
          use_mem_eff_path=True, state_size=8))
