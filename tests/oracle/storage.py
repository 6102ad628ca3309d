"""What checkpoints hold that save_pretrained does not write: FP8 and MXFP4 weights, layers that readers must ignore.
Tensors go by their names on disk. decode() is what such a file means, for transformers to compute with."""
import re

import torch
from transformers.integrations.mxfp4 import FP4_VALUES, convert_moe_packed_tensors

FP8 = torch.float8_e4m3fn
EXPERTS4 = re.compile(r"mlp\.experts\.(gate_up_proj|down_proj)$")


def spread(scales, block, shape):
    """One scale an element."""
    return scales.repeat_interleave(block, 0)[:shape[0]].repeat_interleave(block, 1)[:, :shape[1]]


def fp8_of(w, block):
    """(codes, scales) of a matrix: each block's largest is the largest code, 448."""
    n, k = (-(-size // block) for size in w.shape)
    padded = torch.zeros(n * block, k * block)
    padded[:w.shape[0], :w.shape[1]] = w
    scales = padded.view(n, block, k, block).abs().amax((1, 3)) / 448
    return (w / spread(scales, block, w.shape)).to(FP8), scales


def mxfp4_of(w):
    """(blocks, scales) of [E, inputs, outputs]: 32 inputs share an exponent; blocks [E, outputs, inputs / 32, 16]."""
    w = w.transpose(1, 2).unflatten(-1, (-1, 32))
    exponent = (w.abs().amax(-1).log2().floor() - 2).clamp(-127)
    values = torch.tensor(FP4_VALUES)
    codes = (w / exponent.exp2()[..., None])[..., None].sub(values).abs().argmin(-1).to(torch.uint8)
    return codes[..., 0::2] | codes[..., 1::2] << 4, (exponent + 127).to(torch.uint8)


def encode(tensors, further):
    """As the published checkpoints: linear layers but the router and the head in FP8, or experts in MXFP4; the rest in
    BF16, correction biases in F32."""
    if not further.get("fp8") and not further.get("mxfp4"):
        return tensors
    out = {}
    for name, t in tensors.items():
        if further.get("fp8") and re.search(r"(?<!eh)_proj(_with_mqa)?\.weight$", name):
            out[name], out[name + "_scale_inv"] = fp8_of(t, further["fp8"])
        elif further.get("mxfp4") and EXPERTS4.search(name):
            out[name + "_blocks"], out[name + "_scales"] = mxfp4_of(t)
        else:
            out[name] = t if name.endswith("e_score_correction_bias") else t.bfloat16()
    return {name: t.contiguous() for name, t in out.items()}


def decode(tensors, further):
    out = {}
    for name, t in tensors.items():
        if name.endswith("_blocks"):
            out[name[:-7]] = convert_moe_packed_tensors(t, tensors[name[:-7] + "_scales"], dtype=torch.float32)
        elif t.dtype == FP8:
            out[name] = t.float() * spread(tensors[name + "_scale_inv"], further["fp8"], t.shape)
        elif not name.endswith(("_scale_inv", "_scales")):
            out[name] = t.float()
    return out


def with_extra_layer(tensors, n_layers, generator):
    """Adds a layer that predicts one token further (multi-token prediction) as DeepSeek-V3 and GLM-4.5 store it: behind
    the last, with an embedding and a head of its own."""
    last, extra = f"model.layers.{n_layers - 1}.", f"model.layers.{n_layers}."

    def like(t):
        return torch.randn(t.shape, generator=generator)

    out = dict(tensors)
    out |= {extra + name.removeprefix(last): like(t) for name, t in tensors.items() if name.startswith(last)}
    gain = tensors["model.norm.weight"]
    out |= {extra + name: like(gain) for name in ("enorm.weight", "hnorm.weight", "shared_head.norm.weight")}
    out[extra + "embed_tokens.weight"] = like(tensors["model.embed_tokens.weight"])
    out[extra + "shared_head.head.weight"] = like(tensors["lm_head.weight"])
    out[extra + "eh_proj.weight"] = like(torch.empty(len(gain), 2 * len(gain)))
    return out
