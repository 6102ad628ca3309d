"""One head of Mamba-2 (state space duality, arXiv 2405.21060) in three forms that must agree, in double, and goldens:
ssd.safetensors over 4,096 tokens and spaces.json over five.

    recurrence  S = exp(dt A) S + dt x B^T, y = S C, token by token
    chunks      pieces of 32 tokens: within one, masked products; between them, the state
    quadratic   Y = (exp(c_t - c_s) [s <= t] * C B^T) (dt x), c the running sum of dt A, over the whole sequence

Every input is fill(shape, a, b)[i] = sin(a i + b), i from 0 in row-major order, so that a test makes it again.

Usage: ssd.py        prints the largest differences, in parts of the largest |y|, and writes both files
"""
import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
T, HEADS, GROUPS, WIDTH, STATE = 4096, 2, 1, 4, 8
CHUNK = 32


def fill(shape, a, b):
    return np.sin(a * np.arange(np.prod(shape), dtype=np.float64) + b).reshape(shape)


def softplus(x):
    return np.logaddexp(0.0, x)


def silu(x):
    return x / (1 + np.exp(-x))


def recurrence(x, dt, rate, b, c):
    """(y [T, P], state [P, N]) of x [T, P], dt [T], rate < 0, b and c [T, N]."""
    state, y = np.zeros((x.shape[1], b.shape[1])), np.empty_like(x)
    for t in range(len(x)):
        state = np.exp(dt[t] * rate) * state + np.outer(dt[t] * x[t], b[t])
        y[t] = state @ c[t]
    return y, state


def decays(log_decay):
    """[Q, Q]: the product of the decays after s up to t; 0 where s > t. Summed apart for each s,
    so that no large numbers meet."""
    result = np.zeros((len(log_decay), len(log_decay)))
    for s in range(len(log_decay)):
        result[s:, s] = np.exp(np.concatenate([[0.0], np.cumsum(log_decay[s + 1:])]))
    return result


def quadratic(x, dt, rate, b, c):
    y = (decays(dt * rate) * (c @ b.T)) @ (dt[:, None] * x)
    after = np.exp(np.concatenate([np.cumsum((dt * rate)[:0:-1])[::-1], [0.0]]))
    return y, (after[:, None] * dt[:, None] * x).T @ b


def chunks(x, dt, rate, b, c, size=CHUNK):
    state, y = np.zeros((x.shape[1], b.shape[1])), np.empty_like(x)
    for first in range(0, len(x), size):
        part = slice(first, first + size)
        inner, contribution = quadratic(x[part], dt[part], rate, b[part], c[part])
        before = np.exp(np.cumsum(dt[part] * rate))
        y[part] = inner + before[:, None] * (c[part] @ state.T)
        state = before[-1] * state + contribution
    return y, state


def inputs(heads, groups, width, n, tokens):
    return dict(x=fill((tokens, heads, width), 0.7, 0.1), dt_raw=fill((tokens, heads), 0.9, 0.2),
                dt_bias=fill((heads,), 0.4, 0.3), a_log=fill((heads,), 0.5, 0.3), b=fill((tokens, groups, n), 1.1, 0.4),
                c=fill((tokens, groups, n), 1.3, 0.5), d=fill((heads,), 0.8, 0.6))


def heads_of(given, form, rate_scale=1.0):
    """(y [T, heads, P] without the D x term, state [heads, P, N]). A is -exp(a_log) times rate_scale."""
    heads = given["x"].shape[1]
    dt = softplus(given["dt_raw"] + given["dt_bias"])
    of_group = heads // given["b"].shape[1]
    parts = [form(given["x"][:, h], dt[:, h], -np.exp(given["a_log"][h]) * rate_scale, given["b"][:, h // of_group],
                  given["c"][:, h // of_group]) for h in range(heads)]
    return np.stack([y for y, _ in parts], 1), np.stack([s for _, s in parts])


def long_golden():
    given = inputs(HEADS, GROUPS, WIDTH, STATE, T)
    tensors, chosen = {}, np.unique(np.concatenate([[0, 1, 31, 32, 33, 63, 64, 4095], np.arange(37, T, 72)]))[:64]
    chosen[-1] = T - 1
    for name, scale in (("fast", 1.0), ("slow", 1 / 256)):
        y, state = heads_of(given, recurrence, scale)
        for form in (chunks, quadratic):
            other, other_state = heads_of(given, form, scale)
            print(f"{name} {form.__name__:9} y {np.abs(other - y).max() / np.abs(y).max():.1e} "
                  f"state {np.abs(other_state - state).max() / np.abs(state).max():.1e}")
            assert np.abs(other - y).max() < 1e-12 * np.abs(y).max()
        y += given["d"][:, None] * given["x"]
        tensors |= {f"{name}.y": y[chosen].astype(np.float32), f"{name}.state": state.astype(np.float32)}
    save_file(tensors | {"tokens": chosen.astype(np.int32)}, HERE / "ssd.safetensors")


def mamba2_of_five():
    given = inputs(4, 2, 2, 3, 5)
    y, state = heads_of(given, recurrence)
    gated = (y + given["d"][:, None] * given["x"]).reshape(5, 8) * silu(fill((5, 8), 0.6, 0.7))
    grouped = gated.reshape(5, 2, 4)
    normed = (grouped / np.sqrt((grouped ** 2).mean(-1, keepdims=True) + 1e-5)).reshape(5, 8)
    out = normed * (1 + 0.1 * fill((8,), 0.3, 0.2))
    assert abs((out * fill((5, 8), 0.37, 0.9)).sum() + 9.739477182) < 1e-8
    return dict(gated=gated.tolist(), out=out.tolist(), state=state.tolist())


def mamba1_of_five():
    x, raw, a_log, b, c = (fill(*f) for f in (((5, 3), 0.7, 0.1), ((5, 3), 0.9, 0.2), ((3, 4), 0.5, 0.3),
                                              ((5, 4), 1.1, 0.4), ((5, 4), 1.3, 0.5)))
    dt, state, y = softplus(raw), np.zeros((3, 4)), np.empty((5, 3))
    for t in range(5):
        state = np.exp(dt[t][:, None] * -np.exp(a_log)) * state + (dt[t] * x[t])[:, None] * b[t]
        y[t] = state @ c[t]
    out = (y + fill((3,), 0.8, 0.6) * x) * silu(fill((5, 3), 0.6, 0.7))
    assert abs((out * fill((5, 3), 0.37, 0.9)).sum() - 4.799421998) < 1e-8
    return dict(out=out.tolist(), state=state.tolist())


if __name__ == "__main__":
    long_golden()
    (HERE / "spaces.json").write_text(json.dumps(dict(mamba1=mamba1_of_five(), mamba2=mamba2_of_five()),
                                                 indent=1) + "\n")
