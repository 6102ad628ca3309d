"""The tiny dense models of make_tiny.py, and how a model is described: MODELS, model()."""
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, MinistralConfig,
                          MinistralForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM)

LLAMA = dict(vocab_size=97, hidden_size=54, intermediate_size=50, num_hidden_layers=2, num_attention_heads=6,
             num_key_value_heads=2, head_dim=14, max_position_embeddings=128, rms_norm_eps=1e-5,
             tie_word_embeddings=False)
QWEN3 = dict(vocab_size=101, hidden_size=44, intermediate_size=58, num_hidden_layers=2, num_attention_heads=5,
             num_key_value_heads=1, head_dim=18, max_position_embeddings=128, tie_word_embeddings=False)
GEMMA3 = dict(vocab_size=109, hidden_size=36, intermediate_size=46, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, head_dim=10, max_position_embeddings=128, query_pre_attn_scalar=13,
              sliding_window=8, tie_word_embeddings=True)
NO_ROPE_SCALING = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
S, F = "sliding_attention", "full_attention"


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0} | more}


def gemma_rope(**full):
    return {"rope_parameters": {F: {"rope_type": "default", "rope_theta": 1000000.0} | full,
                                S: {"rope_type": "default", "rope_theta": 10000.0}}}


def old_style(config, *drop, **add):
    """The keys as transformers 4 wrote them: no rope_parameters, torch_dtype instead of dtype."""
    config["torch_dtype"] = config.pop("dtype")
    for key in ("rope_parameters", *drop):
        del config[key]
    config.update(add)


# name: (class, config class, config, ablations: changes of the config, or functions that change the net, that must move
#        the logits, further: shards (size), rewrite (of config.json), stacked (experts as in memory), fp8 (block size),
#        mxfp4, extra_layer (tensors that readers ignore))
MODELS = {}


def model(name, classes, base, config, ablations=(), **further):
    MODELS[name] = (*classes, {**base, **config}, ablations, further)


llama = (LlamaForCausalLM, LlamaConfig)
model("llama-plain-gqa", llama, LLAMA, {}, [dict(rope_parameters={"rope_type": "default", "rope_theta": 5000.0})])
model("llama-biases", llama, LLAMA,
      dict(hidden_size=48, intermediate_size=61, num_attention_heads=3, num_key_value_heads=3, head_dim=None,
           num_hidden_layers=3, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, vocab_size=128,
           rms_norm_eps=1e-6))
model("llama-linear", llama, LLAMA, rope("linear", factor=2.5), [NO_ROPE_SCALING])
model("llama-dynamic", llama, LLAMA, rope("dynamic", factor=3.0) | dict(hidden_size=30, intermediate_size=39))
model("llama-yarn", llama, LLAMA, rope("yarn", factor=4.0, original_max_position_embeddings=32),
      [NO_ROPE_SCALING, rope("yarn", factor=4.0, original_max_position_embeddings=32, attention_factor=1.0),
       rope("yarn", factor=4.0, original_max_position_embeddings=8)])
model("llama-yarn-mscale", llama, LLAMA,
      rope("yarn", rope_theta=200.0, factor=4.0, original_max_position_embeddings=32, beta_fast=3.0, beta_slow=0.5,
           mscale=1.5, mscale_all_dim=0.6),
      [rope("yarn", rope_theta=200.0, factor=4.0, original_max_position_embeddings=32, beta_fast=3.0, beta_slow=0.5),
       rope("yarn", rope_theta=200.0, factor=4.0, original_max_position_embeddings=32, mscale=1.5, mscale_all_dim=0.6)])
model("llama-yarn-notruncate", llama, LLAMA,
      rope("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=2.0, truncate=False),
      [rope("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=2.0)])
model("llama-llama3", llama, LLAMA,
      rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32),
      [NO_ROPE_SCALING, rope("linear", factor=8.0)])
LONG = dict(short_factor=[1.0, 1.1, 1.25, 1.5, 1.9, 2.2, 2.6], long_factor=[1.0, 1.4, 2.0, 3.5, 5.0, 7.0, 8.0])
model("llama-longrope-long", llama, LLAMA, rope("longrope", factor=8.0, original_max_position_embeddings=16, **LONG),
      [rope("longrope", factor=8.0, original_max_position_embeddings=96, **LONG),
       rope("longrope", factor=8.0, original_max_position_embeddings=16, attention_factor=1.0, **LONG)])
model("llama-longrope-short", llama, LLAMA,
      rope("longrope", original_max_position_embeddings=96, **LONG) | dict(max_position_embeddings=384),
      [rope("longrope", original_max_position_embeddings=16, **LONG), NO_ROPE_SCALING])
model("llama-oldstyle", llama, LLAMA,
      {"rope_parameters": {"rope_type": "linear", "rope_theta": 50000.0, "factor": 2.0}, "tie_word_embeddings": True,
       "hidden_size": 48, "num_key_value_heads": 6, "head_dim": None, "vocab_size": 120},
      [NO_ROPE_SCALING, {"rope_parameters": {"rope_type": "default", "rope_theta": 50000.0}}],
      rewrite=lambda c: old_style(c, "head_dim", "num_key_value_heads", rope_theta=50000.0,
                                  rope_scaling={"type": "linear", "factor": 2.0}))
mistral = (MistralForCausalLM, MistralConfig)
model("mistral-window", mistral, LLAMA, dict(sliding_window=8, hidden_size=42, num_attention_heads=7,
                                             num_key_value_heads=1, head_dim=12),
      [dict(sliding_window=None), dict(sliding_window=7), dict(sliding_window=9)])
model("mistral-nowindow", mistral, LLAMA, dict(sliding_window=None, num_attention_heads=4, hidden_size=52,
                                               intermediate_size=33), [dict(sliding_window=32)])
model("ministral-layers", (MinistralForCausalLM, MinistralConfig), LLAMA,
      dict(sliding_window=8, num_hidden_layers=3, layer_types=[S, F, S], hidden_size=36, intermediate_size=51),
      [dict(layer_types=[F, F, F]), dict(layer_types=[S, S, S]), dict(layer_types=[F, S, S]), dict(sliding_window=9)])

qwen3 = (Qwen3ForCausalLM, Qwen3Config)
model("qwen3-plain", qwen3, QWEN3, {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
      [NO_ROPE_SCALING])
model("qwen3-bias-window", qwen3, QWEN3,
      dict(attention_bias=True, use_sliding_window=True, sliding_window=8, max_window_layers=1, num_hidden_layers=3,
           num_key_value_heads=5, head_dim=8, hidden_size=40),
      [dict(use_sliding_window=False), dict(max_window_layers=0), dict(max_window_layers=2), dict(sliding_window=9)])
model("qwen3-yarn", qwen3, QWEN3, rope("yarn", factor=4.0, original_max_position_embeddings=32), [NO_ROPE_SCALING],
      shards="60KB")
model("qwen3-tied-oldstyle", qwen3, QWEN3,
      {"rope_parameters": {"rope_type": "default", "rope_theta": 20000.0}, "tie_word_embeddings": True}, [NO_ROPE_SCALING],
      rewrite=lambda c: old_style(c, "layer_types", rope_theta=20000.0, rope_scaling=None, use_sliding_window=False,
                                  sliding_window=8, max_window_layers=1))

gemma3 = (Gemma3ForCausalLM, Gemma3TextConfig)
model("gemma3-window", gemma3, GEMMA3, gemma_rope() | dict(layer_types=[S, F, S]),
      [dict(sliding_window=7), dict(sliding_window=9), dict(layer_types=[S, S, S]), dict(query_pre_attn_scalar=10)])
model("gemma3-linear", gemma3, GEMMA3, gemma_rope(rope_type="linear", factor=4.0) | dict(layer_types=[F, S, F]),
      [gemma_rope(), dict(layer_types=[F, F, F])])
model("gemma3-oldstyle", gemma3, GEMMA3,
      {"rope_parameters": {F: {"rope_type": "linear", "rope_theta": 20000.0, "factor": 2.0},
                           S: {"rope_type": "default", "rope_theta": 300.0}},
       "num_hidden_layers": 8, "num_attention_heads": 3, "num_key_value_heads": 1, "intermediate_size": 34,
       "layer_types": [S, S, S, S, S, F, S, S]},
      [dict(layer_types=[S] * 8), dict(layer_types=[S, S, S, S, S, S, F, S]), gemma_rope(),
       gemma_rope(rope_type="linear", factor=2.0, rope_theta=20000.0)],
      rewrite=lambda c: old_style(c, "layer_types", "_sliding_window_pattern", rope_theta=20000.0,
                                  rope_local_base_freq=300.0,
                                  sliding_window_pattern=6, rope_scaling={"rope_type": "linear", "factor": 2.0}))
model("gemma3-softcap", gemma3, GEMMA3, gemma_rope() | dict(layer_types=[S, F], num_hidden_layers=2,
                                                             final_logit_softcapping=5.0, attention_bias=True,
                                                             sliding_window=16, head_dim=12),
      [dict(final_logit_softcapping=None)])
