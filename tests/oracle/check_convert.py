"""Converted models against transformers: every model of tests/oracle/tiny, as a folder written from a folder and from a
GGUF file, must load and give the logits of golden.safetensors.

Usage: check_convert.py GODWIT [NAME...]
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file
from transformers.utils import logging

TINY = pathlib.Path(__file__).parent / "tiny"
TOLERANCE = 1e-4
logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)


def difference(folder, golden):
    """The largest difference of logits."""
    model_class = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    net = model_class.from_pretrained(folder, attn_implementation="eager", experts_implementation="eager",
                                      dtype=torch.float32).eval()
    with torch.no_grad():
        logits = net(golden["ids"].long()[None], use_cache=False).logits[0].float()
    return (logits - golden["logits"]).abs().max().item()


def convert(godwit, source, target):
    subprocess.run([godwit, "convert", source, target, "-q"], check=True)


def main():
    godwit, names = sys.argv[1], sys.argv[2:] or sorted(p.name for p in TINY.iterdir() if p.is_dir())
    bad = 0
    for name in names:
        golden = load_file(TINY / name / "golden.safetensors")
        with tempfile.TemporaryDirectory() as temp:
            temp = pathlib.Path(temp)
            convert(godwit, TINY / name, temp / "direct")
            convert(godwit, TINY / name, temp / "model.gguf")
            convert(godwit, temp / "model.gguf", temp / "back")
            direct, back = (difference(temp / f, golden) for f in ("direct", "back"))
        ok = max(direct, back) <= TOLERANCE
        bad += not ok
        print(f"{name:24} folder {direct:.1e}  gguf, folder {back:.1e}  {'ok' if ok else 'DIFFERS'}", flush=True)
    print(f"{len(names) - bad} of {len(names)} within {TOLERANCE}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
