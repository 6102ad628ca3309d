"""Tiny random-weight models with golden logits, computed by transformers: tests/oracle/tiny/<name>/.

Each folder holds config.json, model.safetensors (one model: shards and their index) and golden.safetensors with
    ids     int32 [T]      the prompt
    logits  f32   [T, V]   of one full forward pass, f32, eager attention
    greedy  int32 [32]     greedy continuation, each token from a full forward pass; nothing ends it early

T is longer than every window and original context length here, but for the models whose name says otherwise. Sizes are
odd on purpose. Weights are scaled so that attention and logits are neither flat nor saturated; norm gains and biases
are perturbed. A seed is taken only if at every greedy step the best logit leads the second by more than MARGIN of the
largest |logit|, and if each ablation named with a model moves the logits, so that a test can see the feature.

Usage: make_tiny.py [NAME...]        (none named: all)
"""
import copy
import json
import pathlib
import shutil
import sys
import zlib

import torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM,
                          MinistralConfig, MinistralForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM)
from transformers.utils import logging

T, NEW = 40, 32
MARGIN = 2e-3
HERE = pathlib.Path(__file__).parent / "tiny"
logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)

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


# name: (class, config class, config, ablations: changes of the config that must move the logits,
#        further: shards (size), rewrite (of config.json))
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


def gemma_gain(name):
    """Means of gain - 1 that keep the tied embedding from making every token predict itself."""
    if name == "model.norm.weight" or "post_attention" in name or "post_feedforward" in name:
        return 1.2
    return 0.0


def fill(net, is_gemma, generator):
    tied = net.config.tie_word_embeddings
    for name, p in sorted(net.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        if name.endswith("norm.weight"):
            p.data = 0.3 * noise + (gemma_gain(name) if is_gemma else 1.0)
        elif name.endswith("bias"):
            p.data = 0.3 * noise
        elif "embed_tokens" in name:
            p.data = noise * ((1.0 if is_gemma else 2.5) / p.shape[1] ** 0.5 if tied else 1.0)
        else:
            p.data = noise * ((2.5 if "lm_head" in name else 1.3) / p.shape[1] ** 0.5)


def logits_of(net, ids):
    with torch.no_grad():
        return net(torch.tensor([ids]), use_cache=False).logits[0].float()


def build(net_class, config_class, config, state=None):
    made = config_class(**copy.deepcopy(config), bos_token_id=None, eos_token_id=None, pad_token_id=None)
    made._attn_implementation = "eager"
    net = net_class(made).float().eval()
    if state is not None:
        net.load_state_dict(state)
    return net


def make(name):
    net_class, config_class, config, ablations, further = MODELS[name]
    for seed in range(200):
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)
        net = build(net_class, config_class, config)
        fill(net, net_class is Gemma3ForCausalLM, generator)
        ids = torch.randint(0, config["vocab_size"], (T,), generator=generator).tolist()
        logits = logits_of(net, ids)
        running, row, margin = list(ids), logits[-1], 1.0
        for step in range(NEW):
            best = row.topk(2).values
            margin = min(margin, ((best[0] - best[1]) / row.abs().max()).item())
            if margin < MARGIN:
                break
            running.append(row.argmax().item())
            if step + 1 < NEW:
                row = logits_of(net, running)[-1]
        greedy = running[T:]
        if margin >= MARGIN and len(set(greedy)) >= 8:
            break
    else:
        raise SystemExit(f"{name}: no seed gives clear margins")

    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    net.save_pretrained(folder, max_shard_size=further.get("shards", "10GB"))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if "rewrite" in further:
        path = folder / "config.json"
        keys = json.loads(path.read_text())
        further["rewrite"](keys)
        path.write_text(json.dumps(keys, indent=2) + "\n")
    save_file({"ids": torch.tensor(ids, dtype=torch.int32), "logits": logits.contiguous(),
               "greedy": torch.tensor(greedy, dtype=torch.int32)}, folder / "golden.safetensors")

    again = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    assert torch.equal(logits_of(again, ids), logits), f"{name}: what was saved gives other logits"
    moves = []
    for change in ablations:
        other = build(net_class, config_class, {**config, **change}, net.state_dict())
        moves.append((logits_of(other, ids) - logits).abs().max().item())
    assert all(m > 0.02 for m in moves), f"{name}: an ablation does not move the logits: {moves}"
    size = sum(f.stat().st_size for f in folder.iterdir())
    assert max(f.stat().st_size for f in folder.glob("model*.safetensors")) < 300_000 and size < 330_000, size
    print(f"{name:22} seed {seed:3} margin {margin:.4f} distinct {len(set(greedy)):2} logits sd {logits.std():.2f} "
          f"max {logits.abs().max():.1f} {size // 1000} kB ablations {' '.join(f'{m:.2f}' for m in moves)}", flush=True)


if __name__ == "__main__":
    for each in sys.argv[1:] or MODELS:
        make(each)
