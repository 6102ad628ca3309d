"""Reference logits of a real GGUF model: its weights decoded to f32 and run by transformers (eager attention).

Usage: real_reference.py MODEL.gguf TEXT OUT.npz [--tokens 2048] [--every N] [--golden tests/oracle/real/NAME.safetensors]

OUT.npz, uncompressed:
    ids       int32 [T]      the first T tokens of TEXT, after the begin token where the file asks for one
    next      f64   [T-1]    log probability of ids[t + 1] after ids[: t + 1]
    lse       f64   [T]      log of the sum of exp of the logits at t
    rows      int32 [R]      positions whose logits are stored: every N-th (1, or 8 above 100,000 tokens of vocabulary)
    logits    f32   [R, V]
OUT.ids.json holds [ids], for `godwit logits --ids-file`.

--golden also writes a small file for tests: ids int32 [256], next f32 [255], and for the two candidate prompts whose
smallest lead is largest: prompt.N, greedy.N int32 and margin.N f32, the lead of the best logit over the second at each
step, N = 0, 1.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from safetensors.numpy import save_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

import vocabulary

NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "attn_norm": "input_layernorm"}
NORMS = {"llama": {"ffn_norm": "post_attention_layernorm"},
         "gemma3": {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
                    "post_ffw_norm": "post_feedforward_layernorm"}}
PROMPTS = ["The capital of France is", "Once upon a time, there was a little", "def fibonacci(n):\n",
           "1, 2, 3, 4, 5, 6,", "Water boils at a temperature of", "The quick brown fox", "Monday, Tuesday, Wednesday,",
           "The first president of the United States was"]
NEW = 24


def load(reader):
    """The model with the file's weights, decoded."""
    arch = vocabulary.key(reader, "general.architecture")
    get = lambda name, missing=None: vocabulary.key(reader, f"{arch}.{name}", missing)
    heads, width = get("attention.head_count"), get("embedding_length")
    kv_heads = get("attention.head_count_kv", heads)
    head_dim = get("attention.key_length", width // heads)
    same = dict(vocab_size=len(vocabulary.key(reader, "tokenizer.ggml.tokens")), hidden_size=width,
                intermediate_size=get("feed_forward_length"), num_hidden_layers=get("block_count"),
                num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
                max_position_embeddings=get("context_length"), rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
                tie_word_embeddings=not any(t.name == "output.weight" for t in reader.tensors), bos_token_id=None,
                eos_token_id=None, pad_token_id=None)
    base = get("rope.freq_base", 10000.0)
    assert get("rope.scaling.type") is None and not any(t.name.startswith("rope_") for t in reader.tensors)
    if arch == "llama":
        config = LlamaConfig(**same, rope_parameters={"rope_type": "default", "rope_theta": base})
        make = LlamaForCausalLM
    elif arch == "gemma3":
        # The file has no pattern and no local base: five sliding layers to a full one, 10000.
        config = Gemma3TextConfig(
            **same, query_pre_attn_scalar=head_dim, sliding_window=get("attention.sliding_window"),
            layer_types=["full_attention" if (i + 1) % 6 == 0 else "sliding_attention"
                         for i in range(get("block_count"))],
            rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": base},
                             "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})
        make = Gemma3ForCausalLM
    else:
        raise SystemExit(f"no reference for architecture {arch}")
    config._attn_implementation = "eager"
    net = make(config)

    state = {}
    for t in reader.tensors:
        w = torch.from_numpy(np.array(dequantize(t.data, t.tensor_type), dtype=np.float32))
        if t.name.startswith("blk."):
            _, layer, name, kind = t.name.split(".")
            if arch == "llama" and name in ("attn_q", "attn_k"):
                n = heads if name == "attn_q" else kv_heads
                w = w.reshape(n, head_dim // 2, 2, width).transpose(1, 2).reshape(n * head_dim, width)
            name = f"model.layers.{layer}.{(NAMES | NORMS[arch])[name]}.{kind}"
        else:
            name = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
                    "output.weight": "lm_head.weight"}[t.name]
        if arch == "gemma3" and name.endswith("norm.weight"):
            w = w - 1
        state[name] = w
    missing, extra = net.load_state_dict(state, strict=False, assign=True)
    assert not extra and set(missing) <= {"lm_head.weight"}, (missing, extra)
    net.tie_weights()
    return net.eval()


@torch.no_grad()
def greedy(net, prompt):
    ids, margin = list(prompt), []
    for _ in range(NEW):
        hidden = net.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0, -1]
        best = net.lm_head(hidden).topk(2)
        margin.append((best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[len(prompt):], margin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--every", type=int)
    parser.add_argument("--golden", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    reader = gguf.GGUFReader(args.model)
    vocab = vocabulary.of(reader)
    start = [] if vocab.bos is None else [vocab.bos]
    # Eight bytes a token are enough for this text; the cut is far behind the last token used.
    text = pathlib.Path(args.text).read_bytes()[:8 * args.tokens].decode(errors="ignore")
    ids = (start + vocab.encode(text, special=False))[:args.tokens]
    assert len(ids) == args.tokens, "the text is too short"
    net = load(reader)
    every = args.every or (1 if net.config.vocab_size <= 100_000 else 8)

    with torch.no_grad():
        hidden = net.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0]
        after, lse, kept = [], [], []
        for at in range(0, len(ids), 64):
            logits = net.lm_head(hidden[at:at + 64])
            sums = logits.double().logsumexp(-1)
            lse += sums.tolist()
            after += [logits[i, ids[at + i + 1]].double().item() - sums[i].item()
                      for i in range(len(logits)) if at + i + 1 < len(ids)]
            kept.append(logits[[i for i in range(len(logits)) if (at + i) % every == 0]].numpy())
    ids32, after = np.array(ids, np.int32), np.array(after)
    np.savez(args.out, ids=ids32, next=after, lse=np.array(lse),
             rows=np.arange(0, len(ids), every, dtype=np.int32), logits=np.concatenate(kept))
    args.out.with_suffix(".ids.json").write_text(json.dumps([ids]) + "\n")
    print(f"{args.out}: {len(ids)} tokens, perplexity {np.exp(-after.mean()):.6f}")

    if args.golden:
        tried = []
        for prompt in PROMPTS:
            prompt_ids = start + vocab.encode(prompt, special=False)
            out, margin = greedy(net, prompt_ids)
            print(f"  smallest lead {min(margin):.3f}: {prompt!r} {vocab.decode(out)!r}", flush=True)
            tried.append((min(margin), prompt_ids, out, margin))
        tensors = {"ids": ids32[:256], "next": after[:255].astype(np.float32)}
        for n, (_, prompt_ids, out, margin) in enumerate(sorted(tried, reverse=True)[:2]):
            tensors |= {f"prompt.{n}": np.array(prompt_ids, np.int32), f"greedy.{n}": np.array(out, np.int32),
                        f"margin.{n}": np.array(margin, np.float32)}
        args.golden.parent.mkdir(exist_ok=True)
        save_file(tensors, args.golden)


if __name__ == "__main__":
    main()
