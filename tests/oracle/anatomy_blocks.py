"""The blocks that anatomy.py counts: matrices, vectors, and what else a token costs."""
from dataclasses import dataclass, field

CHUNK = 32  # tokens from one edge of a matrix state to the next
F32 = 4     # bytes; records are f32


@dataclass
class Matrix:
    """`copies` alike in one parameter, of which a token uses `used` (all, when None)."""
    n: int
    k: int
    biased: bool = False
    role: str = "linear"  # f32: never quantized; expert: only those that were chosen are read
    copies: int = 1
    used: int | None = None


@dataclass
class Block:
    matrices: list
    vectors: list = field(default_factory=list)  # lengths; kept in f32
    flops: int = 0            # of a token, besides products
    flops_per_key: int = 0    # attention
    state_values: int = 0     # kept of a token
    window: int | None = None
    record_bytes: int = 0     # read in a step of a sequence, however many tokens it has
    again: bool = False       # its weights are those of a block before: no parameters, but work of its own


def attend(d, heads, kv, dim, pairs, bias=False, out_bias=False, window=None, width=None):
    """Grouped-query attention on inputs of `width` (d); `pairs` of a head rotate."""
    width = width or d
    return Block([Matrix(heads * dim, width, bias), Matrix(kv * dim, width, bias), Matrix(kv * dim, width, bias),
                  Matrix(d, heads * dim, out_bias)],
                 flops=6 * (heads + kv) * pairs, flops_per_key=4 * heads * dim, state_values=2 * kv * dim,
                 window=window)


def mlp(d, width, biased=False):
    return Block([Matrix(width, d, biased), Matrix(width, d, biased), Matrix(d, width, biased)], flops=5 * width)


def mlp_without_gate(d, width, biased=False):
    return Block([Matrix(width, d, biased), Matrix(d, width, biased)], flops=4 * width)


def mixture(d, n, k, width, biased=False, gated=True, latent=None):
    """`latent`: the width that experts read and write, when it is not d."""
    inner = latent or d
    rows = [(width, inner)] * (2 if gated else 1) + [(inner, width)]
    return Block([Matrix(n, d, biased, role="f32")] +
                 [Matrix(*shape, biased, role="expert", copies=n, used=k) for shape in rows],
                 flops=n + k * ((5 if gated else 4) * width + 2 * inner))  # scores; activation and sum


def add_shared(block, shared, d):
    """An expert that every token meets, added to the others' sum."""
    block.matrices += shared.matrices
    block.flops += shared.flops + d


def mamba1(d, inner, n, rank, taps, bias, conv_bias, norms=None):
    """Gu and Dao 2023. `norms` of dt, B and C: None, "bare" or "gain"."""
    small = [rank, n, n]
    return Block([Matrix(2 * inner, d, bias), Matrix(inner, taps, conv_bias, role="f32"),
                  Matrix(sum(small), inner), Matrix(inner, rank, True), Matrix(d, inner, bias)],
                 vectors=[inner * n, inner] + (small if norms == "gain" else []),
                 flops=4 * inner + (4 * sum(small) if norms else 0) + selective_scan(inner, n) + 5 * inner,
                 record_bytes=F32 * inner * (taps - 1 + n))


def selective_scan(inner, n):
    """Of each state: dt A, (dt x) B, two fma; decays' exponentials are not counted, as those of scores are not. Of a
    channel: softplus, dt x, and D x added."""
    return inner * (6 * n + 4 + 1 + 2)


def mamba2(d, heads, dim, groups, n, taps, bias, conv_bias, out_bias=None, normed=True):
    """Dao and Gu 2024, by rows of the chunk (docs/numerics.md); on average half a chunk is between a token and the
    last edge."""
    inner, shared = heads * dim, groups * n
    channels = inner + 2 * shared
    conv = channels * 4 + inner * (4 * n + CHUNK + 2) + shared * CHUNK
    return Block([Matrix(inner + channels + heads, d, bias), Matrix(channels, taps, conv_bias, role="f32"),
                  Matrix(d, inner, bias if out_bias is None else out_bias)],
                 vectors=[heads, heads, heads] + ([inner] if normed else []),
                 flops=conv + 5 * inner + (4 * inner if normed else 0),
                 record_bytes=F32 * ((taps - 1) * channels + inner * n + CHUNK // 2 * (inner + shared + heads)))


def rg_lru(d, width, heads, taps):
    """Griffin's recurrence (De et al. 2024): two gates of a matrix a head, a gated output."""
    w = width // heads
    gates = [Matrix(w, w, True, copies=heads) for _ in range(2)]
    # Two sigmoids; r times its slope; 1 - exp(2 log a) and its root; i u times that; one fma.
    flops = 4 + 4 + 1 + 2 + 1 + 2 + 2
    return Block([Matrix(width, d, True), Matrix(width, d, True), Matrix(width, taps, True, role="f32"), *gates,
                  Matrix(d, width, True)],
                 vectors=[width], flops=flops * width + 5 * width, record_bytes=F32 * width * (taps - 1 + 1))


def gated_conv(d, taps, bias):
    """LFM2's short convolution: C * conv(B * x)."""
    return Block([Matrix(3 * d, d, bias), Matrix(d, taps, bias, role="f32"), Matrix(d, d, bias)], flops=2 * d,
                 record_bytes=F32 * d * (taps - 1))
