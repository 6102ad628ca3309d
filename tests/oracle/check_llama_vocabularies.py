"""Token ids of llama.cpp's test vocabularies against the ids that it publishes for them.

Usage: check_llama_vocabularies.py TOOL FOLDER     (models/ of llama.cpp: ggml-vocab-*.gguf with .inp and .out)

Prints, a file, how many texts differ. Known differences are llama.cpp's own: its matchers of some expressions are
coarser than the models' tokenizers.
"""
import json
import pathlib
import subprocess
import sys

tool, folder = sys.argv[1], pathlib.Path(sys.argv[2])
for path in sorted(folder.glob("*.gguf.inp")):
    texts = path.read_bytes().decode().split("\n__ggml_vocab_test__\n")
    ids = [[int(x) for x in line.split()] for line in path.with_suffix(".out").read_text().split("\n")]
    ran = subprocess.run([tool, str(path.with_suffix("")), "--no-special"], input="".join(json.dumps(t) + "\n" for t in texts), text=True,
                         capture_output=True)
    if ran.returncode:
        print(f"{path.stem}: {ran.stderr.strip()}")
        continue
    got = [[int(x) for x in line.split("\t")[0].split()] for line in ran.stdout.split("\n")]
    wrong = [i for i, t in enumerate(texts) if ids[i] != got[i]]
    print(f"{path.stem}: {len(texts)} texts, {len(wrong)} differ")
    for i in wrong[:2]:
        print(f"  {texts[i]!r}\n    published {ids[i]}\n    got       {got[i]}")
