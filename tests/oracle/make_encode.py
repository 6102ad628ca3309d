"""Golden encodings: tests/oracle/dtypes/encode_<TYPE>.bin.

Each file is: u32 n, n f32 values, then the bytes that gguf.quants.quantize makes of them, all little-endian. The values
are blocks of 32: normal ones from tiny to large, equal magnitudes of both signs, zeros, constants, ties of rounding, and
scales that are subnormal as a half or as a float, or too large for a half.
"""
import pathlib
import struct
import warnings

import gguf
import numpy as np
from gguf.quants import quantize

# The largest magnitude (for the affine types: the range) over the scale.
STEPS = {"F16": 1, "BF16": 1, "Q4_0": 8, "Q4_1": 15, "Q5_0": 16, "Q5_1": 31, "Q8_0": 127}


def blocks_for(name, rng):
    steps = STEPS[name]
    out = [rng.standard_normal(32) * s for s in (1, 1, 1, 0.02, 0.02, 300, 2e4, 3e-5, 1e-6, 1e-20, 1e30)]
    out.append(np.zeros(32))
    out.append(np.full(32, -0.75))
    out.append(np.where(np.arange(32) == 9, 3.5, 0))
    out.append(np.where(rng.integers(0, 2, 32) > 0, 2.5, -2.5))
    out.append(np.abs(rng.standard_normal(32)) + 1)
    out.append(rng.integers(-2 * steps, 2 * steps + 1, 32) / 2)  # codes halfway between two
    out.append(rng.uniform(-1, 1, 32) * steps * 2.0**-20)         # the scale is a subnormal half
    tiny = rng.uniform(0, 1, 32) * 5e-39 * steps                  # the scale is a subnormal float, its inverse is finite
    tiny[:2] = 0, 5e-39 * steps
    out.append(tiny)
    bits = rng.integers(0, 1 << 32, 8 * 32, dtype=np.uint32)      # any finite values: for F16 and BF16
    if name in ("F16", "BF16"):
        bits[(bits & 0x7F800000) == 0x7F800000] &= 0xBFFFFFFF
        bits[::2] &= 0xFFFF8000                                   # ties in BF16
        bits[1::4] = (bits[1::4] & 0x8FFFFFFF) | 0x30000000       # around the range of halves
        out.append(bits.view(np.float32))
    return np.concatenate(out).astype(np.float32)


def make(name):
    kind = gguf.GGMLQuantizationType[name]
    x = blocks_for(name, np.random.default_rng([23, int(kind)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scales that overflow a half
        data = quantize(x, kind).tobytes()
    out = pathlib.Path(__file__).parent / "dtypes" / f"encode_{name}.bin"
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(struct.pack("<I", x.size) + x.tobytes() + data)
    print(f"{name:5} {x.size} values, {len(data)} bytes")


if __name__ == "__main__":
    for type_name in STEPS:
        make(type_name)
