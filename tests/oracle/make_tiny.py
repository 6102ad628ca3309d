"""Tiny random-weight models with golden logits, computed by transformers: tests/oracle/tiny/<name>/.

Each folder holds config.json, model.safetensors (one model: shards and their index) and golden.safetensors with
    ids     int32 [T]      the prompt
    logits  f32   [T, V]   of one full forward pass, f32, eager attention and experts
    greedy  int32 [32]     greedy continuation, each token from a full forward pass; nothing ends it early

T is longer than every window and original context length here, but for the models whose name says otherwise. Sizes are
odd on purpose. Weights are scaled so that attention and logits are neither flat nor saturated; norm gains and biases
are perturbed. A seed is taken only if at every greedy step the best logit leads the second by more than MARGIN of the
largest |logit|, if the prompt reaches every expert of every layer, no choice of experts is a near tie and wrong rules
of choosing would choose otherwise (routing.py), no rounding is amplified beyond what a test may ask
(of those with `tokens`, tiny_spaces.py), and if each ablation named with a model moves the logits, so that a
test can see the feature.

Usage: make_tiny.py [NAME...]        (none named: all)
"""
import copy
import json
import pathlib
import shutil
import sys
import tempfile
import zlib

import torch
from safetensors.torch import load_file, save_file
from transformers import Gemma3ForCausalLM
from transformers.utils import logging

import routing
import storage
import tiny_experts  # noqa: F401 (fills MODELS)
import tiny_spaces  # fills MODELS
from tiny_models import MODELS

T, NEW = 40, 32
MARGIN = 2e-3
HERE = pathlib.Path(__file__).parent / "tiny"
EAGER = dict(attn_implementation="eager", experts_implementation="eager", dtype=torch.float32)
logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)


def gemma_gain(name):
    """Means of gain - 1 that keep the tied embedding from making every token predict itself."""
    if name == "model.norm.weight" or "post_attention" in name or "post_feedforward" in name:
        return 1.2
    return 0.0


def fill(net, generator, further):
    tied, is_gemma = net.config.tie_word_embeddings, isinstance(net, Gemma3ForCausalLM)
    for name, p in sorted(net.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        own = tiny_spaces.parameter(name, noise, net.config) if "tokens" in further else None
        if own is not None:
            p.data = own
        elif name.endswith("norm.weight"):
            p.data = 0.3 * noise + (gemma_gain(name) if is_gemma else 1.0)
        elif name.endswith("bias"):
            p.data = 0.3 * noise
        elif name.endswith("sinks"):
            p.data = noise
        elif "embed_tokens" in name:
            p.data = noise * ((1.0 if is_gemma else 2.5) / p.shape[1] ** 0.5 if tied else 1.0)
        elif p.dim() == 3:  # experts; those of gpt-oss have their inputs first
            p.data = noise * (1.3 / p.shape[1 if net.config.model_type == "gpt_oss" else 2] ** 0.5)
        else:
            p.data = noise * ((2.5 if "lm_head" in name else 1.3) / p.shape[1] ** 0.5)
    for name, b in sorted(net.named_buffers()):
        if name.endswith(("e_score_correction_bias", "expert_bias")):
            b.data = 0.4 * torch.randn(b.shape, generator=generator) - 0.2


def logits_of(net, ids):
    with torch.no_grad():
        return net(torch.tensor([ids]), use_cache=False).logits[0].float()


def build(net_class, config_class, config, state=None):
    made = config_class(**copy.deepcopy(config), bos_token_id=None, eos_token_id=None, pad_token_id=None)
    made._attn_implementation = made._experts_implementation = "eager"
    net = net_class(made).float().eval()
    if state is not None:
        net.load_state_dict(state)
    return net


def tensors_of(folder):
    return {name: t for file in folder.glob("model*.safetensors") for name, t in load_file(file).items()}


def loaded(net_class, folder, tensors):
    """The net that transformers makes of these tensors and the folder's config.json."""
    with tempfile.TemporaryDirectory() as other:
        keys = json.loads((folder / "config.json").read_text())
        keys.pop("quantization_config", None)
        (pathlib.Path(other) / "config.json").write_text(json.dumps(keys))
        save_file(tensors, pathlib.Path(other) / "model.safetensors", metadata={"format": "pt"})
        return net_class.from_pretrained(other, **EAGER).eval()


def save(net, folder, further, generator):
    shutil.rmtree(folder, ignore_errors=True)
    net.save_pretrained(folder, max_shard_size=further.get("shards", "10GB"),
                        save_original_format=not further.get("stacked"))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if "extra_layer" in further or "fp8" in further or "mxfp4" in further:
        tensors = tensors_of(folder)
        if "extra_layer" in further:
            tensors = storage.with_extra_layer(tensors, net.config.num_hidden_layers, generator)
        save_file(storage.encode(tensors, further), folder / "model.safetensors", metadata={"format": "pt"})
    if "rewrite" in further:
        path = folder / "config.json"
        keys = json.loads(path.read_text())
        further["rewrite"](keys)
        path.write_text(json.dumps(keys, indent=2) + "\n")


def routed_clearly(net, ids, whole):
    """No near ties; where `whole`, over the prompt, also: all experts reached, all rules seen."""
    with routing.Routing(net) as watch:
        logits_of(net, ids)
    return watch.margin > routing.MARGIN and (not whole or (watch.hit_all and not watch.unseen()))


def steady(net, ids, logits):
    """Whether shorter prompts give the same logits, and weights changed in their last bits almost the same."""
    other = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(1)
    for p in other.parameters():
        p.data *= 1 + 2 ** -24 * torch.randn(p.shape, generator=generator)
    largest = logits.abs().max()
    shorter = max((logits_of(net, ids[:n]) - logits[:n]).abs().max() / largest for n in (1, 17) if n < len(ids))
    return shorter < 2e-6 and (logits_of(other, ids) - logits).abs().max() / largest < 2e-6


def greedy_of(net, ids, row):
    """(continuation, margin); an empty one if some step is no clear choice."""
    running, margin = list(ids), 1.0
    for step in range(NEW):
        best = row.topk(2).values
        margin = min(margin, ((best[0] - best[1]) / row.abs().max()).item())
        if margin < MARGIN:
            return [], margin
        running.append(row.argmax().item())
        if step + 1 < NEW:
            row = logits_of(net, running)[-1]
    return running[len(ids):], margin


def quantized(net, generator, further):
    """The net of the weights that its file will hold."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder) / "model"
        save(net, folder, {k: v for k, v in further.items() if k in ("fp8", "mxfp4")}, generator)
        return loaded(type(net), folder, storage.decode(tensors_of(folder), further))


def find(name):
    """The first seed that fits: (net, ids, logits, greedy, seed, margin, generator)."""
    net_class, config_class, config, _, further = MODELS[name]
    for seed in range(400):
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)
        net = build(net_class, config_class, config)
        fill(net, generator, further)
        if "fp8" in further or "mxfp4" in further:
            net = quantized(net, generator, further)
        ids = torch.randint(0, config["vocab_size"], (further.get("tokens", T),), generator=generator).tolist()
        if not routed_clearly(net, ids, True):
            continue
        logits = logits_of(net, ids)
        if "tokens" in further and not steady(net, ids, logits):
            continue
        greedy, margin = greedy_of(net, ids, logits[-1])
        if len(set(greedy)) >= 8 and routed_clearly(net, ids + greedy, False):
            return net, ids, logits, greedy, seed, margin, generator
    raise SystemExit(f"{name}: no seed gives clear margins")


def ablated(name, net, change):
    net_class, config_class, config, _, _ = MODELS[name]
    if not callable(change):
        return build(net_class, config_class, {**config, **change}, net.state_dict())
    other = build(net_class, config_class, config, copy.deepcopy(net.state_dict()))
    assert change(other), f"{name}: an ablation changes nothing"
    return other


def make(name):
    _, _, _, ablations, further = MODELS[name]
    net, ids, logits, greedy, seed, margin, generator = find(name)
    folder = HERE / name
    save(net, folder, further, generator)
    save_file({"ids": torch.tensor(ids, dtype=torch.int32), "logits": logits.contiguous(),
               "greedy": torch.tensor(greedy, dtype=torch.int32)}, folder / "golden.safetensors")

    again = loaded(type(net), folder, storage.decode(tensors_of(folder), further))
    error = (logits_of(again, ids) - logits).abs().max().item()
    assert error < 1e-5, f"{name}: what was saved gives other logits, by {error}"
    moves = [(logits_of(ablated(name, net, change), ids) - logits).abs().max().item() for change in ablations]
    assert all(m > 0.02 for m in moves), f"{name}: an ablation does not move the logits: {moves}"
    size = sum(f.stat().st_size for f in folder.iterdir())
    assert max(f.stat().st_size for f in folder.glob("model*.safetensors")) < 300_000 and size < 330_000, size
    print(f"{name:22} seed {seed:3} margin {margin:.4f} distinct {len(set(greedy)):2} logits sd {logits.std():.2f} "
          f"max {logits.abs().max():.1f} {size // 1000} kB ablations {' '.join(f'{m:.2f}' for m in moves)}", flush=True)


if __name__ == "__main__":
    for each in sys.argv[1:] or MODELS:
        make(each)
