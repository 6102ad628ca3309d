"""Small tokenizers as Hugging Face's library trains and saves them, with the ids that it gives:
tests/oracle/tokenizers/<name>.json = {tokenizer: tokenizer.json, cases: [{text: base64, ids: with begin and end tokens}]}.
"""
import base64
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_tokens import COMMON

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
EXTRA = ["<|bos|>a<|bos|>", "[tool] x[tool]", "<|bos", "the the  the THE"]


def split(expression):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


PRE = {
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False)]),
    "llama3": split(LLAMA3),
    "qwen2": split(QWEN2),
}


def make(name, pre):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=480, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([t for t in COMMON if t.isascii()], trainer)
    tokenizer.add_special_tokens([AddedToken("<|bos|>", normalized=False)])
    tokenizer.add_tokens([AddedToken("[tool]", normalized=False)])
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if name == "llama3":
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|bos|> $A", pair="<|bos|> $A <|bos|> $B",
                                          special_tokens=[("<|bos|>", tokenizer.token_to_id("<|bos|>"))])])
    cases = [{"text": base64.b64encode(t.encode()).decode(), "ids": tokenizer.encode(t).ids}
             for t in COMMON + EXTRA if name != "qwen2" or normalizers.NFC().normalize_str(t) == t]
    out = pathlib.Path(__file__).parent / "tokenizers" / f"{name}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"tokenizer": json.loads(tokenizer.to_str()), "cases": cases}) + "\n")
    print(f"{out.name}: {tokenizer.get_vocab_size()} tokens, {len(cases)} cases")


def cased(contraction, digits):
    lead, upper, lower = r"[^\r\n\p{L}\p{N}]?", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    return (f"{lead}{upper}*{lower}+{contraction}|{lead}{upper}+{lower}*{contraction}" + r"|\p{N}" + digits +
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def others():
    """name, tokenizer, trainer: one of every model, and of the stages that byte-level BPE has not."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe = dict(vocab_size=420, show_progress=False)
    for name, expression in {"o200k": cased(CONTRACTIONS + "?", "{1,3}"), "tekken": cased("", "")}.items():
        t = Tokenizer(models.BPE(ignore_merges=name == "tekken"))
        t.pre_tokenizer, t.decoder = split(expression), decoders.ByteLevel()
        yield name, t, trainers.BpeTrainer(initial_alphabet=alphabet, **bpe)
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    yield "fallback", t, trainers.BpeTrainer(special_tokens=["<unk>"] + [f"<0x{b:02X}>" for b in range(0, 256, 2)], **bpe)
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer, t.decoder = pre_tokenizers.Whitespace(), decoders.BPEDecoder()
    yield "suffix", t, trainers.BpeTrainer(special_tokens=["<unk>"], end_of_word_suffix="</w>", **bpe)
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    yield "unigram", t, trainers.UnigramTrainer(vocab_size=300, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>")
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    yield "wordpiece", t, trainers.WordPieceTrainer(vocab_size=400, show_progress=False, special_tokens=["[UNK]"])
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
                                               pre_tokenizers.Digits(False)])
    yield "wordlevel", t, trainers.WordLevelTrainer(vocab_size=200, show_progress=False, special_tokens=["[UNK]"])


RULES = ["a <mask> b", "x\t <mask>", "a <r>  b", "<r><mask> <r> ", "word", "a word.", "words word", "sword word_", "norm Norm NORM",
         "<|bos|>Norm <mask>norm", "[tool][tool] word<|bos|>word"]


def make_other(name, tokenizer, trainer):
    tokenizer.train_from_iterator([t for t in COMMON if t.isascii()], trainer)
    tokenizer.add_special_tokens([AddedToken("<|bos|>", normalized=False), AddedToken("<mask>", lstrip=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("<r>", rstrip=True, normalized=False), AddedToken("word", single_word=True, normalized=False),
                          AddedToken("[tool]", normalized=False), AddedToken("Norm", normalized=True)])
    ids = [(t, tokenizer.token_to_id(t)) for t in ("<|bos|>", "<mask>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<|bos|> $A <mask> <|bos|>", special_tokens=ids)
    data = json.loads(tokenizer.to_str())
    if name == "fallback":  # byte tokens are the model's, not cut out of text
        data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
        tokenizer = Tokenizer.from_str(json.dumps(data))
    cases = []
    for text in COMMON + EXTRA + RULES:
        ids = tokenizer.encode(text).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        cases.append({"text": base64.b64encode(text.encode()).decode(), "ids": ids})
        if "\ufffd" not in decoded:
            cases[-1]["decoded"] = decoded
    out = pathlib.Path(__file__).parent / "tokenizers" / f"{name}.json"
    out.write_text(json.dumps({"tokenizer": data, "cases": cases}) + "\n")
    print(f"{out.name}: {tokenizer.get_vocab_size()} tokens, {len(cases)} cases")


if __name__ == "__main__":
    for key, value in PRE.items():
        make(key, value)
    for other in others():
        make_other(*other)
