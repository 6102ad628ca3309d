"""Token ids as other tokenizers give them: tests/oracle/tokens/<model>.json.

Usage: make_tokens.py smollm2|gemma3 MODEL.gguf

A list of cases:
    text            base64 of the bytes
    ids             special tokens in the text parsed; no begin token
    ids_nospecial   the text of control tokens taken as text (user-defined pieces still count)
    pieces          the vocabulary's pieces for ids
    invalid         only where the bytes are not UTF-8: the other tokenizers take none, so ids are left out;
                    instead ids_replaced are those of the text with U+FFFD for what is invalid
"""
import base64
import json
import pathlib
import sys

import gguf

import vocabulary

COMMON = [
    "", " ", "  ", "   ", " " * 7, " " * 16, " " * 33, " " * 70, "\t", "\t\t", "\t\t\t \t", "\n", "\n\n", "\n\n\n",
    "\n" * 5, "\n" * 40, "\r\n", "\r\n\r\n", " \n \n  \n", "\n \n", "a \n\n b", "trailing   ", "   leading", "\v\f\x00\x01\x7f",
    "Hello", " Hello", "Hello world", "Hello  world", "Hello   world\n", "hello, world!", "HELLO WoRLD",
    "0", "7", "42", "123", "1234567", " 1 22 333", "3.14159e-10", "1,000,000", "x2y3", "\u0663\u0664 \u00bd \u2167 \u00b2",
    "I'm you're he's they've we'll I'd can't", "I'M YOU'RE HE'S THEY'VE WE'LL I'D CAN'T", "'s 's' ''s 'tis 'LL", "it\u2019s \u2019re",
    "The quick brown fox jumps over the lazy dog.", "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c \u30ab\u30bf\u30ab\u30ca",
    "\uc548\ub155\ud558\uc138\uc694", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u00c9COLE \u00e9t\u00e9 na\u00efve Stra\u00dfe \u0130stanbul", "e\u0301 n\u0303 Z\u0351\u036b\u0343\u036a\u0302", "\U0001f600", "a\U0001f600b \U0001f44d\U0001f3fd",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1eb\U0001f1ee", "\U00010348\U0001d54f \U000e0041 \U0010fffd",
    "\u00a0\u2003\u3000x\u2028\u2029\u0085y", "\u200b\ufeff\u00ad", "\ufffd \ufffd\ufffd", "\u2581x",
    "x" * 600, "antidisestablishmentarianism" * 12, "na" * 200, "!" * 65, "=" * 80 + "\n", ".,;:!?()[]{}<>\"'`~@#$%^&*-_=+\\|/",
    "... -- --- ____ ==== ==> <!-- -->", "#include <vector>\nint main() {\n    return std::vector<int>{1, 2}.size(); // \u03c0\n}\n",
    "def f(x):\n\tif x != 0x1F:\n\t\treturn f\"{x:>8}\"\n\n\n    # done\n", "SELECT * FROM t WHERE a='b' AND c>=10;\r\n\tORDER BY 1",
    "{\"a\": [1, 2.5, null], \"b\": \"\\u00e9\\n\"}", "https://example.org/a_b?c=d&e=%20f#g", "snake_case camelCase PascalCase kebab-case SCREAMING_SNAKE",
    "<h1>Title</h1>\n<p>a &amp; b</p>  <table><tr><td>1</td></tr></table>", "$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$",
    "<0x41> <0x0A>", "\x04\x06\x13\x14\x16\x1d a\x04b",
]
SPECIAL = {
    "smollm2": [
        "<|im_start|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "a<|endoftext|>b", " <|endoftext|> ",
        "<|endoftext|><|endoftext|>", "<|im_start|", "<|im_start|>>", "<<|im_end|>", "<|IM_START|>", "1<|im_end|>2\n\n<|im_end|>\n",
        "x <filename>a.py <repo_name> <reponame>y", "<jupyter_start><jupyter_text> z", "word<|im_end|> word", "'<|im_end|>s 't",
    ],
    "gemma3": [
        "<bos>", "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "a<eos>b", " <eos> ", "<eos><eos>",
        "<start_of_turn", "<start_of_turn>>", "<<end_of_turn>", "<BOS>", "1<end_of_turn>2\n\n<end_of_turn>\n", "<pad><unk><mask>",
        "<unused0> <unused98>x<unused1>", "<start_of_image>[multimodal]<end_of_image>", "  <eos>  x\n\n\n<eos>\n\n", "</h1><h1><strong>b</strong>",
    ],
}
INVALID = [b"\xff", b"a\x80b", b"\xc3", b"ok \xe2\x82", b"\xf0\x9f\x98 end", b"\xc0\xafx", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xfe\xfe \xff\n12"]


def main():
    name, path = sys.argv[1:]
    vocab = vocabulary.of(gguf.GGUFReader(path))
    cases = []
    for text in COMMON + SPECIAL[name]:
        ids = vocab.encode(text)
        cases.append({"text": base64.b64encode(text.encode()).decode(), "ids": ids,
                      "ids_nospecial": vocab.encode(text, special=False), "pieces": [vocab.pieces[i] for i in ids]})
    for raw in INVALID:
        cases.append({"text": base64.b64encode(raw).decode(), "invalid": True,
                      "ids_replaced": vocab.encode(raw.decode(errors="replace"))})
    out = pathlib.Path(__file__).parent / "tokens" / f"{name}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    lost = [c["text"] for c, t in zip(cases, COMMON + SPECIAL[name]) if vocab.decode(c["ids_nospecial"]) != t]
    print(f"{out.name}: {len(cases)} cases; text does not come back whole from ids in {len(lost)}: {lost}")


if __name__ == "__main__":
    main()
