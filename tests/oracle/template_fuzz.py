#!/usr/bin/env python3
"""Random templates, rendered by jinja2 as transformers calls it and by RUNNER (render_templates): equal text, or both
refuse. template_fuzz.py RUNNER [--count N] [--seed S] [--show N]"""
import argparse
import random
import re
import signal
import sys
import warnings

import make_templates
import template_check

warnings.simplefilter("ignore")

NAMES = ["n", "m", "x", "flag", "nothing", "s", "e", "l", "words", "d", "people", "zz", "messages", "a", "b", "ns"]
LITERALS = ["0", "1", "2", "-1", "3", "7", "1.5", "0.25", "true", "false", "none", "''", "'a'", "'Abc def'", "' x\\ny '",
            "'é🙂'", "'a,b,,c'", "'12'", "'<b>'", "[]", "{}", "()", "[1, 2, 3]", "['b', 'A', 'c']", "{'k': 1, 'j': 'w'}", "(1, 'a')",
            "[[1, 2], [3, 4]]", "'%s'", "'{}'", "[none, 0, '', 'z']", "[{'v': 1}, {'v': 2}, {}]", "range(4)"]
FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "list", "first", "last", "sort", "unique", "reverse", "join",
           "join({})", "default({})", "default({}, true)", "int", "int({})", "float", "abs", "round", "round(1)", "string", "tojson",
           "tojson(indent={})", "replace({}, {})", "map({})", "map('upper')", "map('string')", "map(attribute={})", "map('length')",
           "select", "reject", "select('odd')", "select('string')", "selectattr({})", "selectattr('v', {})", "rejectattr('v')",
           "selectattr('v', 'equalto', {})", "groupby('v')", "groupby({})", "batch(2)", "batch(2, {})", "slice(2)", "sum", "min", "max", "dictsort",
           "items", "indent", "indent(2)", "indent({})", "truncate(5)", "truncate(5, true)", "wordcount", "center(7)", "format({})", "e", "safe",
           "escape", "urlencode", "sort(reverse=true)", "sort(attribute={})", "unique(true)", "count", "d", "attr({})", "filesizeformat",
           "map('int')", "map('default', {})", "trim({})", "sum(start={})", "min(attribute={})", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "iterable", "sequence", "odd", "even",
         "true", "false", "divisibleby({})", "eq({})", "ne {}", "gt({})", "lt {}", "in({})", "sameas({})", "lower", "upper", "escaped", "callable"]
METHODS = ["upper()", "lower()", "title()", "capitalize()", "strip()", "lstrip()", "rstrip()", "strip({})", "split()", "split({})", "split({}, 1)",
           "rsplit({}, 1)", "replace({}, {})", "startswith({})", "endswith({})", "find({})", "rfind({})", "count({})", "join({})", "zfill(5)",
           "center(6)", "ljust(5)", "rjust(5, '*')", "splitlines()", "partition({})", "rpartition({})", "format({})", "format({}, {})", "isdigit()",
           "isalpha()", "isupper()", "islower()", "istitle()", "isspace()", "items()", "keys()", "values()", "get({})", "get({}, {})", "index({})",
           "swapcase()", "casefold()", "removeprefix({})", "removesuffix({})", "expandtabs()", "append({})", "pop()", "copy()", "v", "name", "content", "k"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or"]
FORMATS = ["'%d'", "'%5.1f|'", "'%s and %s'", "'%(k)s'", "'{:>5}'", "'{0}{0}'", "'{:05.1f}'", "'{:,}'", "'%x'", "'{!r:>8}'", "'{:^7}|'", "'%-6s|'", "'%r'", "'{:.2}'", "'{:e}'", "'%g'"]


class Maker:
    def __init__(self, rng):
        self.rng = rng

    def fill(self, text, depth):
        return re.sub(r"\{\}", lambda _: self.expr(depth - 1), text)

    def expr(self, depth):
        rng = self.rng
        if depth <= 0 or rng.random() < 0.15:
            return rng.choice(NAMES) if rng.random() < 0.5 else rng.choice(LITERALS)
        kind = rng.randrange(13)
        if kind <= 1:
            return f"({self.expr(depth - 1)} {rng.choice(BINARY)} {self.expr(depth - 1)})"
        if kind == 2:
            return f"{self.expr(depth - 1)} {rng.choice(BINARY)} {self.expr(depth - 1)}"
        if kind <= 5:
            return f"{self.atom(depth - 1)} | {self.fill(rng.choice(FILTERS), depth)}"
        if kind == 6:
            return f"{self.atom(depth - 1)} is {rng.choice(['', 'not '])}{self.fill(rng.choice(TESTS), 1)}"
        if kind <= 8:
            return f"{self.atom(depth - 1)}.{self.fill(rng.choice(METHODS), depth)}"
        if kind == 9:
            index = rng.choice(["0", "-1", "1:", ":2", "::-1", "1:3", "::2", "5", "'k'", "-2:", ":-1", "{}", "{}:{}"])
            return f"{self.atom(depth - 1)}[{self.fill(index, depth)}]"
        if kind == 10:
            return f"({self.expr(depth - 1)} if {self.expr(depth - 1)} else {self.expr(depth - 1)})"
        if kind == 11:
            return self.fill(rng.choice(["[{}, {}]", "({}, {})", "not {}", "-{}", "[{}]", "dict(v={})", "dict(k={})"]), depth)
        return f"{rng.choice(FORMATS)} % {self.atom(depth - 1)}" if rng.random() < 0.5 else f"{rng.choice(FORMATS)}.format({self.expr(depth - 1)})"

    # Expressions of one type, most of which mean something.

    def text_of(self, depth):
        rng, go = self.rng, depth - 1
        if depth <= 0:
            return rng.choice(["s", "e", "d.k", "messages[0].content", "messages[1].content", "people[0].name", "'a'", "' Ab c '", "'x-y-z'", "'é🙂'",
                               "'a\\nb\\n\\nc'", "'ONE two'", "''", "bos_token", "'{}'", "'5'", "\"it's\"", "'<a href=\"x\">'"])
        t = self.text_of
        return rng.choice([
            lambda: f"({t(go)} + {t(go)})", lambda: f"({t(go)} ~ {self.number(go)})", lambda: f"({t(go)} * {rng.randrange(4)})",
            lambda: f"({t(go)} if {self.truth(go)} else {t(go)})", lambda: f"({t(go)} or {t(go)})", lambda: f"({t(go)} and {t(go)})",
            lambda: f"{t(go)}[{rng.choice(['0', '-1', '1:', ':-1', '::-1', '::2', '1:3', '-2:', ':0', '3:1:-1'])}]",
            lambda: f"{t(go)}.{rng.choice(['upper', 'lower', 'title', 'capitalize', 'strip', 'lstrip', 'rstrip', 'swapcase', 'casefold', 'expandtabs'])}()",
            lambda: f"{t(go)}.{rng.choice(['strip', 'lstrip', 'rstrip', 'removeprefix', 'removesuffix'])}({t(go)})",
            lambda: f"{t(go)}.replace({t(go)}, {t(go)}{rng.choice(['', ', 1', ', 0', ', -1'])})",
            lambda: f"{t(go)}.{rng.choice(['center', 'ljust', 'rjust'])}({rng.randrange(12)}{rng.choice(['', chr(44) + chr(39) + '*' + chr(39)])})",
            lambda: f"{t(go)}.join({self.texts(go)})", lambda: f"({self.texts(go)} | join({t(go)}))", lambda: f"{t(go)}.zfill({rng.randrange(9)})",
            lambda: f"({t(go)} | {rng.choice(['upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'e', 'escape', 'safe', 'urlencode', 'indent', 'indent(2, true)', 'center(9)', 'reverse', 'forceescape', 'tojson', 'first', 'last', 'indent(3, false, true)'])})",
            lambda: f"({t(go)} | replace({t(go)}, {t(go)}))", lambda: f"({t(go)} | truncate({rng.randrange(3, 9)}, {rng.choice(['true', 'false'])}, {rng.choice(['..', '', '...'])!r}, {rng.randrange(3)}))",
            lambda: f"({self.any(go)} | tojson{rng.choice(['', '(indent=2)', '(ensure_ascii=true)', '(sort_keys=true)', '(separators=(chr, chr))'.replace('chr', repr(','))])})",
            lambda: f"({self.any(go)} | string)", lambda: f"('%s|%5s|%-4s' % ({t(go)}, {self.number(go)}, {t(go)}))", lambda: f"('{{}}:{{:>4}}:{{!r}}'.format({t(go)}, {self.number(go)}, {t(go)}))",
            lambda: f"('%{rng.choice(['', '0', '-', '+', ' ', '#'])}{rng.choice(['', '3', '8'])}{rng.choice(['', '.0', '.2'])}{rng.choice('dfegxosr')}' % {self.number(go)})",
            lambda: f"('{{:{rng.choice(['', '<', '>', '^', '*^', '=', '0'])}{rng.choice(['', '3', '9'])}{rng.choice(['', ','])}{rng.choice(['', '.1', '.3'])}{rng.choice(['', 'd', 'f', 'g', 'e', '%', 'x', 's'])}}}'.format({self.number(go)}))",
            lambda: f"{t(go)}.partition({t(go)})[{rng.randrange(3)}]", lambda: f"({t(go)} | default({t(go)}, true))", lambda: f"{self.texts(go)}[{rng.choice(['0', '-1'])}]",
        ])()

    def number(self, depth):
        rng, go = self.rng, depth - 1
        if depth <= 0:
            return rng.choice(["n", "m", "x", "0", "1", "2", "3", "-1", "1.5", "0.1", "10", "255", "flag", "people[0].age"])
        return rng.choice([
            lambda: f"({self.number(go)} {rng.choice(['+', '-', '*', '/', '//', '%'])} {self.number(go)})", lambda: f"({self.text_of(go)} | length)",
            lambda: f"({self.listing(go)} | {rng.choice(['length', 'count'])})", lambda: f"{self.text_of(go)}.{rng.choice(['find', 'rfind', 'count'])}({self.text_of(go)})",
            lambda: f"({self.number(go)} | {rng.choice(['int', 'float', 'abs', 'round', 'round(1)', 'round(-1)', 'round(1, chr)'.replace('chr', repr('ceil')), 'round(0, chr)'.replace('chr', repr('floor'))])})",
            lambda: f"({self.text_of(go)} | {rng.choice(['int', 'float', 'int(7)', 'wordcount', 'int(base=16)'])})", lambda: f"(-{self.number(go)})",
            lambda: f"({self.numbers(go)} | {rng.choice(['sum', 'min', 'max', 'first', 'last'])})", lambda: f"({self.number(go)} if {self.truth(go)} else {self.number(go)})",
            lambda: f"({self.number(go)} ** {rng.randrange(4)})",
        ])()

    def truth(self, depth):
        rng, go = self.rng, depth - 1
        if depth <= 0:
            return rng.choice(["flag", "n > 3", "zz is defined", "s", "e", "not l", "nothing is none", "true", "false"])
        return rng.choice([
            lambda: f"({self.number(go)} {rng.choice(['<', '>', '<=', '>=', '==', '!='])} {self.number(go)})", lambda: f"({self.text_of(go)} {rng.choice(['<', '>', '<=', '==', '!='])} {self.text_of(go)})",
            lambda: f"({self.text_of(go)} {rng.choice(['in', 'not in'])} {self.text_of(go)})", lambda: f"({self.any(go)} in {self.listing(go)})", lambda: f"(not {self.truth(go)})",
            lambda: f"({self.truth(go)} {rng.choice(['and', 'or'])} {self.truth(go)})", lambda: f"({self.any(go)} == {self.any(go)})",
            lambda: f"({self.any(go)} is {rng.choice(['', 'not '])}{rng.choice(['defined', 'string', 'number', 'mapping', 'iterable', 'sequence', 'none', 'true', 'boolean', 'integer', 'float', 'callable', 'escaped'])})",
            lambda: f"({self.number(go)} is {rng.choice(['odd', 'even', 'divisibleby 3', 'eq 7', 'gt(2)'])})", lambda: f"{self.text_of(go)}.{rng.choice(['isdigit', 'isalpha', 'isalnum', 'isspace', 'isupper', 'islower', 'istitle', 'isascii', 'isidentifier', 'isnumeric', 'isdecimal', 'isprintable'])}()",
            lambda: f"{self.text_of(go)}.{rng.choice(['startswith', 'endswith'])}({self.text_of(go)})", lambda: f"({self.text_of(go)} is {rng.choice(['lower', 'upper'])})",
        ])()

    def numbers(self, depth):
        rng, go = self.rng, depth - 1
        if depth <= 0:
            return rng.choice(["l", "[1, 2, 3]", "range(5)", "[2.5, 1]", "range(3, 0, -1)", "[0]", "(4, 2)", "[]"])
        return rng.choice([lambda: f"[{self.number(go)}, {self.number(go)}]", lambda: f"({self.numbers(go)} | {rng.choice(['sort', 'list', 'unique | list', 'reverse | list', 'sort(reverse=true)'])})",
                           lambda: f"({self.numbers(go)} | {rng.choice(['select', 'reject'])}({rng.choice(['odd', 'even', 'integer'])!r}) | list)", lambda: f"{self.numbers(go)}[{rng.choice(['1:', ':2', '::-1', '::2'])}]",
                           lambda: f"({self.texts(go)} | map('length') | list)", lambda: f"({self.numbers(go)} | map('abs') | list)", lambda: f"(people | map(attribute='age') | list)"])()

    def texts(self, depth):
        rng, go = self.rng, depth - 1
        if depth <= 0:
            return rng.choice(["words", "['b', 'A']", "('x', 'y')", "d.keys() | list", "people | map(attribute='name') | list", "'a b c'.split()", "['']", "[]"]).join(["(", ")"])
        return rng.choice([lambda: f"[{self.text_of(go)}, {self.text_of(go)}]", lambda: f"{self.text_of(go)}.split({rng.choice(['', self.text_of(0), self.text_of(0) + ', 1', 'none, 1'])})",
                           lambda: f"{self.text_of(go)}.rsplit({rng.choice(['', self.text_of(0) + ', 1', 'none, 1'])})", lambda: f"{self.text_of(go)}.splitlines({rng.choice(['', 'true'])})",
                           lambda: f"({self.texts(go)} | map({rng.choice(['upper', 'lower', 'trim', 'title', 'string', 'capitalize', 'e'])!r}) | list)", lambda: f"({self.texts(go)} | {rng.choice(['sort', 'unique | list', 'sort(true)', 'reverse | list', 'list', 'select | list', 'unique(true) | list', 'sort(reverse=true)'])})",
                           lambda: f"({self.texts(go)} + {self.texts(go)})", lambda: f"{self.texts(go)}[{rng.choice(['1:', ':2', '::-1'])}]", lambda: f"({self.text_of(go)} | list)", lambda: f"({self.texts(go)} | reject('in', {self.texts(go)}) | list)"])()

    def listing(self, depth):
        rng = self.rng
        return rng.choice([self.numbers, self.texts, lambda _: rng.choice(["people", "messages", "d | dictsort", "d.items() | list", "people | groupby('age')", "range(5) | batch(2) | list", "range(5) | slice(2) | list", "people | selectattr('home') | list", "people | sort(attribute='name')", "people | rejectattr('age', 'eq', 30) | list", "d.values() | list", "people | map(attribute='home.town', default='-') | list"]).join(["(", ")"])])(depth)

    def any(self, depth):
        rng = self.rng
        return rng.choice([self.text_of, self.number, self.truth, self.listing, lambda _: rng.choice(["d", "nothing", "tools", "zz", "messages[0]", "dict(a=n, b=s)"])])(depth)

    def atom(self, depth):
        text = self.expr(depth)
        return f"({text})" if " " in text or text.startswith("-") else text

    def tag(self, text):
        rng = self.rng
        return f"{{%{rng.choice(['', '', '', '-', '+'])} {text} {rng.choice(['', '', '', '-', '+'])}%}}"

    def text(self):
        return self.rng.choice(["", "", "x", " ", "\n", "  \n", "\n  ", " y ", "\n\n", "\t", "{# c #}", "\n {#- c #}\n", "é"])

    def stmt(self, depth):
        rng = self.rng
        kind = rng.randrange(10) if depth > 0 else 0
        if kind <= 3:
            value = self.any(rng.randrange(1, 4)) if rng.random() < 0.8 else self.expr(rng.randrange(1, 4))
            return f"{{{{{rng.choice(['', '-'])} {value} {rng.choice(['', '-'])}}}}}"
        if kind == 4:
            middle = rng.choice(["", self.tag(f"elif {self.expr(1)}") + self.body(depth - 1), self.tag("else") + self.body(depth - 1)])
            return self.tag(f"if {self.truth(2)}") + self.body(depth - 1) + middle + self.tag("endif")
        if kind == 5:
            target = rng.choice(["a", "b", "i", "a, b"])
            test = rng.choice(["", "", f" if {self.expr(1)}"])
            inner = rng.choice(["", "{{ loop.index }}", "{{ loop.last }}{{ loop.length }}", self.tag("if loop.index > 1") + self.tag(rng.choice(["break", "continue"])) + self.tag("endif"), "{{ loop.previtem }}{{ loop.nextitem }}"])
            other = rng.choice(["", self.tag("else") + self.body(depth - 1)])
            return self.tag(f"for {target} in {self.listing(2) if rng.random() < 0.8 else self.expr(2)}{test}") + inner + self.body(depth - 1) + other + self.tag("endfor")
        if kind == 6:
            return self.tag(f"set {rng.choice(['a', 'b', 'n', 's', 'ns.v', 'ns.w', 'a, b'])} = {self.any(2)}")
        if kind == 7:
            return self.tag("set " + rng.choice(["a", "b | upper", "n"])) + self.body(depth - 1) + self.tag("endset")
        if kind == 8:
            return self.tag(f"macro f(a, b={self.expr(1)})") + self.body(depth - 1) + self.tag("endmacro") + f"{{{{ f({self.expr(1)}) }}}}"
        return rng.choice([self.tag(f"with a = {self.expr(1)}") + self.body(depth - 1) + self.tag("endwith"),
                           self.tag("filter " + rng.choice(["upper", "trim", "length", "indent"])) + self.body(depth - 1) + self.tag("endfilter"),
                           self.tag("generation") + self.body(depth - 1) + self.tag("endgeneration")])

    def body(self, depth):
        return "".join(self.text() + self.stmt(depth) for _ in range(self.rng.randrange(1, 3))) + self.text()


BIG = re.compile(r"\d{17,}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=20)
    options = parser.parse_args()
    runner = template_check.Runner(options.runner)
    counts = dict.fromkeys(["equal", "raised", "skipped", "different"], 0)
    for i in range(options.count):
        maker = Maker(random.Random(options.seed * 1000003 + i))
        template = "{% set ns = namespace(v=1) %}" + maker.body(maker.rng.randrange(0, 3))
        signal.alarm(5)
        text, why = make_templates.reference(template)
        signal.alarm(0)
        answer = runner.render(template, make_templates.DATA)
        got, error = answer.get("text"), answer.get("error", "")
        if got == text:
            counts["raised" if text is None else "equal"] += 1
        elif any(mark in (text or "") for mark in ("0x", "0X", "<function", "<built-in", "<bound", "<class")) or "64 bits" in error or \
                BIG.search(text or "") or " in 4300" in str(why) or "Exceeds the limit" in str(why) or "complex" in error or "sliced" in error:
            counts["skipped"] += 1  # addresses, numbers beyond 64 bits, and slices of number literals, which jinja2 folds to nothing
        else:
            counts["different"] += 1
            if counts["different"] <= options.show:
                print(f"{template!r}\n   expected {text!r} {why or ''}\n   got      {got!r} {error}")
    print(counts)
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
