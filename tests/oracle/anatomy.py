#!/usr/bin/env python3
"""Counts what a step of a model costs, from its config.json alone, by formulas of its own: parameters, floating-point
operations and bytes by context, bytes of state. Godwit's anatomy (docs/audit.md) must agree to the last unit.

    anatomy.py                        writes anatomy.json for the tiny models and some shapes with random weights
    anatomy.py CONFIG [TYPE [CHUNK]]  prints the counts of one config.json, weights of TYPE (default q8_0)

What is counted, as docs/audit.md defines it: a multiply-add is two operations; a norm 4 an element, a rotation 6 a
pair, a gated activation 5 an element, a sigmoid or an activation alone 4, a clamp 2, a residual or a factor 1, a cap 3;
of a router 1 a score, of experts' outputs 2 an element to weigh and add.

Bytes are those of weights and of state (f16; records of recurrences f32) that must be read once; quantized matrices
have their rows padded to 16 (each expert's and each head's by itself); an embedding is one row.

A step of T tokens reads in each layer at least k experts, at most min(E, T k), and, were each token's choice uniform
and independent, E (1 - (1 - k / E)^T) on average: weight_bytes are {least, expected, most}, expected not rounded.
"""
import json
import pathlib
import sys

from anatomy_configs import SHAPES
from anatomy_shapes import DEFAULTS, Model

HERE = pathlib.Path(__file__).parent
BLOCKS = {"f32": (1, 4), "f16": (1, 2), "bf16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18), "q4_1": (32, 20),
          "mxfp4": (32, 17)}
PADDED = {"q8_0", "q4_0", "q4_1", "mxfp4"}
STATE_BYTES = 2  # of a value
SEQUENCES = 8    # of the steps of several


def stored(config, otherwise):
    """The types of the file's weights by role; FP8 is decoded to f32 when it is read."""
    method = (config.get("quantization_config") or {}).get("quant_method")
    types = {"fp8": dict(table="bf16", linear="f32", expert="f32"),
             "mxfp4": dict(table="bf16", linear="bf16", expert="mxfp4")}
    return types.get(method, dict.fromkeys(("table", "linear", "expert"), otherwise)) | {"f32": "f32"}


def touched(copies, used, tokens):
    """(least, expected, most) copies that some tokens use."""
    return used, copies * (1 - (1 - used / copies) ** tokens), min(copies, used * tokens)


class Counter:
    def __init__(self, config, otherwise):
        self.model, self.types = Model(config), stored(config, otherwise)
        self.blocks = [block for layer in self.model.layers for block in layer]
        self.own = [block for block in self.blocks if not block.again]  # each parameter once

    def matrix_bytes(self, n, k, role):
        kind = self.types[role]
        if k % BLOCKS[kind][0]:
            kind = "f16"
        block, size = BLOCKS[kind]
        return (-(-n // 16) * 16 if kind in PADDED else n) * (k // block) * size

    def bytes_of(self, m):
        """Of one of its copies."""
        return self.matrix_bytes(m.n, m.k, m.role) + (4 * m.n if m.biased else 0)

    def vectors(self, blocks):
        """Elements of gains, sinks, decays and correction biases of these blocks and of all layers' norms."""
        return sum(sum(b.vectors) for b in blocks) + len(self.model.layers) * self.model.norms * self.model.d

    def parameters(self):
        m = self.model
        table = m.vocab * m.d
        total = table * (1 if m.tied else 2) + m.d + self.vectors(self.own)
        active = total
        for block in self.own:
            for x in block.matrices:
                one = x.n * x.k + (x.n if x.biased else 0)
                total += x.copies * one
                active += (x.copies if x.used is None else x.used) * one
        return {"total": total, "active": active, "embedding": table}

    def table_bytes(self):
        return self.matrix_bytes(self.model.vocab, self.model.d, "table")

    def weights_bytes(self):
        layers = sum(x.copies * self.bytes_of(x) for b in self.own for x in b.matrices)
        tables = self.table_bytes() * (1 if self.model.tied else 2)
        return layers + tables + 4 * self.vectors(self.own) + 4 * self.model.d

    @staticmethod
    def seen(position, window):
        return min(position + 1, window or position + 1)

    def layers_flops(self, position):
        """Of one token at this position, all layers."""
        m = self.model
        total = len(m.layers) * (4 * m.norms + m.residuals) * m.d
        for block in self.blocks:
            total += block.flops + block.flops_per_key * self.seen(position, block.window)
            for x in block.matrices:
                total += (x.copies if x.used is None else x.used) * (2 * x.n * x.k + (x.n if x.biased else 0))
        return total

    def head_flops(self):
        m = self.model
        return 4 * m.d + (2 * m.d + m.logit_flops) * m.vocab

    def weights_read(self, tokens, with_head):
        """Of a step of so many tokens, of whatever sequences; blocks that layers share are read in each."""
        m = self.model
        row = self.matrix_bytes(16, m.d, "table") // 16
        fixed = tokens * row + 4 * self.vectors(self.blocks) + (4 * m.d + self.table_bytes() if with_head else 0)
        least = expected = most = fixed
        for block in self.blocks:
            for x in block.matrices:
                counts = (x.copies,) * 3 if x.used is None else touched(x.copies, x.used, tokens)
                least, expected, most = (a + n * self.bytes_of(x) for a, n in zip((least, expected, most), counts))
        return {"least": least, "expected": expected, "most": most}

    def state_read(self, past, tokens):
        """Of a step of `tokens` tokens of one sequence after `past` others."""
        total = 0
        for block in self.blocks:
            first = max(0, past - block.window + 1) if block.window else 0
            total += (past + tokens - first) * block.state_values * STATE_BYTES + block.record_bytes
        return total

    def counts(self, contexts, chunk):
        context = self.model.context
        chunk = min(chunk, context)
        return {
            "parameters": self.parameters(),
            "weights_bytes": self.weights_bytes(),
            "state_per_token_bytes": sum(b.state_values for b in self.blocks) * STATE_BYTES,
            "context_length": context,
            "chunk": chunk,
            "weight_bytes": {"decode": self.weights_read(1, True),
                             f"decode_{SEQUENCES}": self.weights_read(SEQUENCES, True),
                             "chunk": self.weights_read(chunk, False)},
            "at": [{"context": c,
                    "decode_flops": self.layers_flops(c) + self.head_flops(),
                    "decode_state_bytes": self.state_read(c, 1),
                    "prefill_flops": self.layers_flops(c),
                    "chunk_state_bytes": self.state_read(c, chunk) if c + chunk <= context else None}
                   for c in contexts if c < context],
        }


def main():
    if len(sys.argv) > 1:
        config = json.load(open(sys.argv[1]))
        kind = sys.argv[2] if len(sys.argv) > 2 else "q8_0"
        chunk = int(sys.argv[3]) if len(sys.argv) > 3 else 512
        counter = Counter(config, kind)
        points = [c for c in (0, 1, 127, 128, 511, 512, 1000, 1023, 4096, 8192) if c < counter.model.context]
        print(json.dumps(counter.counts(points, chunk), indent=1))
        return
    golden = []
    for folder in sorted((HERE / "tiny").iterdir()):
        config = json.load(open(folder / "config.json"))
        if config["architectures"][0] not in DEFAULTS:
            sys.exit(f"{folder.name}: neither anatomy_shapes.py nor anatomy_hybrids.py has its class")
        counts = Counter(config, "f32").counts([0, 1, 6, 7, 8, 9, 30, 31, 60, 100], 512)
        golden.append({"folder": folder.name, **counts})
    for config in SHAPES.values():
        counter = Counter(config, "q8_0")
        last = counter.model.context - 1
        golden.append({"config": config, **counter.counts([0, 1, 510, 511, 512, 2047, 3000, last], 512)})
    (HERE / "anatomy.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
