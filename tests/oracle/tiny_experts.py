"""The tiny models of make_tiny.py with mixtures of experts and with multi-head latent attention."""
from transformers import (DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM,
                          Glm4MoeConfig, Glm4MoeForCausalLM, GptOssConfig, GptOssForCausalLM, GraniteMoeConfig,
                          GraniteMoeForCausalLM, MiniMaxM2Config, MiniMaxM2ForCausalLM, Mistral4Config,
                          Mistral4ForCausalLM, MixtralConfig, MixtralForCausalLM, OlmoeConfig, OlmoeForCausalLM,
                          Qwen2MoeConfig, Qwen2MoeForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM)
from tiny_models import F, NO_ROPE_SCALING, S, model, old_style, rope

COMMON = dict(num_hidden_layers=2, max_position_embeddings=128, tie_word_embeddings=False)
STACKED = dict(stacked=True)  # experts as transformers 5 holds them in memory


def zero(ending):
    """An ablation: parameters and buffers whose name ends so are zero."""
    return lambda net: [t.data.zero_() for n, t in [*net.named_parameters(),
                                                    *net.named_buffers()] if n.endswith(ending)]


# Mixtral
mixtral = (MixtralForCausalLM, MixtralConfig)
MIXTRAL = COMMON | dict(vocab_size=97, hidden_size=36, intermediate_size=18, num_attention_heads=6,
                        num_key_value_heads=2,
                        head_dim=10, num_local_experts=8, num_experts_per_tok=2)
model("mixtral-plain", mixtral, MIXTRAL, {}, [dict(num_experts_per_tok=3), zero("gate.weight")])
model("mixtral-window", mixtral, MIXTRAL,
      rope("default", rope_theta=500.0) | dict(sliding_window=8, num_hidden_layers=3, num_local_experts=5,
                                               num_experts_per_tok=3, hidden_size=36, head_dim=None, vocab_size=103),
      [dict(sliding_window=None), dict(sliding_window=9), NO_ROPE_SCALING], **STACKED)
model("mixtral-oldstyle", mixtral, MIXTRAL,
      dict(hidden_size=32, num_attention_heads=8, num_key_value_heads=8, head_dim=None, intermediate_size=24,
           vocab_size=96),
      [NO_ROPE_SCALING],
      rewrite=lambda c: old_style(c, "head_dim", "num_key_value_heads", "num_local_experts", "num_experts_per_tok",
                                  "rms_norm_eps", "sliding_window", "tie_word_embeddings"))

# Qwen2-MoE
qwen2 = (Qwen2MoeForCausalLM, Qwen2MoeConfig)
QWEN2 = COMMON | dict(vocab_size=95, hidden_size=36, intermediate_size=46, moe_intermediate_size=15, num_experts=8,
                      num_experts_per_tok=3, shared_expert_intermediate_size=26, num_attention_heads=6,
                      num_key_value_heads=2)
model("qwen2moe-norm", qwen2, QWEN2, dict(norm_topk_prob=True),
      [dict(norm_topk_prob=False), zero("shared_expert_gate.weight"), zero("q_proj.bias"), zero("v_proj.bias")])
model("qwen2moe-window", qwen2, QWEN2,
      dict(num_hidden_layers=5, decoder_sparse_step=2, mlp_only_layers=[1], qkv_bias=False, use_sliding_window=True,
           sliding_window=8, max_window_layers=3, num_attention_heads=4, num_key_value_heads=4,
           tie_word_embeddings=True, hidden_size=32,
           moe_intermediate_size=32, intermediate_size=30, num_experts=6),
      [dict(use_sliding_window=False), dict(sliding_window=9), dict(max_window_layers=2), dict(max_window_layers=5),
       dict(norm_topk_prob=True)], rewrite=lambda c: c.pop("layer_types"), **STACKED)
model("qwen2moe-oldstyle", qwen2, QWEN2,
      rope("default", rope_theta=30000.0) | dict(num_experts=6, num_experts_per_tok=2, mlp_only_layers=[0],
                                                 num_hidden_layers=3),
      [NO_ROPE_SCALING, dict(norm_topk_prob=True)],
      rewrite=lambda c: old_style(c, "layer_types", "norm_topk_prob", "decoder_sparse_step", "qkv_bias",
                                  rope_theta=30000.0,
                                  use_sliding_window=False, sliding_window=8, max_window_layers=1))

# Qwen3-MoE
qwen3 = (Qwen3MoeForCausalLM, Qwen3MoeConfig)
QWEN3 = COMMON | dict(vocab_size=101, hidden_size=44, intermediate_size=58, moe_intermediate_size=18, num_experts=8,
                      num_experts_per_tok=2, num_attention_heads=5, num_key_value_heads=1)
model("qwen3moe-norm", qwen3, QWEN3,
      dict(norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[1], num_hidden_layers=4, attention_bias=True,
           hidden_size=36, intermediate_size=38, head_dim=10),
      [dict(norm_topk_prob=False), zero("o_proj.bias")])
model("qwen3moe-yarn", qwen3, QWEN3,
      rope("yarn", factor=4.0, original_max_position_embeddings=32) | dict(
          num_experts=6, num_experts_per_tok=3, hidden_size=32, moe_intermediate_size=32, head_dim=8,
          num_attention_heads=6, num_key_value_heads=3),
      [NO_ROPE_SCALING, dict(norm_topk_prob=True)], **STACKED)
model("qwen3moe-oldstyle", qwen3, QWEN3,
      rope("default", rope_theta=1000000.0) | dict(norm_topk_prob=True, num_attention_heads=4, num_key_value_heads=4,
                                                   hidden_size=40, intermediate_size=42, mlp_only_layers=[0],
                                                   num_hidden_layers=3,
                                                   use_sliding_window=True, sliding_window=8, num_experts=5),
      [NO_ROPE_SCALING, dict(norm_topk_prob=False), dict(sliding_window=9)],
      rewrite=lambda c: old_style(c, "num_local_experts", "num_key_value_heads", rope_theta=1000000.0,
                                  rope_scaling=None,
                                  num_experts=5, max_window_layers=1))

# OLMoE
olmoe = (OlmoeForCausalLM, OlmoeConfig)
OLMOE = COMMON | dict(vocab_size=99, hidden_size=40, intermediate_size=20, num_attention_heads=4, num_key_value_heads=2,
                      num_experts=8, num_experts_per_tok=3)
model("olmoe-norm", olmoe, OLMOE, dict(norm_topk_prob=True, num_experts_per_tok=2),
      [dict(norm_topk_prob=False), dict(clip_qkv=1.0)], **STACKED)
model("olmoe-clip", olmoe, OLMOE,
      dict(clip_qkv=0.8, attention_bias=True, num_experts=5, num_experts_per_tok=2, hidden_size=48,
           num_attention_heads=6,
           num_key_value_heads=2),
      [dict(clip_qkv=None), dict(norm_topk_prob=True), zero("k_proj.bias")])
model("olmoe-oldstyle", olmoe, OLMOE,
      rope("default", rope_theta=10000.0) | dict(hidden_size=32, intermediate_size=32, num_key_value_heads=4,
                                                 num_experts=6, num_experts_per_tok=4),
      [dict(norm_topk_prob=True)],
      rewrite=lambda c: old_style(c, "num_key_value_heads", "norm_topk_prob", "rms_norm_eps",
                                  rope_theta=10000.0, rope_scaling=None))

# DeepSeek-V2
MLA = COMMON | dict(vocab_size=101, hidden_size=36, intermediate_size=50, moe_intermediate_size=11,
                    num_attention_heads=4,
                    num_key_value_heads=4, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1,
                    first_k_dense_replace=1, num_hidden_layers=3, kv_lora_rank=18, q_lora_rank=22, qk_rope_head_dim=6,
                    qk_nope_head_dim=10, v_head_dim=13)
YARN = dict(factor=4.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=0.5)
deepseek2 = (DeepseekV2ForCausalLM, DeepseekV2Config)
model("deepseek2-plain", deepseek2, MLA,
      dict(first_k_dense_replace=0, num_hidden_layers=2, n_shared_experts=2, routed_scaling_factor=1.7,
           rms_norm_eps=0.01,
           norm_topk_prob=True),
      [dict(routed_scaling_factor=1.0), dict(rms_norm_eps=1e-6)], **STACKED)
GROUPS2 = dict(topk_method="group_limited_greedy", n_group=3, topk_group=2, n_routed_experts=9)
model("deepseek2-groups", deepseek2, MLA,
      rope("yarn", mscale=1.4, mscale_all_dim=0.6, **YARN) | GROUPS2 | dict(
          attention_bias=True, routed_scaling_factor=1.5, hidden_size=32, num_attention_heads=4, v_head_dim=10,
          num_hidden_layers=2, moe_intermediate_size=21),
      [dict(topk_method="greedy"), rope("yarn", mscale=1.0, mscale_all_dim=1.0, **YARN), rope("yarn", **YARN),
       rope("yarn", mscale=0.6, mscale_all_dim=1.4, **YARN), zero("kv_a_proj_with_mqa.bias"), zero("q_a_proj.bias"),
       zero("o_proj.bias")])
model("deepseek2-oldstyle", deepseek2, MLA,
      rope("yarn", mscale=0.707, mscale_all_dim=0.707, **YARN) | dict(q_lora_rank=None, n_shared_experts=2, n_group=1,
                                                                      topk_group=1, kv_lora_rank=32, qk_rope_head_dim=8,
                                                                      num_experts_per_tok=2, n_routed_experts=6,
                                                                      moe_intermediate_size=9),
      [NO_ROPE_SCALING, rope("yarn", **YARN)],
      rewrite=lambda c: old_style(
          c, "head_dim", "qk_head_dim", "routed_scaling_factor", "topk_method", "mlp_bias", "attention_bias",
          rope_theta=10000, rope_scaling=dict(type="yarn", mscale=0.707, mscale_all_dim=0.707, **YARN),
          aux_loss_alpha=0.001,
          ep_size=1, moe_layer_freq=1, scoring_func="softmax", seq_aux=True))

# DeepSeek-V3
deepseek3 = (DeepseekV3ForCausalLM, DeepseekV3Config)
GROUPS3 = dict(n_group=4, topk_group=2)
BIAS3 = "e_score_correction_bias"
HUB3 = dict(ep_size=1, moe_layer_freq=1, scoring_func="sigmoid", topk_method="noaux_tc", rope_theta=10000)
model("deepseek3-groups", deepseek3, MLA,
      rope("yarn", mscale=1.0, mscale_all_dim=1.0, **YARN) | GROUPS3,
      [dict(routed_scaling_factor=1.0), dict(rope_interleave=False), dict(norm_topk_prob=False), zero(BIAS3),
       NO_ROPE_SCALING, rope("yarn", **YARN), dict(n_group=1, topk_group=1), dict(topk_group=3), dict(n_group=2,
                                                                                                      topk_group=1)])
model("deepseek3-halfsplit", deepseek3, MLA,
      dict(rope_interleave=False, q_lora_rank=None, norm_topk_prob=False, attention_bias=True, n_group=1, topk_group=1,
           n_routed_experts=6, num_experts_per_tok=2, hidden_size=32, kv_lora_rank=32, moe_intermediate_size=32,
           num_hidden_layers=2, n_shared_experts=2, v_head_dim=8, routed_scaling_factor=0.8),
      [dict(rope_interleave=True), dict(norm_topk_prob=True), zero(BIAS3), zero("kv_a_proj_with_mqa.bias"),
       dict(routed_scaling_factor=1.0)], **STACKED)
model("deepseek3-oldstyle", deepseek3, MLA,
      rope("yarn", mscale=1.0, mscale_all_dim=1.0, **YARN) | GROUPS3 | dict(num_hidden_layers=2, hidden_size=32,
                                                                            vocab_size=83),
      [NO_ROPE_SCALING, zero(BIAS3), dict(n_group=1, topk_group=1)], extra_layer=True,
      rewrite=lambda c: old_style(
          c, "head_dim", "qk_head_dim", "rope_interleave", "norm_topk_prob", "routed_scaling_factor",
          "n_shared_experts",
          num_nextn_predict_layers=1, rope_scaling=dict(type="yarn", mscale=1.0, mscale_all_dim=1.0, **YARN), **HUB3))
FP8 = dict(activation_scheme="dynamic", fmt="e4m3", quant_method="fp8")
model("deepseek3-fp8", deepseek3, MLA,
      GROUPS3 | dict(hidden_size=48, intermediate_size=64, kv_lora_rank=20, q_lora_rank=48, moe_intermediate_size=24,
                     qk_nope_head_dim=12,
                     v_head_dim=10),
      [zero(BIAS3)], fp8=16, rewrite=lambda c: c.update(quantization_config=FP8 | dict(weight_block_size=[16, 16])))
model("deepseek3-fp8-oldstyle", deepseek3, MLA,
      GROUPS3 | dict(hidden_size=64, intermediate_size=144, kv_lora_rank=32, q_lora_rank=48, moe_intermediate_size=20,
                     qk_nope_head_dim=24, qk_rope_head_dim=12, v_head_dim=20, num_hidden_layers=2, vocab_size=74),
      [zero(BIAS3)], fp8=128, extra_layer=True,
      rewrite=lambda c: old_style(
          c, "head_dim", "qk_head_dim", "rope_interleave", num_nextn_predict_layers=1, rope_scaling=None,
          torch_dtype="bfloat16", quantization_config=FP8 | dict(weight_block_size=[128, 128]), **HUB3))

# Mistral 4: experts are stacked in its files too.
mistral4 = (Mistral4ForCausalLM, Mistral4Config)
MISTRAL4 = MLA | dict(first_k_dense_replace=0, num_hidden_layers=2)
model("mistral4-temperature", mistral4, MISTRAL4,
      rope("yarn", mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.5,
           **YARN | dict(original_max_position_embeddings=8))
      | dict(n_group=2, topk_group=1, num_experts_per_tok=2),
      [rope("yarn", mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.0,
            **YARN | dict(original_max_position_embeddings=8)),
       dict(n_group=1), dict(norm_topk_prob=False), dict(rope_interleave=False)])
model("mistral4-plain", mistral4, MISTRAL4,
      rope("yarn", mscale=1.2, mscale_all_dim=0.8, llama_4_scaling_beta=0.1, **YARN)
      | dict(norm_topk_prob=False, q_lora_rank=None, first_k_dense_replace=1, attention_bias=True,
             rope_interleave=False,
             routed_scaling_factor=1.6, hidden_size=32, kv_lora_rank=32, n_routed_experts=5, num_hidden_layers=3,
             n_shared_experts=2, moe_intermediate_size=16),
      [rope("yarn", mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1, **YARN), dict(rope_interleave=True),
       rope("yarn", mscale=1.2, mscale_all_dim=0.8, llama_4_scaling_beta=0.0, **YARN), dict(norm_topk_prob=True),
       dict(routed_scaling_factor=1.0), zero("o_proj.bias")])
model("mistral4-defaults", mistral4, MISTRAL4, dict(num_experts_per_tok=4, moe_intermediate_size=16),
      [rope("yarn", mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1, factor=64.0,
            original_max_position_embeddings=8192)],
      rewrite=lambda c: [c.pop(k) for k in (
          "head_dim", "qk_head_dim", "rope_parameters", "rope_interleave", "n_group", "topk_group", "norm_topk_prob",
          "routed_scaling_factor", "n_shared_experts", "first_k_dense_replace", "rms_norm_eps", "num_experts_per_tok")])

# gpt-oss
gptoss = (GptOssForCausalLM, GptOssConfig)
GPTOSS = COMMON | dict(vocab_size=107, hidden_size=38, intermediate_size=22, num_attention_heads=6,
                       num_key_value_heads=2,
                       head_dim=10, num_local_experts=6, num_experts_per_tok=2, sliding_window=8, layer_types=None)
YARN_OSS = dict(factor=8.0, original_max_position_embeddings=32, beta_fast=4.0, beta_slow=0.7, truncate=False)
model("gptoss-clamp", gptoss, GPTOSS, rope("yarn", rope_theta=1000.0, **YARN_OSS) | dict(swiglu_limit=1.2),
      [dict(swiglu_limit=7.0), zero("sinks"), zero("router.bias"), zero("gate_up_proj_bias"), zero("down_proj_bias"),
       zero("o_proj.bias"), rope("yarn", rope_theta=1000.0, **YARN_OSS | dict(truncate=True)), dict(sliding_window=9),
       dict(layer_types=[F, F]), dict(layer_types=[F, S]), dict(swiglu_alpha=1.5)])
model("gptoss-layers", gptoss, GPTOSS,
      rope("default") | dict(layer_types=[F, S, S], num_hidden_layers=3, attention_bias=False, swiglu_alpha=1.2,
                             num_local_experts=5, num_experts_per_tok=3, hidden_size=32, head_dim=8,
                             num_attention_heads=4,
                             num_key_value_heads=4, tie_word_embeddings=True, intermediate_size=24),
      [dict(layer_types=[S, F, S]), dict(layer_types=[F, F, S]), dict(swiglu_alpha=1.702), dict(sliding_window=7)])
HUB_OSS = dict(experts_per_token=2, initial_context_length=4096)
model("gptoss-oldstyle", gptoss, GPTOSS,
      {"rope_parameters": dict(rope_type="yarn", rope_theta=150000.0, factor=32.0,
                               original_max_position_embeddings=4096,
                               beta_fast=32.0, beta_slow=1.0, truncate=False),
       "hidden_size": 34, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 6},
      [NO_ROPE_SCALING, dict(layer_types=[F, F])],
      rewrite=lambda c: old_style(c, "layer_types", "swiglu_alpha", "swiglu_limit", "num_key_value_heads",
                                  "rms_norm_eps",
                                  **HUB_OSS))
model("gptoss-mxfp4", gptoss, GPTOSS,
      rope("yarn", rope_theta=150000.0, **YARN_OSS) | dict(hidden_size=64, intermediate_size=32, swiglu_limit=3.0,
                                                           num_local_experts=8),
      [zero("sinks"), dict(swiglu_limit=7.0), zero("gate_up_proj_bias")], mxfp4=True,
      rewrite=lambda c: old_style(
          c, "swiglu_alpha", torch_dtype="bfloat16", rope_theta=150000, rope_scaling=dict(rope_type="yarn",
                                                                                          **YARN_OSS), **HUB_OSS,
          quantization_config=dict(quant_method="mxfp4", modules_to_not_convert=[
              "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"])))

# GLM-4 MoE
glm4 = (Glm4MoeForCausalLM, Glm4MoeConfig)
GLM4 = COMMON | dict(vocab_size=103, hidden_size=40, intermediate_size=52, moe_intermediate_size=18,
                     num_attention_heads=4,
                     num_key_value_heads=2, head_dim=12, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1)


def partial(fraction, **more):
    return rope("default", partial_rotary_factor=fraction, **more)


model("glm4moe-groups", glm4, GLM4,
      partial(0.5) | dict(use_qk_norm=True, attention_bias=True, n_group=2, topk_group=1, routed_scaling_factor=1.5),
      [partial(1.0), dict(n_group=1), dict(routed_scaling_factor=1.0), dict(norm_topk_prob=False), zero(BIAS3),
       zero("k_proj.bias")])
model("glm4moe-nonorm", glm4, GLM4,
      partial(0.5, rope_theta=300.0) | dict(norm_topk_prob=False, num_hidden_layers=3, n_routed_experts=5,
                                            num_experts_per_tok=2, hidden_size=32, moe_intermediate_size=32, head_dim=8,
                                            first_k_dense_replace=2, n_shared_experts=2),
      [partial(1.0, rope_theta=300.0), dict(norm_topk_prob=True), zero(BIAS3)], **STACKED)
model("glm4moe-oldstyle", glm4, GLM4,
      partial(0.5, rope_theta=1000000.0) | dict(attention_bias=True, hidden_size=32, head_dim=8, vocab_size=85,
                                                moe_intermediate_size=12),
      [partial(0.25, rope_theta=1000000.0), partial(0.5)], extra_layer=True,
      rewrite=lambda c: old_style(c, "rms_norm_eps", "use_qk_norm", "n_group", "topk_group",
                                  "norm_topk_prob", "first_k_dense_replace", num_nextn_predict_layers=1,
                                  rope_theta=1000000, rope_scaling=None, partial_rotary_factor=0.5))

# Granite MoE
granite = (GraniteMoeForCausalLM, GraniteMoeConfig)
GRANITE = COMMON | dict(vocab_size=98, hidden_size=36, intermediate_size=20, num_attention_heads=6,
                        num_key_value_heads=2,
                        num_local_experts=8, num_experts_per_tok=3, embedding_multiplier=1.5,
                        attention_multiplier=0.3, residual_multiplier=0.8, logits_scaling=0.7)
MULTIPLIERS = [dict(embedding_multiplier=1.0), dict(attention_multiplier=0.4), dict(residual_multiplier=1.0),
               dict(logits_scaling=1.0)]
model("granitemoe-bias", granite, GRANITE, dict(attention_bias=True),
      [*MULTIPLIERS, zero("o_proj.bias"), zero("q_proj.bias"), dict(num_experts_per_tok=2)])
model("granitemoe-stacked", granite, GRANITE,
      rope("linear", factor=2.5) | dict(hidden_size=32, num_attention_heads=4, num_key_value_heads=4,
                                        intermediate_size=32,
                                        num_local_experts=6, num_experts_per_tok=2),
      [*MULTIPLIERS, NO_ROPE_SCALING], **STACKED)
model("granitemoe-oldstyle", granite, GRANITE,
      rope("default") | dict(num_local_experts=8, num_experts_per_tok=2, num_key_value_heads=6,
                             tie_word_embeddings=True,
                             embedding_multiplier=0.5, attention_multiplier=1.0),
      [dict(embedding_multiplier=1.0), dict(residual_multiplier=1.0)],
      rewrite=lambda c: old_style(c, "num_key_value_heads", "num_local_experts", "num_experts_per_tok", "rms_norm_eps",
                                  "attention_multiplier", rope_theta=10000, rope_scaling=None))

# MiniMax-M2
minimax = (MiniMaxM2ForCausalLM, MiniMaxM2Config)
MINIMAX = COMMON | dict(vocab_size=86, hidden_size=38, intermediate_size=18, num_attention_heads=6,
                        num_key_value_heads=2,
                        head_dim=12, num_local_experts=8, num_experts_per_tok=3)
model("minimaxm2-partial", minimax, MINIMAX, partial(0.5), [partial(1.0), zero(BIAS3), dict(num_experts_per_tok=2)])
model("minimaxm2-full", minimax, MINIMAX,
      rope("default", rope_theta=400.0) | dict(hidden_size=32, intermediate_size=32, num_local_experts=5,
                                               num_experts_per_tok=2, num_attention_heads=4, num_key_value_heads=4,
                                               head_dim=10),
      [partial(0.6, rope_theta=400.0), zero(BIAS3), NO_ROPE_SCALING], **STACKED)
model("minimaxm2-oldstyle", minimax, MINIMAX,
      partial(0.5, rope_theta=5000000.0) | dict(num_attention_heads=8, num_key_value_heads=8, head_dim=8,
                                                num_local_experts=6),
      [partial(1.0, rope_theta=5000000.0), partial(0.5, rope_theta=1000.0), zero(BIAS3)],
      rewrite=lambda c: old_style(c, "num_key_value_heads", "rms_norm_eps", rope_theta=5000000, rotary_dim=4,
                                  scoring_func="sigmoid", use_routing_bias=True, use_qk_norm=True,
                                  qk_norm_type="per_layer",
                                  shared_intermediate_size=0, num_mtp_modules=3, mtp_transformer_layers=1, use_mtp=True,
                                  attn_type_list=[1, 1]))
