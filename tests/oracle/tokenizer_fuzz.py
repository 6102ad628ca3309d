"""Token ids of many fuzzed texts, compared with Hugging Face's tokenizers.

Usage: tokenizer_fuzz.py TOOL WORK [--count N] [--seed S] [--texts FILE...] [--gguf MODEL.gguf...] [--only NAME...]

TOOL is tests/oracle/tokenizer_lines, built; WORK a folder for what is made on the way. Small tokenizers of every kind
are trained; MODEL.gguf are vocabularies of which the same is built by hand: byte-level BPE with its splitter's expression
(tokenizer.ggml.pre), scored BPE with every way to merge two pieces in the order of scores. Texts are real files, cut
into lines and pieces, and used whole. Every kind gets N texts, by default 100,000. Prints, a kind, how many ids and how
many texts put together again differ, and the first of them.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers)

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def cased(han, contraction, digits, tail):
    lead, upper, lower = r"[^\r\n\p{L}\p{N}]?", rf"[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}{han}]", rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}{han}]"
    return (f"{lead}{upper}*{lower}+{contraction}|{lead}{upper}+{lower}*{contraction}" + r"|\p{N}" + digits +
            r"| ?[^\s\p{L}\p{N}]+[\r\n" + tail + r"]*|\s*[\r\n]+|\s+(?!\S)|\s+")


WIDE = "[一-龥ࠀ-一가-\ud7ff]+"
EXPRESSIONS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL],
    "qwen2": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "tekken": [cased("", "", "", "/")],
    "gpt-4o": [cased("", CONTRACTIONS + "?", "{1,3}", "/")],
    "kimi-k2": [r"[\p{Han}]+|" + cased(r"&&[^\p{Han}]", CONTRACTIONS + "?", "{1,3}", "")],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", WIDE, r"\p{N}"],
    "bailingmoe": [r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "minicpm5": [r"\p{N}{1,3}", CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+" + TAIL],
    "laguna": [r"[^\n]+|[\n]+", CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL],
    "poro-chat": [r" ?[^(\s|.,!?…。，、।۔،)]+"],
    "viking": [r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"],
    # Not in the table: these run on the automaton.
    "possessive": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"],
}
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)


def split(name):
    steps = [pre_tokenizers.Split(Regex(e), "isolated") for e in EXPRESSIONS[name]]
    return pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def added(tokenizer, normalized=False):
    tokenizer.add_special_tokens([AddedToken("<|bos|>", normalized=False), AddedToken("<|end|>", normalized=normalized),
                                  AddedToken("<mask>", lstrip=True, normalized=False),
                                  AddedToken("<r>", rstrip=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("word", single_word=True, normalized=False), AddedToken("[tool]", normalized=False),
                          AddedToken("Norm", normalized=True), AddedToken("\n\n", normalized=False)])


def kinds(corpus):
    def trained(model, trainer, pre=None, normalizer=None, decoder=None, frame=None, plain=False):
        tokenizer = Tokenizer(model)
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        if pre is not None:
            tokenizer.pre_tokenizer = pre
        if decoder is not None:
            tokenizer.decoder = decoder
        tokenizer.train_from_iterator(corpus, trainer)
        if not plain:
            added(tokenizer, normalized=normalizer is not None)
        if frame:
            ids = [(t, tokenizer.token_to_id(t)) for t in ("<|bos|>", "<|end|>")]
            tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=ids)
        return tokenizer

    alphabet = pre_tokenizers.ByteLevel.alphabet()

    def byte_level(size=2000):
        return trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet)

    for name in EXPRESSIONS:
        yield f"bpe {name}", lambda name=name: trained(models.BPE(ignore_merges=name in ("llama-bpe", "tekken", "minicpm5")), byte_level(),
                                                      split(name), decoder=decoders.ByteLevel(), plain=name == "gpt-2")
    yield "bpe nfc frame", lambda: trained(models.BPE(), byte_level(), split("qwen2"), normalizers.NFC(), decoders.ByteLevel(),
                                           "<|bos|> $A <|end|>")
    yield "bpe prefix space", lambda: trained(models.BPE(), byte_level(), pre_tokenizers.ByteLevel(add_prefix_space=True),
                                              decoder=decoders.ByteLevel())
    yield "bpe digits", lambda: trained(
        models.BPE(), byte_level(), pre_tokenizers.Sequence([pre_tokenizers.Digits(False), pre_tokenizers.Punctuation("contiguous"),
                                                             pre_tokenizers.ByteLevel(add_prefix_space=False)]), decoder=decoders.ByteLevel())
    yield "bpe removed", lambda: trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<unk>"]),
                                         pre_tokenizers.Split(Regex(r"\s+"), "removed"))
    yield "bpe previous", lambda: trained(models.BPE(unk_token="<unk>", fuse_unk=True), trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<unk>"]),
                                          pre_tokenizers.Split(Regex(r"\W"), "merged_with_previous"), decoder=decoders.Fuse())
    yield "bpe next", lambda: trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<unk>"]),
                                      pre_tokenizers.Split(" ", "merged_with_next"), decoder=decoders.Fuse())
    yield "bpe suffix", lambda: trained(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
                                        trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<unk>"], end_of_word_suffix="</w>"),
                                        pre_tokenizers.WhitespaceSplit(), normalizers.BertNormalizer(), decoders.BPEDecoder())
    yield "bpe prefix", lambda: trained(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"),
                                        trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<unk>"], continuing_subword_prefix="##"),
                                        pre_tokenizers.BertPreTokenizer(), normalizers.Lowercase(), decoders.WordPiece())

    def fallback(scheme):
        bytes_ = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
        tokenizer = trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                            trainers.BpeTrainer(vocab_size=2500, show_progress=False, special_tokens=bytes_, limit_alphabet=200),
                            normalizer=normalizers.Replace(" ", "▁"))
        data = json.loads(tokenizer.to_str())
        data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
        tokenizer = Tokenizer.from_str(json.dumps(data))
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        if scheme == "gemma":
            tokenizer.normalizer = normalizers.Replace(" ", "▁")
            tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        elif scheme == "llama":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        else:
            tokenizer.normalizer = None
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        if scheme not in ("gemma", "never"):
            steps.append(decoders.Strip(" ", 1, 0))
        tokenizer.decoder = decoders.Sequence(steps)
        return tokenizer

    for scheme in ("gemma", "llama", "first", "always", "never"):
        yield f"bpe fallback {scheme}", lambda scheme=scheme: fallback(scheme)

    def unigram(byte_fallback, normalizer):
        specials = ["<unk>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
        tokenizer = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=2000, show_progress=False, special_tokens=specials, unk_token="<unk>"),
                            pre_tokenizers.Metaspace(), normalizer, decoders.Metaspace())
        if not byte_fallback:
            return tokenizer
        data = json.loads(tokenizer.to_str())
        data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
        data["model"]["byte_fallback"] = True
        tokenizer = Tokenizer.from_str(json.dumps(data))
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
        return tokenizer

    yield "unigram", lambda: unigram(False, normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]))
    yield "unigram fallback", lambda: unigram(True, None)
    yield "wordpiece", lambda: trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=2000, show_progress=False, special_tokens=["[UNK]"]),
                                       pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(), decoders.WordPiece(), "<|bos|> $A <|end|>")
    yield "wordlevel", lambda: trained(models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(vocab_size=1000, show_progress=False, special_tokens=["[UNK]"]),
                                       pre_tokenizers.Whitespace(), normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]))


def from_gguf(path):
    """The vocabulary of a GGUF file as a tokenizer of the library."""
    import gguf
    reader = gguf.GGUFReader(path)

    def key(name, missing=None):
        field = reader.get_field("tokenizer.ggml." + name)
        return missing if field is None else field.contents()

    tokens, types = key("tokens"), key("token_type")
    vocabulary = {token: i for i, token in enumerate(tokens)}
    special = [AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind in (CONTROL, UNKNOWN)]
    user = [AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == USER]
    if key("model") == "gpt2":
        merges = [tuple(m.split(" ")) for m in key("merges")]
        pre = {"llama-bpe": "llama-bpe", "refact": "smollm", "starcoder": "smollm", "command-r": "smollm"}.get(key("pre"), key("pre"))
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=pre in ("llama-bpe", "tekken")))
        tokenizer.pre_tokenizer, tokenizer.decoder = split(pre), decoders.ByteLevel()
    else:
        scores = key("scores")
        made = {t for t, kind in zip(tokens, types) if kind == NORMAL}
        ways = []
        for token in made:
            for at in range(1, len(token)):
                if token[:at] in made and token[at:] in made:
                    ways.append((-scores[vocabulary[token]], vocabulary[token], at, (token[:at], token[at:])))
        ways.sort()
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[way[3] for way in ways], byte_fallback=True, fuse_unk=True,
                                         unk_token=tokens[key("unknown_token_id")]))
        steps = [normalizers.Replace(" ", "▁")]
        if key("add_space_prefix", True):
            steps.insert(0, normalizers.Prepend("▁"))
        tokenizer.normalizer = normalizers.Sequence(steps)
        decode = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        if key("add_space_prefix", True):
            decode.append(decoders.Strip(" ", 1, 0))
        tokenizer.decoder = decoders.Sequence(decode)
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(user)
    return tokenizer


CODE = ["def f(x):\n\treturn x+1\n", "#include <vector>\nint main() { return 0; }\n", "SELECT * FROM t WHERE a='b';", "{\"k\": [1, 2.5, null]}",
        "for (i=0;i<10;++i){a[i]+=b[i];}", "x != y && z || !w", "<p class=\"a\">b</p>", "https://e.org/a?b=c#d", "    \t  if a:\n\n\n\tpass"]


class Fuzz:
    """Texts: code points mixed by category, special tokens, white space, long runs, code, pieces of real texts."""

    def __init__(self, seed, texts, specials):
        self.random = random.Random(seed)
        self.texts, self.specials = texts, specials
        self.by_category = {}
        for code in range(0x110000):
            category = unicodedata.category(chr(code))
            if category not in ("Cs", "Co", "Cn"):
                self.by_category.setdefault(category, []).append(chr(code))
        self.categories = sorted(self.by_category)
        self.common = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789 \n\t.,!?'-_/()éüßЖжאبकあア漢字한")

    def character(self):
        r = self.random.random()
        if r < 0.6:
            return self.random.choice(self.common)
        if r < 0.62:
            return self.random.choice("▁ſ\u0130\u01c5\u02b0\u00ad\u200b\u200c\u200d\u2028\u0085\u00a0\u3000\ufffd\u0301\u0345ﬁ")
        return self.random.choice(self.by_category[self.random.choice(self.categories)])

    def part(self):
        r, pick = self.random.random(), self.random
        if r < 0.35:
            return "".join(self.character() for _ in range(pick.randint(1, 12)))
        if r < 0.45:
            category = pick.choice(self.categories)
            return "".join(pick.choice(self.by_category[category]) for _ in range(pick.randint(1, 6)))
        if r < 0.55 and self.specials:
            special = pick.choice(self.specials)
            cut = pick.randint(0, 9)
            return special if cut < 7 else special[:-1] if cut < 8 else special[1:] if cut < 9 else special + special
        if r < 0.65:
            return "".join(pick.choice(" \n\t\r\u00a0\u3000") for _ in range(pick.randint(1, 8)))
        if r < 0.68:
            return self.character() * pick.randint(10, 200)
        if r < 0.73:
            return pick.choice(CODE)
        if r < 0.78:
            return pick.choice(["I'm", "you'LL", "it's'S", "don't", "we'Ve", "'d", "x'ſ", "2nd", "12345", "1,000.50", "camelCase", "ÉCOLE"])
        if self.texts:
            text = pick.choice(self.texts)
            at = pick.randrange(max(1, len(text)))
            return text[at:at + pick.randint(1, 60)]
        return pick.choice(["hello", " world", "The quick brown fox"])

    def text(self):
        return "".join(self.part() for _ in range(self.random.randint(0, 5)))


def compare(name, tokenizer, tool, work, texts, model=None):
    path = work / "tokenizer.json"
    if model is None:
        path.write_text(tokenizer.to_str())
    frame = tokenizer.post_processor is not None
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    ran = subprocess.run([tool, str(model or path)] + (["--frame"] if frame else []), input=lines, text=True, capture_output=True)
    if ran.returncode:
        print(f"{name}: {ran.stderr.strip()}")
        return False
    out = ran.stdout.split("\n")
    wrong_ids, wrong_texts = [], []
    for start in range(0, len(texts), 5000):
        batch = texts[start:start + 5000]
        for i, encoding in enumerate(tokenizer.encode_batch(batch, add_special_tokens=frame)):
            ids, text = out[start + i].split("\t")
            if [int(x) for x in ids.split()] != encoding.ids:
                wrong_ids.append((batch[i], encoding.ids, ids))
            elif encoding.ids and "\ufffd" not in (expected := tokenizer.decode(encoding.ids, skip_special_tokens=False)) \
                    and json.loads(text) != expected:
                wrong_texts.append((batch[i], expected, json.loads(text)))
    print(f"{name}: {len(texts)} texts, {len(wrong_ids)} with other ids, {len(wrong_texts)} put together differently", flush=True)
    for text, expected, got in sorted(wrong_ids, key=lambda w: len(w[0]))[:2]:
        print(f"  {text!r}\n    expected {expected}\n    got      {got}\n    pieces   {[tokenizer.id_to_token(i) for i in expected][:40]}")
    for text, expected, got in sorted(wrong_texts, key=lambda w: len(w[0]))[:2]:
        print(f"  {text!r}\n    expected {expected!r}\n    got      {got!r}")
    return not wrong_ids and not wrong_texts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", nargs="*", default=[])
    parser.add_argument("--gguf", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    real = [pathlib.Path(p).read_text(errors="ignore") for p in args.texts]
    corpus = [line for text in real for line in text.split("\n")][:20000] + CODE * 20 + ["The quick brown fox jumps over the lazy dog. " * 3] * 20
    good = True
    todo = [(name, make, None) for name, make in kinds(corpus)]
    todo += [(path, lambda path=path: from_gguf(path), path) for path in args.gguf]
    for name, make, model in todo:
        if args.only and not any(o in name for o in args.only):
            continue
        tokenizer = make()
        specials = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
        fuzz = Fuzz(args.seed, real, specials)
        texts = [fuzz.text() for _ in range(args.count)] + real
        good &= compare(name, tokenizer, args.tool, args.work, texts, model)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
