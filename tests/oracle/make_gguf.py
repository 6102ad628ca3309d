"""Golden GGUF files, written by gguf-py: tests/oracle/formats/*.gguf.

values.gguf has a value of every type, an array of every element type, alignment 64 and tensors of five types;
split-0000N-of-00003.gguf are one model in three parts. tests/formats/gguf_golden_test.cpp repeats the values.
"""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType as T, GGUFWriter
from gguf.quants import quantize

OUT = pathlib.Path(__file__).parent / "formats"

SCALARS = {
    "u8": (T.UINT8, 200), "i8": (T.INT8, -100), "u16": (T.UINT16, 60000), "i16": (T.INT16, -30000),
    "u32": (T.UINT32, 4000000000), "i32": (T.INT32, -2000000000), "u64": (T.UINT64, 2**64 - 1),
    "i64": (T.INT64, -(2**63)), "f32": (T.FLOAT32, 0.1), "f64": (T.FLOAT64, 0.1), "bool": (T.BOOL, True),
    "string": (T.STRING, "h\u00e9llo \U0001f30d"),
}
ARRAYS = {
    "u8": (T.UINT8, [0, 255]), "i8": (T.INT8, [-128, 127]), "u16": (T.UINT16, [0, 65535]),
    "i16": (T.INT16, [-32768, 32767]), "u32": (T.UINT32, [0, 2**32 - 1]), "i32": (T.INT32, [-(2**31), 2**31 - 1]),
    "u64": (T.UINT64, [0, 2**63 - 1]), "i64": (T.INT64, [-(2**63), 2**63 - 1]), "f32": (T.FLOAT32, [0.5, -2.25]),
    "f64": (T.FLOAT64, [0.1, 1e300]), "bool": (T.BOOL, [True, False, True]), "string": (T.STRING, ["", "a", "\u00df"]),
}


def ramp(*shape):
    return (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 8) / 4


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_values():
    writer = GGUFWriter(OUT / "values.gguf", "llama")
    writer.add_custom_alignment(64)
    for name, (kind, value) in SCALARS.items():
        writer.add_key_value(f"llama.scalar.{name}", value, kind)
    for name, (kind, values) in ARRAYS.items():
        writer.add_key_value(f"llama.array.{name}", values, T.ARRAY, sub_type=kind)
    writer.add_tensor("f32", ramp(3, 5))
    writer.add_tensor("f16", ramp(2, 3, 4).astype(np.float16))
    writer.add_tensor("rank4", ramp(2, 1, 2, 2))
    for name in ("BF16", "Q8_0", "Q4_K"):
        kind = GGMLQuantizationType[name]
        x = ramp(2, 256)
        # gguf-py has no encoder of Q4_K: any bytes will do.
        data = (np.arange(2 * 144) % 251).astype(np.uint8).reshape(2, 144) if name == "Q4_K" else quantize(x, kind)
        writer.add_tensor(name.lower(), data, raw_dtype=kind)
    close(writer)


def make_split():
    writer = GGUFWriter(OUT / "split.gguf", "llama", split_max_tensors=2)
    writer.add_block_count(2)
    for i in range(5):
        writer.add_tensor(f"t{i}", np.full((2, 3), i, np.float32))
    close(writer)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    make_values()
    make_split()
    for path in sorted(OUT.glob("*.gguf")):
        print(path.name, path.stat().st_size)
