"""Tokenizers of other makers, built from the vocabulary in a GGUF file: tokenizers for byte-level BPE (SmolLM2),
sentencepiece for scored pieces (Gemma 3)."""
import re

from sentencepiece import SentencePieceProcessor
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)


def key(reader, name, missing=None):
    field = reader.get_field(name)
    return missing if field is None else field.contents()


class ByteLevel:
    """tokenizer.ggml.model = gpt2, pre = smollm: each digit alone, then GPT-2's expression."""

    def __init__(self, reader):
        assert key(reader, "tokenizer.ggml.model") == "gpt2" and key(reader, "tokenizer.ggml.pre") == "smollm"
        self.pieces, self.types = key(reader, "tokenizer.ggml.tokens"), key(reader, "tokenizer.ggml.token_type")
        merges = [tuple(m.split(" ")) for m in key(reader, "tokenizer.ggml.merges")]
        vocabulary = {piece: i for i, piece in enumerate(self.pieces)}
        self.bos = key(reader, "tokenizer.ggml.bos_token_id") if key(reader, "tokenizer.ggml.add_bos_token") else None

        def made(added):
            t = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
            t.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(individual_digits=True),
                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
            t.decoder = decoders.ByteLevel()
            t.add_special_tokens([AddedToken(piece, normalized=False) for piece in added])
            return t

        self.special = [p for p, kind in zip(self.pieces, self.types) if kind in (CONTROL, USER)]
        self.parsing = made(self.special)
        self.plain = made([p for p, kind in zip(self.pieces, self.types) if kind == USER])

    def encode(self, text, special=True):
        return (self.parsing if special else self.plain).encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.parsing.decode(ids, skip_special_tokens=False)


class Scored:
    """tokenizer.ggml.model = llama without a space prefix: pieces joined by score, bytes where no piece is."""

    def __init__(self, reader):
        assert key(reader, "tokenizer.ggml.model") == "llama" and not key(reader, "tokenizer.ggml.add_space_prefix")
        self.pieces, self.types = key(reader, "tokenizer.ggml.tokens"), key(reader, "tokenizer.ggml.token_type")
        self.bos = key(reader, "tokenizer.ggml.bos_token_id") if key(reader, "tokenizer.ggml.add_bos_token") else None
        proto = ModelProto()
        for piece, score, kind in zip(self.pieces, key(reader, "tokenizer.ggml.scores"), self.types):
            # GGUF holds user-defined pieces as they stand in text, sentencepiece with its mark for a space.
            proto.pieces.add(piece=piece.replace(" ", "\u2581") if kind == USER else piece, score=score, type=kind)
        trainer = proto.trainer_spec
        trainer.model_type, trainer.vocab_size, trainer.byte_fallback = trainer.BPE, len(self.pieces), True
        trainer.unk_id, trainer.pad_id = key(reader, "tokenizer.ggml.unknown_token_id"), -1
        trainer.bos_id, trainer.eos_id = (key(reader, f"tokenizer.ggml.{x}_token_id") for x in ("bos", "eos"))
        trainer.unk_piece, trainer.bos_piece, trainer.eos_piece = (
            self.pieces[i] for i in (trainer.unk_id, trainer.bos_id, trainer.eos_id))
        rules = proto.normalizer_spec
        rules.name, rules.precompiled_charsmap = "identity", b""
        rules.add_dummy_prefix, rules.remove_extra_whitespaces, rules.escape_whitespaces = False, False, True
        self.sp = SentencePieceProcessor(model_proto=proto.SerializeToString())
        self.special = [p for p, kind in zip(self.pieces, self.types) if kind in (CONTROL, USER)]
        self.ids = {p: i for i, p in enumerate(self.pieces)}
        longest_first = sorted(self.special, key=len, reverse=True)
        self.split = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def encode(self, text, special=True):
        if not special:
            return self.sp.encode(text)
        out = []
        for i, part in enumerate(self.split.split(text)):
            out += [self.ids[part]] if i % 2 else self.sp.encode(part)
        return out

    def decode(self, ids):
        return self.sp.decode(ids)


def of(reader):
    return {"gpt2": ByteLevel, "llama": Scored}[key(reader, "tokenizer.ggml.model")](reader)
