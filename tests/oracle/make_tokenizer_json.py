"""Small byte-level tokenizers as Hugging Face's library trains and saves them, with the ids that it gives:
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


if __name__ == "__main__":
    for key, value in PRE.items():
        make(key, value)
