"""Tokenizer, chat template and stop ids through `godwit convert`: GGUF to folder to GGUF, and the folder in transformers.

Usage: check_text.py GODWIT LINES MODEL.gguf... [--template FILE]

GODWIT is the program, LINES tests/oracle/tokenizer_lines, built. For each model: the ids of 1,000 texts by the first GGUF
file, the folder, the second GGUF file, and transformers' AutoTokenizer on the folder; six chats (system, tools and their
result, parts, reasoning, empty, generation prompt) as text and ids by all four; the ids that end an answer by all three of
ours. --template is for models without one. Prints how many differ.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from transformers import AutoTokenizer

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather of a place, now", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}]
CALL = {"id": "call12345", "type": "function", "function": {"name": "weather", "arguments": {"place": "Tromsø"}}}
CHATS = {
    "system": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi  there\n"}],
               "add_generation_prompt": True},
    "tools": {"messages": [{"role": "user", "content": "How warm is it?"},
                           {"role": "assistant", "content": "", "tool_calls": [CALL]},
                           {"role": "tool", "tool_call_id": "call12345", "name": "weather", "content": "{\"c\": -3}"},
                           {"role": "assistant", "content": "Three below."}], "tools": TOOLS},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]}],
              "add_generation_prompt": True},
    "reasoning": {"messages": [{"role": "user", "content": "7 * 6?"},
                               {"role": "assistant", "reasoning_content": "Six sevens.", "content": "<think>\nA\n</think>\n42"},
                               {"role": "user", "content": "So?"}], "add_generation_prompt": True},
    "empty": {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]},
    "unicode": {"messages": [{"role": "user", "content": " Ünïcödé 𝄞 日本語\t🙂👩‍👩‍👧  x"},
                             {"role": "assistant", "content": "ok"}, {"role": "user", "content": "```py\n  a = 1\n```"}],
                "add_generation_prompt": True},
}


def texts(seed):
    draw = random.Random(seed)
    alphabets = ["abcdefghijklmnopqrstuvwxyz", "ABCXYZ", "0123456789", " \t\n\r\u00a0\u3000", ".,;:!?'\"()[]{}<>|/\\-_=+*&^%$#@~`",
                 "äöüßéèñçøåÆŒ", "абвгдеёжзий", "日本語中文字漢", "한국어글자", "ひらがなカタカナ", "עבריתאב", "العربية", "हिन्दी", "ไทย", "🙂👩‍🚀🇳🇴❤️",
                 "\u0301\u0308\u200d\ufeff"]
    words = ["the", "Godwit's", "I'm", "we'LL", " of", "return", "int main() {", "https://example.org/a?b=c", "3.14159", "1,000,000",
             "\n\n", "    ", "\r\n", "don't", "naïve", "=>", "==", "/* */"]
    yield from ["", " ", "a", "  a", "a  ", "\n", "\u2581", "\u2581a \u2581"]
    for _ in range(992):
        out = []
        for _ in range(draw.randint(1, 30)):
            if draw.random() < 0.4:
                out.append(draw.choice(words))
            else:
                out.append("".join(draw.choice(draw.choice(alphabets)) if draw.random() < 0.2 else c
                                   for c in draw.choices(draw.choice(alphabets), k=draw.randint(1, 8))))
            out.append(draw.choice(["", "", " "]))
        yield "".join(out)


def ids_by(lines, path, items):
    out = subprocess.run([lines, path, "--frame"], input="".join(json.dumps(t) + "\n" for t in items), text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    return [[int(i) for i in line.split("\t")[0].split()] for line in out.splitlines()]


def chat_by(godwit, model, chat, work, template):
    file = work / "chat.json"
    file.write_text(json.dumps(chat))
    flags = ["--template", template] if template else []
    run = subprocess.run([godwit, "tokenize", model, "--chat", file, "--json", *flags], text=True, capture_output=True)
    if run.returncode != 0:
        return ("error", None)
    result = json.loads(run.stdout)
    return result["text"], result["ids"]


def chat_by_transformers(tokenizer, chat, template):
    options = dict(chat)
    messages = options.pop("messages")
    if template:
        options["chat_template"] = pathlib.Path(template).read_text()
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except Exception:  # what raise_exception and undefined names throw
        return ("error", None)
    bos = tokenizer.bos_token
    ids = tokenizer(text, add_special_tokens=not (bos and text.startswith(bos)))["input_ids"]
    return text, ids


def check(godwit, lines, model, template, work):
    folder, again = work / "folder", work / "again.gguf"
    for source, target in ((model, folder), (folder, again)):
        subprocess.run([godwit, "convert", source, target, "-q"], check=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    items = list(texts(1))
    reference = ids_by(lines, model, items)
    others = {"folder": ids_by(lines, folder / "tokenizer.json", items), "second file": ids_by(lines, again, items),
              "transformers": [tokenizer(t)["input_ids"] for t in items]}
    bad = 0
    for name, ids in others.items():
        wrong = [i for i in range(len(items)) if ids[i] != reference[i]]
        print(f"{name}: {len(wrong)} of {len(items)} texts differ", *(repr(items[i][:60]) for i in wrong[:3]))
        bad += len(wrong)
    for name, chat in CHATS.items():
        first = chat_by(godwit, model, chat, work, template)
        for other, got in (("folder", chat_by(godwit, folder, chat, work, template)),
                           ("second file", chat_by(godwit, again, chat, work, template)),
                           ("transformers", chat_by_transformers(tokenizer, chat, template))):
            if got != first:
                print(f"chat {name}: {other} differs:\n  {first}\n  {got}")
                bad += 1
        print(f"chat {name}: {len(first[1])} ids" if first[1] is not None else f"chat {name}: refused")
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("godwit")
    parser.add_argument("lines")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--template")
    options = parser.parse_args()
    bad = 0
    for model in options.models:
        print(model)
        with tempfile.TemporaryDirectory() as work:
            bad += check(options.godwit, options.lines, model, options.template, pathlib.Path(work))
    print(f"{bad} differences")
    sys.exit(bad != 0)


main()
