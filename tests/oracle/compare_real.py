"""How far a run is from the reference of real_reference.py.

Usage: compare_real.py REFERENCE.npz LOGITS.safetensors      (the output of `godwit logits --ids-file REFERENCE.ids.json`)
"""
import argparse

import numpy as np
from safetensors import safe_open


def log_softmax(logits):
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("logits")
    args = parser.parse_args()

    reference = np.load(args.reference)
    ids, want, rows, stored = (reference[k] for k in ("ids", "next", "rows", "logits"))
    row_of = {int(t): i for i, t in enumerate(rows)}
    with safe_open(args.logits, "numpy") as file:
        got = file.get_slice("logits.0")
        shape = got.get_shape()
        if shape != [len(ids), stored.shape[1]]:
            raise SystemExit(f"logits.0 is {shape}, expected {[len(ids), stored.shape[1]]}")
        after, divergence, same, apart = [], [], [], 0.0
        for at in range(0, len(ids), 32):
            raw = got[at:at + 32]
            logp = log_softmax(raw)
            for i, t in enumerate(range(at, at + len(logp))):
                if t + 1 < len(ids):
                    after.append(logp[i, ids[t + 1]])
                if t in row_of:
                    truth = stored[row_of[t]]
                    p = log_softmax(truth)
                    divergence.append((np.exp(p) * (p - logp[i])).sum())
                    same.append(int(truth.argmax()) == int(raw[i].argmax()))
                    apart = max(apart, float(np.abs(truth - raw[i]).max()))
    after = np.array(after)
    delta = np.abs(after - want)
    mine, theirs = np.exp(-after.mean()), np.exp(-want.mean())
    print(f"next tokens    {len(after)}")
    print(f"mean |delta|   {delta.mean():.6g}   of their log probabilities")
    print(f"largest        {delta.max():.6g}   at position {int(delta.argmax())}")
    print(f"mean KL        {np.mean(divergence):.6g}   over {len(divergence)} positions, largest {np.max(divergence):.6g}")
    print(f"same best      {np.mean(same):.4%}   of those positions; largest |delta logit| {apart:.6g}")
    print(f"perplexity     {mine:.6f}   reference {theirs:.6f}, relative difference {mine / theirs - 1:+.3e}")


if __name__ == "__main__":
    main()
