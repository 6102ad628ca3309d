#!/usr/bin/env python3
"""Counts what a step of a model costs, from its config.json alone, by formulas of its own: parameters, floating-point
operations and bytes by context, bytes of state. Godwit's anatomy (docs/audit.md) must agree to the last unit.

    anatomy.py                        writes anatomy.json for the tiny models and some shapes with random weights
    anatomy.py CONFIG [TYPE [CHUNK]]  prints the counts of one config.json, weights of TYPE (default q8_0)

What is counted, as docs/audit.md defines it: a multiply-add is two operations; a norm 4 an element, a rotation 6 a pair,
a gated activation 5 an element, a residual 1, a cap 3. Bytes are those of weights and of keys and values (f16) that must
be read once; quantized matrices have their rows padded to 16; an embedding is one row.
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
BLOCKS = {"f32": (1, 4), "f16": (1, 2), "bf16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18), "q4_1": (32, 20)}
PADDED = {"q8_0", "q4_1"}
KV_BYTES = 2
DEFAULTS = {
    "LlamaForCausalLM": dict(num_key_value_heads=None, head_dim=None, tie_word_embeddings=False),
    "MistralForCausalLM": dict(num_key_value_heads=8, head_dim=None, tie_word_embeddings=False, sliding_window=4096),
    "MinistralForCausalLM": dict(num_key_value_heads=8, head_dim=None, tie_word_embeddings=False, sliding_window=4096),
    "Qwen3ForCausalLM": dict(num_key_value_heads=32, head_dim=128, tie_word_embeddings=False, sliding_window=4096,
                             max_window_layers=28),
    "Gemma3ForCausalLM": dict(num_key_value_heads=4, head_dim=256, tie_word_embeddings=True, sliding_window=4096,
                              sliding_window_pattern=6),
}


def windows(c, kind):
    """The window of each layer; None: it sees all."""
    n = c["num_hidden_layers"]
    w = c.get("sliding_window")
    if not w or (kind == "Qwen3ForCausalLM" and not c.get("use_sliding_window")):
        return [None] * n
    if c.get("layer_types"):
        return [w if t == "sliding_attention" else None for t in c["layer_types"]]
    if kind in ("MistralForCausalLM", "MinistralForCausalLM"):
        return [w] * n
    if kind == "Qwen3ForCausalLM":
        return [w if i >= c["max_window_layers"] else None for i in range(n)]
    if kind == "Gemma3ForCausalLM":
        p = c["sliding_window_pattern"]
        return [w if (i + 1) % p else None for i in range(n)]
    return [None] * n


class Counter:
    def __init__(self, config, weight_type):
        self.kind = config["architectures"][0]
        c = {**DEFAULTS[self.kind], **{k: v for k, v in config.items() if v is not None}}
        self.d, self.ff, self.vocab = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
        self.heads = c["num_attention_heads"]
        self.kv = c["num_key_value_heads"] or self.heads
        self.dim = c["head_dim"] or self.d // self.heads
        self.type, self.tied = weight_type, c["tie_word_embeddings"]
        self.windows = windows(c, self.kind)
        self.attention_bias, self.mlp_bias = bool(c.get("attention_bias")), bool(c.get("mlp_bias"))
        self.qk_norm = self.kind in ("Qwen3ForCausalLM", "Gemma3ForCausalLM")
        self.four_norms = self.kind == "Gemma3ForCausalLM"
        self.cap = bool(c.get("final_logit_softcapping"))
        rope = c.get("rope_parameters") or {}
        partial = rope.get("partial_rotary_factor") or c.get("partial_rotary_factor") or 1.0
        self.pairs = int(self.dim * partial) // 2
        self.context = c["max_position_embeddings"]

    def matrix(self, n, k):
        kind = self.type if k % BLOCKS[self.type][0] == 0 else "f16"
        block, size = BLOCKS[kind]
        rows = -(-n // 16) * 16 if kind in PADDED else n
        return rows * (k // block) * size

    def row(self, k):
        kind = self.type if k % BLOCKS[self.type][0] == 0 else "f16"
        return k // BLOCKS[kind][0] * BLOCKS[kind][1]

    def matrices(self):
        """(outputs, inputs, biased) of a layer."""
        q, kv, b, m = self.heads * self.dim, self.kv * self.dim, self.attention_bias, self.mlp_bias
        return [(q, self.d, b), (kv, self.d, b), (kv, self.d, b), (self.d, q, b),
                (self.ff, self.d, m), (self.ff, self.d, m), (self.d, self.ff, m)]

    def layer_gains(self):
        return (4 if self.four_norms else 2) * self.d + (2 * self.dim if self.qk_norm else 0)

    def parameters(self):
        layer = sum(n * k + (n if b else 0) for n, k, b in self.matrices()) + self.layer_gains()
        embedding = self.vocab * self.d
        return {"total": embedding * (1 if self.tied else 2) + self.d + layer * len(self.windows),
                "embedding": embedding}

    def weights_bytes(self):
        layer = sum(self.matrix(n, k) + (4 * n if b else 0) for n, k, b in self.matrices()) + 4 * self.layer_gains()
        return self.matrix(self.vocab, self.d) * (1 if self.tied else 2) + 4 * self.d + layer * len(self.windows)

    @staticmethod
    def seen(position, window):
        return min(position + 1, window or position + 1)

    def layers_flops(self, position):
        """Of one token at this position, all layers."""
        total = 0
        for window in self.windows:
            total += sum(2 * n * k + (n if b else 0) for n, k, b in self.matrices())
            total += 4 * (4 if self.four_norms else 2) * self.d
            if self.qk_norm:
                total += 4 * (self.heads + self.kv) * self.dim
            total += 6 * (self.heads + self.kv) * self.pairs
            total += self.heads * 4 * self.dim * self.seen(position, window)
            total += 5 * self.ff + 2 * self.d
        return total

    def head_flops(self):
        return 4 * self.d + 2 * self.vocab * self.d + (3 * self.vocab if self.cap else 0)

    def step_bytes(self, past, tokens, with_head):
        """Of a step of `tokens` tokens of one sequence after `past` others."""
        per_key = 2 * self.kv * self.dim * KV_BYTES
        layer = sum(self.matrix(n, k) + (4 * n if b else 0) for n, k, b in self.matrices()) + 4 * self.layer_gains()
        total = tokens * self.row(self.d) + layer * len(self.windows)
        for window in self.windows:
            first = max(0, past - window + 1) if window else 0
            total += (past + tokens - first) * per_key
        return total + (4 * self.d + self.matrix(self.vocab, self.d) if with_head else 0)

    def state_per_token(self):
        return 2 * self.kv * self.dim * KV_BYTES * len(self.windows)

    def counts(self, contexts, chunk):
        chunk = min(chunk, self.context)
        return {
            "parameters": self.parameters(),
            "weights_bytes": self.weights_bytes(),
            "state_per_token_bytes": self.state_per_token(),
            "context_length": self.context,
            "chunk": chunk,
            "at": [{"context": c,
                    "decode_flops": self.layers_flops(c) + self.head_flops(),
                    "decode_bytes": self.step_bytes(c, 1, True),
                    "prefill_flops": self.layers_flops(c),
                    "chunk_bytes": self.step_bytes(c, chunk, False) if c + chunk <= self.context else None}
                   for c in contexts if c < self.context],
        }


SHAPES = {  # of 0.1 to 1.2 B parameters, with random weights
    "llama": dict(architectures=["LlamaForCausalLM"], vocab_size=32000, hidden_size=640, intermediate_size=1728,
                  num_hidden_layers=16, num_attention_heads=10, num_key_value_heads=5, max_position_embeddings=4096),
    "qwen3": dict(architectures=["Qwen3ForCausalLM"], vocab_size=50001, hidden_size=1024, intermediate_size=3072,
                  num_hidden_layers=24, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
                  max_position_embeddings=8192, tie_word_embeddings=True),
    "gemma3": dict(architectures=["Gemma3ForCausalLM"], vocab_size=65536, hidden_size=1152, intermediate_size=6912,
                   num_hidden_layers=26, num_attention_heads=4, num_key_value_heads=1, head_dim=256,
                   max_position_embeddings=16384, sliding_window=512, final_logit_softcapping=30.0),
}


def main():
    if len(sys.argv) > 1:
        config = json.load(open(sys.argv[1]))
        kind = sys.argv[2] if len(sys.argv) > 2 else "q8_0"
        chunk = int(sys.argv[3]) if len(sys.argv) > 3 else 512
        counter = Counter(config, kind)
        points = [c for c in (0, 1, 127, 128, 511, 512, 1000, 1023, 4096, 8192) if c < counter.context]
        print(json.dumps(counter.counts(points, chunk), indent=1))
        return
    golden = []
    for folder in sorted((HERE / "tiny").iterdir()):
        config = json.load(open(folder / "config.json"))
        counts = Counter(config, "f32").counts([0, 1, 6, 7, 8, 9, 30, 31, 60, 100], 512)
        golden.append({"folder": folder.name, **counts})
    for name, config in SHAPES.items():
        counter = Counter(config, "q8_0")
        golden.append({"config": config, **counter.counts([0, 1, 510, 511, 512, 2047, 3000, counter.context - 1], 512)})
    (HERE / "anatomy.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
