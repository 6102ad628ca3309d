#!/usr/bin/env python3
"""Compares the parts of text/ with Hugging Face's tokenizers (0.23) and sentencepiece (0.2) over fuzzed strings.

  units_fuzz.py READER [--n 100000] [--seed 1] [WORD...]

READER is the program units_reader (build target units_reader). Only comparisons whose name contains one of the words
are made. With --golden FILE, nothing is compared: a choice of short strings, and what the other implementations make of
them, is written to FILE (READER may be -). Needs unicodedata2==16.0.0: strings hold code points of Unicode 16 and no later ones. Prints a line a
comparison and exits with 1 when any result differs.
"""
import argparse
import base64
import json
import os
import random
import subprocess
import sys
import tempfile

import sentencepiece
import unicodedata2
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

BY_CATEGORY = {}
for code in range(0x110000):
    if not 0xD800 <= code < 0xE000:
        BY_CATEGORY.setdefault(unicodedata2.category(chr(code)), []).append(chr(code))
del BY_CATEGORY["Cn"]
CATEGORIES = sorted(BY_CATEGORY)
MARKS = BY_CATEGORY["Mn"] + BY_CATEGORY["Mc"]
COMPOSED = [chr(c) for c in range(0xA0, 0x30000) if unicodedata2.decomposition(chr(c))]
COMMON = [chr(c) for c in range(0x20, 0x7F)] * 4 + [chr(c) for c in range(0xA0, 0x250)]
WHITE = [chr(c) for c in (9, 10, 11, 12, 13, 32, 32, 32, 32, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x202F, 0x3000, 0x200B, 0x2581)]
SCRIPTS = [range(0x370, 0x400), range(0x400, 0x530), range(0x590, 0x600), range(0x600, 0x700), range(0x900, 0xE00),
           range(0xE00, 0xF00), range(0x1100, 0x1200), range(0x3040, 0x3100), range(0x4E00, 0x4F00), range(0xAC00, 0xAD00),
           range(0xFF00, 0xFFF0), range(0x1F1E6, 0x1F200), range(0x1F300, 0x1F650), range(0x1F900, 0x1FA00)]
WORDS = ("the and of ing hello world don't we'll I'VE they're You'D he's 12345 1,000.50 <s> </s> <unk> <0x0A> <0xE2> ## "
         "[UNK] \u2581the \u2581 ss \u00df fi \ufb01 \u017f \u212a if(x){return y;} \r\n\r\n \t\t // /* */ __init__ ==> "
         "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \u0915\u094d\u0937 e\u0301 A\u030a \u1112\u1161\u11ab "
         "\u0041\u0328\u0301 \ufdfa \u3300 <sep> <user>").split(" ")


def string(rng):
    parts = []
    for _ in range(rng.randint(1, 6)):
        kind = rng.randrange(10)
        n = rng.randint(1, 6)
        if kind == 0:
            parts.append("".join(rng.choice(WHITE) for _ in range(n)))
        elif kind == 1:
            pool = BY_CATEGORY[rng.choice(CATEGORIES)]
            parts.append("".join(rng.choice(pool) for _ in range(n)))
        elif kind == 2:
            parts.append(rng.choice(COMMON) + "".join(rng.choice(MARKS) for _ in range(rng.randint(0, 4))))
        elif kind == 3:
            pool = rng.choice(SCRIPTS)
            parts.append("".join(c for c in (chr(rng.choice(pool)) for _ in range(n)) if unicodedata2.category(c) != "Cn"))
        elif kind == 4:
            parts.append("".join(rng.choice(COMPOSED) for _ in range(n)))
        elif kind == 5:
            parts.append(rng.choice("aZ1 .\n-\u00e9\u4e2d") * rng.choice((1, 2, 3, 5, 30)))
        elif kind == 6:
            parts.append("".join(rng.choice(COMMON) for _ in range(n)))
        else:
            parts.append(rng.choice(WORDS) + rng.choice(("", " ", " ", "  ")))
    return "".join(parts)


def ours(reader, args, texts):
    data = "\n".join(t.encode().hex() for t in texts) + "\n"
    done = subprocess.run([reader, *args], input=data.encode(), capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr.decode()}")
    return done.stdout.decode().split("\n")[:-1]


def hexed(text):
    return text.encode().hex()


class Run:
    def __init__(self, options):
        self.options = options
        self.failed = False
        self.folder = tempfile.mkdtemp()
        rng = random.Random(options.seed)
        self.golden = {"texts": [], "units": []}
        self.texts = [string(rng) for _ in range(options.n)]
        if options.golden:
            self.texts = [t for t in self.texts if len(t) <= 40][:24]
            self.golden["texts"] = [base64.b64encode(t.encode()).decode() for t in self.texts]

    def wants(self, name):
        return not self.options.words or any(w in name for w in self.options.words)

    def compare(self, name, args, expected, texts=None, keep=lambda theirs: True):
        if not self.wants(name):
            return
        if self.options.golden:
            return self.add_golden(name, args, [expected(t) for t in self.texts])
        texts = self.texts if texts is None else texts
        results = ours(self.options.reader, args, texts)
        bad = []
        for text, result in zip(texts, results):
            theirs = expected(text)
            if result != theirs:
                bad.append((text, theirs, result))
        print(f"{name}: {len(texts)} strings, {len(bad)} mismatches", flush=True)
        for text, theirs, result in sorted(bad, key=lambda b: len(b[0]))[:self.options.show]:
            print("  ", ascii(text), "\n     theirs", theirs[:300], "\n     ours  ", result[:300])
        self.failed = self.failed or bool(bad)

    def add_golden(self, name, args, results):
        unit = {"name": name, "args": args, "results": results}
        if args[0] not in ("regex", "normalizer"):
            with open(args[1], "rb") as file:
                unit["file"] = base64.b64encode(file.read()).decode()
            args[1] = ""
        self.golden["units"].append(unit)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(text)
        return path


def normalizer_comparisons(run):
    n = normalizers

    def compare(name, steps, theirs):
        run.compare("normalizer " + name, ["normalizer", *steps], lambda t: hexed(theirs.normalize_str(t)))

    for name in ("NFC", "NFD", "NFKC", "NFKD"):
        compare(name, [name.lower()], getattr(n, name)())
    compare("Lowercase", ["lowercase"], n.Lowercase())
    compare("Strip", ["strip:11"], n.Strip())
    compare("Strip left", ["strip:10"], n.Strip(left=True, right=False))
    compare("Strip right", ["strip:01"], n.Strip(left=False, right=True))
    compare("StripAccents", ["accents"], n.StripAccents())
    compare("Nmt", ["nmt"], n.Nmt())
    for flags in range(0, 16, 5 if run.options.golden else 1):
        c, z, s, l = [bool(flags >> i & 1) for i in range(4)]
        compare(f"Bert {flags:04b}", ["bert:" + "".join("01"[b] for b in (c, z, s, l))],
                n.BertNormalizer(clean_text=c, handle_chinese_chars=z, strip_accents=s, lowercase=l))
    compare("Replace string", ["string:" + hexed(" ") + ":" + hexed("\u2581")], n.Replace(" ", "\u2581"))
    compare("Replace string aa", ["string:" + hexed("aa") + ":" + hexed("b")], n.Replace("aa", "b"))
    for pattern, content in ((r" {2,}", " "), (r"\s+", "_"), (r"a*", "<>"), (r"[\p{P}&&[^.]]", ""),
                             (r"^|$", "|"), (r"\bt", "T")):
        compare("Replace " + pattern, ["regex:" + hexed(pattern) + ":" + hexed(content)], n.Replace(Regex(pattern), content))
    compare("Prepend", ["prepend:" + hexed("\u2581")], n.Prepend("\u2581"))
    compare("ByteLevel", ["bytes"], n.ByteLevel())
    compare("Sequence", ["nfkd", "accents", "lowercase", "strip:11"],
            n.Sequence([n.NFKD(), n.StripAccents(), n.Lowercase(), n.Strip()]))


C = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CC = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TAIL = r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LEAD = r"[^\r\n\p{L}\p{N}]?"
HAN_UPPER, HAN_LOWER = UPPER[:-1] + r"&&[^\p{Han}]]", LOWER[:-1] + r"&&[^\p{Han}]]"
EXPRESSIONS = {
    "gpt2": GPT2,
    "llama3": C + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "llama3 expanded": CC + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": C + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen35": C + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "number": r"\p{N}", "numbers": r"\p{N}+", "three numbers": r"\p{N}{1,3}", "three digits": "[0-9][0-9][0-9]",
    "falcon": r"[\p{P}\$\+<=>\^~\|`]+", "default": r"[\p{P}\$\+<=>\^~\|]+",
    "tekken": LEAD + UPPER + "*" + LOWER + "+|" + LEAD + UPPER + "+" + LOWER + "*" + TAIL.replace("{1,3}", ""),
    "gpt-4o": LEAD + UPPER + "*" + LOWER + "+" + C + "?|" + LEAD + UPPER + "+" + LOWER + "*" + C + "?" + TAIL,
    "cl100k possessive": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "deepseek-llm 2": r"\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u0370-\u0373\u1c80-\u1c88\ua640-\ua66d]+",
    "deepseek-llm 3": r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", "deepseek-llm 4": r"\s+$",
    "deepseek-llm 5": "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7a3]+",
    "deepseek-coder": r"\s?\p{L}+", "deepseek-coder 3": r"\s?\p{P}+", "newline": r"[\r\n]",
    "deepseek-v3 2": "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "deepseek-v3 3": r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    "kimi-k2": r"[\p{Han}]+|" + LEAD + HAN_UPPER + "*" + HAN_LOWER + "+" + C + "?|" + LEAD + HAN_UPPER + "+" + HAN_LOWER + "*" +
               C + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "bailingmoe": r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "seed-coder": CC + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
    "exaone-moe": CC + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
    "poro": " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+",
    "youtu": "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "gemma4": r"[^\n]+|[\n]+", "whitespace": r"\S+", "chameleon": "([\\t\\n]|    |  )",
    "jais-2": CC + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}",
    "words": r"\w+|[^\w\s]+", "digits": r"\d+|\D", "edges": r"\b\w", "no edges": r"\B.", "line": r"^.*$", "lines": r"^.",
    "text begin": r"\A\s*\w+", "text end": r"\S+\s*\z",
    "lazy": r"a+?|b*?c|\w{2,4}?", "lazy dot": r"<.*?>|\p{L}.+?\p{N}", "counted": r"\w{3}|\s{2,}|[^\w]{,2}x|a{2}?b",
    "empty loops": r"(a*)*|(?:|b)*c|(?:d?)+e", "nested": r"(?:(?:ab|a)(?:bc|c)?)+|((a|b)*x?)*y", "isolated": r"x|a(?i)b|\p{Lu}c",
    "no case": r"(?i)h[^a-d]l+o|W\p{Lu}|k+|[\u00e0-\u00f6]+", "case off": r"(?i)he(?-i)LLO|(?i:T)he",
    "dot all": r"(?m:.+)|a", "posix": r"[[:alpha:]]+|[[:^space:][:cntrl:]]", "posix 2": r"[[:punct:]]+|[[:upper:]]|[[:alnum:]]{2}|[[:word:]]",
    "posix 3": r"[[:lower:]]+|[[:blank:]]+|[[:xdigit:]]|[[:digit:]]", "set operations": r"[\w&&[^\d_]&&[^a-f]]+|[a-z&&[aeiou]]|[^\s&&[^\n]]",
    "scripts": r"\p{Hiragana}+|\p{Katakana}+|\p{Thai}+|\p{Cyrillic}+|\p{Greek}|\p{Latin}+|\p{Arabic}|\p{Hebrew}|\p{Hangul}+|\p{Common}",
    "categories": r"\p{Lu}+|\p{^L}\p{Nd}|\P{M}\p{Mn}+|\p{Sc}|\p{Zs}+|\p{Cf}|\p{Pd}|\p{So}|\p{Cn}",
    "posix braces": r"\p{Alpha}+|\p{Punct}|\p{Space}+|\p{Digit}|\p{Alnum}|\p{Upper}|\p{Word}",
    "hex": r"\h+|\H", "escapes": r"\x41|\x{4e2d}|\u00e9|\t|\.|\-|\/", "look-ahead": r"\w+(?=\s)|\s(?=\S)|.(?=$)|\p{L}(?![\p{L}\p{M}])",
    "possessive": r"\w++!|\s?+x|a*+b|(?>\d+)\.", "odd sets": r"[]a]+|[a\-z]|[^\]]|[+--]", "brace": r"a{|{b}|x{,}", "alternatives": r"a||b|ab",
}


# Sets, compared over every code point.
SETS = [r"\w", r"\W", r"[\w]", r"[\W]", r"[^\w]", r"\s", r"\S", r"\d", r"\h", r".", r"\p{Word}", r"[[:word:]]", r"[[:punct:]]",
        r"\p{Punct}", r"[[:alpha:]]", r"[[:alnum:]]", r"[[:upper:]]", r"[[:lower:]]", r"[[:space:]]", r"[[:blank:]]",
        r"[[:cntrl:]]", r"[[:digit:]]", r"[[:xdigit:]]", r"\p{White_Space}", r"\p{Alphabetic}", r"\p{Uppercase}",
        r"\p{Lowercase}", r"\p{Any}", r"\p{Assigned}", r"(?i)\p{Lu}", r"(?i)[\p{Lu}]", r"(?i)[^\p{Ll}]", r"(?i)[a-z&&[A-Z]]",
        r"(?i)[[^a-d]]", r"(?i)[^a-d]", r"(?i)[\W]", r"(?i)\W", r"(?i)[a-z\u0370-\u03ff\u1f00-\u1f4f]", r"\p{Han}", r"\p{LC}",
        *(r"\p{%s}" % c for c in CATEGORIES), *(r"\p{%s}" % c for c in "LMNPSZC"), r"\b.", r"(?i)\u00b5", r"(?i)k", r"(?i)\u03b8",
        *(r"\p{%s}" % s for s in "Hiragana Katakana Thai Lao Khmer Myanmar Hangul Cyrillic Greek Latin Arabic Hebrew Bopomofo "
          "Devanagari Bengali Tamil Armenian Georgian Common Inherited Ethiopic Mongolian Tibetan Yi Old_Persian".split())]
EVERY = [c for code in range(0x110000) if not 0xD800 <= code < 0xE000 for c in (chr(code),)]
EVERY = ["".join(c + ("\n" if i % 2 else " ") for i, c in enumerate(EVERY[at:at + 2048])) for at in range(0, len(EVERY), 2048)]


def regex_comparisons(run):
    for pattern in [] if run.options.golden else SETS:
        compare_regex(run, "set " + pattern, pattern, EVERY)
    for name, pattern in EXPRESSIONS.items():
        compare_regex(run, name, pattern, run.texts)


def compare_regex(run, name, pattern, texts):
    if not run.wants("regex " + name):
        return
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)

    def expected(text):
        place = [0]
        for c in text:
            place.append(place[-1] + (1 if c < "\x80" else 2 if c < "\u0800" else 3 if c < "\U00010000" else 4))
        try:
            return [f"{place[begin]}-{place[end]}" for _, (begin, end) in split.pre_tokenize_str(text)]
        except BaseException as error:  # what a backtracking engine gives up on; KeyboardInterrupt is none of those
            if "retry-limit" not in str(error):
                raise
            return None

    if run.options.golden:
        return run.add_golden(name, ["regex", hexed(pattern)], [" ".join(expected(t)) for t in texts])
    results = ours(run.options.reader, ["regex", hexed(pattern)], texts)
    bad = given_up = 0
    for text, result in zip(texts, results):
        theirs = expected(text)
        if theirs is None:
            given_up += 1
            continue
        matches = [m for m in result.split() if m.split("-")[0] != m.split("-")[1]]
        if matches != theirs:
            bad += 1
            if bad <= run.options.show:
                odd = sorted(set(matches) ^ set(theirs), key=lambda m: int(m.split("-")[0]))[:8]
                print("  ", ascii(text[:100]), "\n     theirs", theirs[:20], "\n     ours  ", matches[:20], "\n     differ", odd)
    print(f"regex {name}: {len(texts) - given_up} strings, {bad} mismatches" +
          (f"; on {given_up} more tokenizers gives up" if given_up else ""), flush=True)
    run.failed = run.failed or bad > 0


def corpus(run):
    """Lines to train on: what the machine has of plain text, and fuzzed strings."""
    lines = [] if run.options.golden else [t.replace("\n", " ").replace("\r", " ") for t in run.texts[:300]] * 2
    for name in sorted(os.listdir("/usr/share/common-licenses")):
        with open(os.path.join("/usr/share/common-licenses", name), errors="replace") as text:
            lines += [line.strip() for line in text if line.strip()]
    lines = [line.replace("\0", "") for line in lines if line.strip()]
    return [line for line in lines if line.isascii()][:1000] if run.options.golden else lines


def fields(data):
    """The fields of a protobuf message: number, wire type, value."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, 0, varint()
        else:
            size = varint() if tag & 7 == 2 else {1: 8, 5: 4}[tag & 7]
            yield tag >> 3, tag & 7, data[at:at + size]
            at += size


def charsmap_of(path):
    """Field 2 of field 3 of the protobuf."""
    with open(path, "rb") as file:
        spec = next(value for field, _, value in fields(file.read()) if field == 3)
    return next((value for field, _, value in fields(spec) if field == 2), b"")


def make_unused(path, rng):
    """Gives one in five normal pieces of a model the type UNUSED (5)."""

    def varint(value):
        return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])

    with open(path, "rb") as file:
        messages = list(fields(file.read()))
    with open(path, "wb") as out:
        for field, wire, value in messages:
            if field == 1 and not any(f == 3 for f, _, _ in fields(value)) and rng.random() < 0.2:
                value += b"\x18\x05"
            out.write(varint(field << 3 | wire) + varint(len(value)) + value)


def sentencepiece_comparisons(run):
    lines = corpus(run)
    rules = run.file("rules.tsv", "".join(f"{a}\t{b}\n" for a, b in (
        ("FF21", "41"), ("65 301", "E9"), ("FB01", "66 69"), ("9", "20"), ("A", "20"), ("200B", ""), ("1100 1161", "AC00"))))
    common = dict(vocab_size=400 if run.options.golden else 2000, hard_vocab_limit=False, character_coverage=0.98, minloglevel=2, num_threads=1)
    variants = {
        "unigram": dict(model_type="unigram"),
        "unigram bytes": dict(model_type="unigram", byte_fallback=True),
        "unigram user-defined": dict(model_type="unigram", user_defined_symbols=["<sep>", "the ", "\u2581ing", "e\u0301", "12"]),
        "unigram spaces": dict(model_type="unigram", remove_extra_whitespaces=False, byte_fallback=True),
        "unigram identity": dict(model_type="unigram", normalization_rule_name="identity", add_dummy_prefix=False),
        "unigram nfkc_cf": dict(model_type="unigram", normalization_rule_name="nfkc_cf"),
        "unigram rules": dict(model_type="unigram", normalization_rule_tsv=rules, user_defined_symbols=["the ", "12"]),
        "unigram suffix": dict(model_type="unigram", treat_whitespace_as_suffix=True),
        "unigram unused": dict(model_type="unigram"), "bpe unused": dict(model_type="bpe", byte_fallback=True),
        "bpe": dict(model_type="bpe"),
        "bpe bytes": dict(model_type="bpe", byte_fallback=True),
        "bpe llama": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                          remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True),
        "bpe gemma": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False,
                          remove_extra_whitespaces=False, user_defined_symbols=["<sep>", "  ", "   ", "\n", "\n\n", "<user>"]),
        "bpe user-defined": dict(model_type="bpe", user_defined_symbols=["<sep>", "the ", "\u2581ing", "e\u0301", "12"],
                                 control_symbols=["<user>", "\u4e2d"]),
        "bpe nmt_nfkc_cf": dict(model_type="bpe", normalization_rule_name="nmt_nfkc_cf"),
        "word": dict(model_type="word"), "char": dict(model_type="char", user_defined_symbols=["the", "<sep>"]),
    }
    for name, options in variants.items():
        if not (run.wants("sentencepiece " + name) or run.wants("precompiled " + name)):
            continue
        if run.options.golden and name not in ("unigram rules", "unigram identity", "bpe gemma", "bpe llama"):
            continue
        prefix = os.path.join(run.folder, "sp")
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=prefix, **{**common, **options})
        if "unused" in name:
            make_unused(prefix + ".model", random.Random(run.options.seed))
        theirs = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
        run.compare(f"sentencepiece {name}", ["sentencepiece", prefix + ".model"],
                    lambda t: " ".join(map(str, theirs.encode(t))))
        if not run.options.golden and name in ("unigram", "unigram nfkc_cf", "bpe nmt_nfkc_cf"):
            charsmap = charsmap_of(prefix + ".model")
            path = os.path.join(run.folder, "charsmap")
            with open(path, "wb") as out:
                out.write(charsmap)
            precompiled = normalizers.Precompiled(charsmap)
            run.compare(f"normalizer precompiled {name}", ["normalizer", "precompiled:" + hexed(path)],
                        lambda t: hexed(precompiled.normalize_str(t)))
            plain = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
            differ = [t for t in run.texts[:20000] if " ".join(plain.normalize(t).split("\u2581")).strip()
                      != " ".join(precompiled.normalize_str(t).split()).strip()]
            print(f"  {len(differ)} of {min(20000, len(run.texts))} strings are normalised in another way by tokenizers "
                  f"than by sentencepiece, such as {ascii(min(differ, key=len, default=''))}")


def model_comparisons(run):
    lines = corpus(run)
    for name, fallback in (("unigram", False), ("unigram bytes", True)):
        if not run.wants("tokenizers " + name):
            continue
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.train_from_iterator(lines, trainers.UnigramTrainer(vocab_size=300 if run.options.golden else 8000, unk_token="<unk>", show_progress=False,
                                                                     special_tokens=["<s>", "<unk>"]))
        vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
        if fallback:
            vocabulary += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        unk = next(i for i, (token, _) in enumerate(vocabulary) if token == "<unk>")
        theirs = Tokenizer(models.Unigram([tuple(v) for v in vocabulary], unk_id=unk, byte_fallback=fallback))
        path = run.file("unigram.txt", "".join(f"{hexed(t)} {s!r}\n" for t, s in vocabulary))
        texts = [t for t in run.texts if t]  # an empty text has no pieces
        run.compare(f"tokenizers {name}", ["unigram", path, str(unk), "1" if fallback else "0"],
                    lambda t: " ".join(map(str, theirs.encode(t).ids)), texts)
    if run.wants("tokenizers wordpiece"):
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=300 if run.options.golden else 3000, special_tokens=["[UNK]"], show_progress=False))
        vocabulary = tokenizer.get_vocab()
        path = run.file("wordpiece.txt", "".join(hexed(t) + "\n" for t in sorted(vocabulary, key=vocabulary.get)))
        theirs = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        rng = random.Random(run.options.seed)
        letters = [t.removeprefix("##") for t in vocabulary]
        texts = run.texts[:len(run.texts) // 2]
        texts += ["".join(rng.choice(letters) for _ in range(rng.choice((1, 2, 3, 40)))) for _ in texts]
        run.compare("tokenizers wordpiece", ["wordpiece", path, str(vocabulary["[UNK]"])],
                    lambda t: " ".join(map(str, theirs.encode(t).ids)), texts)
    if run.wants("rwkv"):
        rng = random.Random(run.options.seed)
        tokens = {bytes([b]) for b in range(256)}
        for text in run.texts[:4000]:
            data = text.encode()
            begin = rng.randrange(max(1, len(data)))
            tokens.add(data[begin:begin + rng.randint(1, 8)] or b"a")
        tokens = sorted(tokens)
        rows, ids = [], {}
        for i, token in enumerate(tokens, 1):
            try:
                literal = repr(token.decode())
            except UnicodeDecodeError:
                literal = repr(token)
            rows.append(f"{i} {literal} {len(token)}\n")
            ids[token] = i

        def greedy(text):
            data, at, out = text.encode(), 0, []
            while at < len(data):
                n = next(n for n in range(min(8, len(data) - at), 0, -1) if data[at:at + n] in ids)
                out.append(ids[data[at:at + n]])
                at += n
            return " ".join(map(str, out))

        run.compare("rwkv", ["rwkv", run.file("rwkv.txt", "".join(rows))], greedy)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("reader")
    parser.add_argument("--n", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="differences to print for each comparison")
    parser.add_argument("--golden", help="write this file instead")
    parser.add_argument("words", nargs="*")
    run = Run(parser.parse_intermixed_args())
    normalizer_comparisons(run)
    regex_comparisons(run)
    model_comparisons(run)
    sentencepiece_comparisons(run)
    if run.options.golden:
        with open(run.options.golden, "w") as out:
            out.write(json.dumps(run.golden, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
    sys.exit(run.failed)


main()
