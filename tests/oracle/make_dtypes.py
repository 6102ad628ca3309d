"""Golden decodings of every block format: tests/oracle/dtypes/<TYPE>.bin.

Each file is: u32 n_blocks, n_blocks raw blocks, then the n_blocks * block_size f32 values that gguf.quants.dequantize
gives for them, all little-endian. Bits are random; fp16 fields (scales, or the values themselves) are made finite, and a
part of them subnormal, zero or of the largest exponent. Every product of scale and code is exact in f32, so the values
do not depend on the order of multiplying. MXFP4 ends in blocks of extreme exponents, whose values are subnormal in f32.
"""
import pathlib
import struct

import gguf
import numpy as np
from gguf.quants import dequantize

BLOCKS = 16
# Byte offsets, in a block, of its fp16 fields.
HALVES = {
    "F16": [0], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
    "TQ1_0": [52], "TQ2_0": [64],
}
MXFP4_LAST = [2, 3, 1, 0, 251]  # exponents of the last blocks


def finite_halves(rng, n):
    """n finite fp16 bit patterns: ordinary ones, then at fixed places a zero, subnormals and large ones."""
    sign = rng.integers(0, 2, n, dtype=np.uint16) << 15
    bits = sign | (rng.integers(1, 31, n, dtype=np.uint16) << 10) | rng.integers(0, 1024, n, dtype=np.uint16)
    bits[3::8] = sign[3::8] | rng.integers(1, 1024, bits[3::8].size, dtype=np.uint16)
    bits[5::16] = sign[5::16] | 1
    bits[6::16] = sign[6::16]
    bits[7::16] = sign[7::16] | 0x7BFF
    return bits


def make(name):
    kind = gguf.GGMLQuantizationType[name]
    block_size, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    n = BLOCKS if block_size > 1 else 1024
    rng = np.random.default_rng([17, int(kind)])
    raw = rng.integers(0, 256, (n, block_bytes), dtype=np.uint8)
    for at in HALVES[name]:
        raw[:, at:at + 2] = finite_halves(rng, n).view(np.uint8).reshape(n, 2)
    if name == "BF16":
        bits = raw.view(np.uint16).reshape(-1)
        bits[(bits & 0x7F80) == 0x7F80] &= 0xBFFF
        bits[3::16] &= 0x807F  # subnormal
    if name == "MXFP4":
        raw[:, 0] = rng.integers(96, 144, n)
        raw[-len(MXFP4_LAST):, 0] = MXFP4_LAST
    values = np.asarray(dequantize(raw.reshape(-1), kind), dtype="<f4").reshape(-1)
    assert values.size == n * block_size and np.isfinite(values).all(), name
    out = pathlib.Path(__file__).parent / "dtypes" / f"{name}.bin"
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(struct.pack("<I", n) + raw.tobytes() + values.tobytes())
    print(f"{name:7} {n:5} blocks, values {values.min():.4g} to {values.max():.4g}")


if __name__ == "__main__":
    for type_name in HALVES:
        make(type_name)
