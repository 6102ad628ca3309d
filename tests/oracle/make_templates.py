#!/usr/bin/env python3
"""Writes tests/oracle/templates/features.json: small templates of our own, each feature of the language at least once,
with what jinja2 as transformers calls it makes of them (null: it raises). --try RUNNER compares instead of writing."""
import json
import pathlib
import subprocess
import sys

import template_check  # noqa: F401  fixes the time and the time zone
from transformers.utils import chat_template_utils as utils

HERE = pathlib.Path(__file__).parent
DATA = {
    "messages": [{"role": "user", "content": "Grüße, Ωmega! 🙂"}, {"role": "assistant", "content": "a b  c\n"},
                 {"role": "tool", "content": [{"type": "text", "text": "x"}, {"type": "image"}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": [True, None, 1.5, "é\"\n\u0001"]}}}],
    "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
    "n": 7, "m": -3, "x": 2.5, "big": 1e22, "flag": True, "nothing": None, "s": "Hello World", "e": "",
    "l": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "d": {"k": "v", "two": 2, "B": [1], "a": None},
    "people": [{"name": "Bo", "age": 30, "home": {"town": "Ulm"}}, {"name": "al", "age": 25, "home": {"town": "Aix"}},
               {"name": "Cy", "age": 30}],
}

EXPRESSIONS = r"""
n + m|n - m|n * m|n / m|n // m|n % m|m // n|m % n|n ** 2|2 ** -1|-n ** 2|x ** 2|7.0 // 2|-7.5 % 2|7.5 // -2|1 / 3|2 ** 0.5|n // 0|1 / 0|1 % 0
9223372036854775807 + 0|true + true|1e3|1.5e-7|1e16|123456789012345680.0|0.1 + 0.2|1e22|-0.0|5 // 2.0|1_000|0x1F|0b101|0o17|1.0|100000000000000000000000.0
n == 7|n != 7.0|n < x|1 < 2 < 3|1 < 3 < 2|3 > 2 >= 2|'a' < 'b'|'Z' < 'a'|[1, 2] < [1, 3]|(1, 'a') == (1, 'a')|[1] == (1,)|1 == true|'1' == 1|none == false|{'a': 1} == {'a': 1.0}|1 < 'a'|none < 1|undefined_name == other_undefined|undefined_name == none
1 in l|'x' in d|'k' in d|'lo' in s|'' in s|1 in 'abc'|4 not in l|'a' in none|none in [none]|1.0 in [1]|undefined_name in l|'a' in undefined_name|[1] in d
not flag|flag and n|flag or n|e or 'empty'|none and 1|0 or none|not not s|n and m and x|e and 1 or 2
s ~ n ~ x ~ none ~ flag|1 ~ 2|undefined_name ~ 'x'|'a' 'b' "c"|s + n|s * 2|2 * s|s * -1|[1] * 3|(1, 2) + (3,)|[1] + [2]|l + 1|'%s is %d' % ('a', 3)|'%5.2f|' % x|'%05d' % m|'%x %o %X' % (255, 8, 255)|'%-5s|' % 'ab'|'%r' % 'a'|'%%'|'%s' % [1, 2]|'%(a)s' % {'a': 1}|'%s %s' % 'a'|'a' % 1|'%c%c' % (65, 'b')|'%e' % x|'%g' % 1e10|'%+d' % 5|'%s' % undefined_name|'%d' % 'a'|'%i' % 3.99|'%.2s' % 'abc'|'%*d' % (5, 3)
1 if flag else 2|1 if not flag|(1 if not flag) is defined|'a' if e else 'b' if n else 'c'
s[0]|s[-1]|s[100]|s[1:4]|s[::-1]|s[:-1]|s[::2]|s[-3:]|s[5:2]|s[10:0:-3]|l[0]|l[-1]|l[9]|l[1:]|l[::-1]|l[:2]|l['a']|d['k']|d.k|d['zz']|d.zz|d.items|d['items']|(1, 2, 3)[1:]|'aé🙂b'[2]|'aé🙂b'[1:3]|'aé🙂b'[::-1]|messages[0].content[-1]|messages[0]['content'][:3]|messages[0].content[::3]|range(10)[2]|l[true]|l[1.0]|s['upper']()|none.x|n.x|undefined_name.x|undefined_name['x']|d.zz.y|l[5].x|s[1:'a']|d[1:2]|l[::0]|(1,2)[5]
[1, [2, 'a'], none, true, 1.5]|{'a': 1, 'b': [none]}|(1,)|()|[]|{}|(1, 2)|"it's"|["it's", 'say "x"', 'both \' and "', 'tab\t\n\\', 'é🙂\x01\x7f\u200b\ue000']|['a'] |{1: 2, none: 3, true: 4, 1.5: 5}|{'a': 1, 'a': 2}|{(1, 2): 3}|{[1]: 2}|d|messages[2]
'\n\t\\\'\"'|'\x41\u00e9\U0001F642\101'|'\q\é'|"a\
b"
s.upper()|s.lower()|s.title()|s.capitalize()|s.swapcase()|'ß'.upper()|'ΑΣ'.lower()|'ΑΣ Σ'.lower()|'ǆ'.title()|"they're bill's".title()|'ﬁn'.capitalize()|'İ'.lower()|'straße'.casefold()|s.split()|s.split('o')|s.split('o', 1)|s.rsplit('o', 1)|' a  b '.split()|' a  b '.split(' ')|' a  b c '.split(none, 1)|' a  b c '.rsplit(none, 1)|''.split()|''.split(',')|'a,b'.split('')|'a\nb\r\nc\x0bd\u2028e'.splitlines()|'a\nb\n'.splitlines(true)|'  x '.strip() ~ '|'|'xxaxx'.strip('x')|'  x '.lstrip() ~ '|'|'  x '.rstrip() ~ '|'|'abc'.strip('ca')|'\u00a0x\u2003'.strip()|'a-b-c'.replace('-', '+')|'a-b-c'.replace('-', '', 1)|'abc'.replace('', '.')|'abc'.replace('', '.', 2)|s.startswith('He')|s.startswith(('x', 'H'))|s.startswith('l', 2)|s.endswith('ld')|s.endswith(('a', 'd'))|s.endswith('l', 0, -1)|s.startswith(['a'])|s.find('o')|s.rfind('o')|s.find('zz')|s.find('o', 5)|'é🙂o'.find('o')|s.index('zz')|s.count('o')|'aaa'.count('aa')|'abc'.count('')|','.join(['a', 'b'])|','.join([1])|','.join('abc')|'7'.zfill(3)|'-7'.zfill(4)|'ab'.center(5, '*')|'ab'.center(6) ~ '|'|'abc'.center(6) ~ '|'|'ab'.ljust(4, '.')|'ab'.rjust(4)|'a=b=c'.partition('=')|'a=b=c'.rpartition('=')|'abc'.partition('x')|'abc'.rpartition('x')|'prefix-x'.removeprefix('prefix-')|'x.txt'.removesuffix('.txt')|'a\tb'.expandtabs(4)|'abc'.isalpha()|'ab1'.isalnum()|'12'.isdigit()|'²'.isdigit()|'½'.isnumeric()|'²'.isdecimal()|' \t'.isspace()|'Ab'.istitle()|'AB'.isupper()|'ab'.islower()|'a b'.isidentifier()|'é'.isascii()|''.isalpha()|''.isascii()|'a\n'.isprintable()
'{} {}'.format(1, 'a')|'{1} {0}'.format(1, 'a')|'{a} {b.k} {c[0]}'.format(a=1, b=d, c=l)|'{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c')|'{:05d} {:+} {:,} {:x} {:#x} {:b}'.format(42, 1, 1234567, 255, 255, 5)|'{:.2f} {:e} {:g} {:%}'.format(x, x, x, x)|'{!r} {!s}'.format('a', 'b')|'{{}}'.format()|'{:{w}}'.format('a', w=5)|'{} {0}'.format(1)|'{}'.format()|'{:*^9}'.format('mid')|'{:d}'.format('a')|'{:10.3}|'.format('abcdef')|'{:_}'.format(1234567)|'{0.__class__}'.format(1)|'{:s}'.format(1)|'{:010.3f}'.format(-x)|'{: d}'.format(5)|'{a'.format(a=1)|'a}'.format()|'{:c}'.format(65)|'{:n}'.format(5)|'{0[k]}'.format(d)|'{}'.format([1, 'a'])|'{:5}|'.format(true)|'{:5}|'.format(none)|'{}'.format(none)|'{:.3}'.format(1234.5)|'{:g}'.format(1e-7)|'{:.0f}'.format(2.5)|'{:,.2f}'.format(1234567.891)|'{:#o}'.format(8)|'{:=+7d}'.format(5)|'{:<07d}'.format(5)|'{:^7d}|'.format(5)|'{:08,d}'.format(1234)
d.items()|d.keys()|d.values()|d.get('k')|d.get('zz')|d.get('zz', 5)|d.copy()|d.pop('k')|d.update({'a': 1})|d.items() | list|l.index(2)|l.index(9)|l.count(1)|l.append(4)|l.pop()|l.copy()|d.keys() | list | join(',')|(1, 2, 1).count(1)|(1, 2).index(2)|d.__class__|s.__class__.__mro__|''.__class__|d['__class__']|l.sort()|l.append is defined|d.get is callable|s.nope is defined|dict(a=1, b=2)|dict([('a', 1)], c=2)|dict({'z': 1})|dict.fromkeys
range(3) | list|range(1, 7, 2) | list|range(3, 0, -1) | list|range(0) | list|range(3)|range(1, 5, 2)|range('a')|range(1.5)|range(5) | length|3 in range(5)|range(100001)|range(0, 5, 0)
x is defined|zz is defined|zz is undefined|nothing is none|flag is true|flag is false|flag is boolean|n is number|x is number|flag is number|n is integer|flag is integer|x is float|n is float|s is string|d is mapping|l is mapping|l is iterable|s is iterable|n is iterable|zz is iterable|l is sequence|d is sequence|s is sequence|zz is sequence|n is sequence|n is odd|n is even|6 is divisibleby 3|6 is divisibleby(4)|n is eq 7|n is equalto(7)|n is ne 7|n is gt 3|n is ge 7|n is lt 3|n is le 7|n is in l|1 is in([1])|s is lower|'abc' is lower|'ABC' is upper|n is sameas 7|flag is sameas true|none is sameas none|s is escaped|'trim' is filter|'nope' is filter|'odd' is test|range is callable|n is not odd|not n is odd|n is not none and flag|n is defined and n > 3|d.k is string|'x' is divisibleby 2|n is nope|zz is none|zz is not defined|n is in [7, 8]|s is number or n is number|zz is string|zz is callable
s | upper|s | lower|'hello wORLD-x (a' | title|'hELLO' | capitalize|'  a ' | trim ~ '|'|'xax' | trim('x')|s | length|l | length|d | length|n | length|zz | length|none | length|s | replace('l', 'L')|s | replace('l', 'L', 1)|'aaa' | replace('a', 'b', count=2)|n | replace(7, 8)|s | reverse|l | reverse | list|l | first|l | last|[] | first|[] | first is defined|[] | last|s | first|s | last|l | join(', ')|l | join|people | join(', ', attribute='name')|[1, none, true] | join('-')|zz | join|s | list|d | list|zz | list|n | list|l | sort|l | sort(reverse=true)|words | sort|words | sort(case_sensitive=true)|words | sort(true)|people | sort(attribute='age') | map(attribute='name') | list|people | sort(attribute='age,name') | map(attribute='name') | list|people | sort(reverse=true, attribute='age') | map(attribute='name') | list|[1, 'a'] | sort|l | unique | list|words | unique | list|words | unique(true) | list|l | min|l | max|words | min|[] | max|people | max(attribute='age')|l | sum|[] | sum|people | sum(attribute='age')|l | sum(start=10)|[[1], [2]] | sum(start=[])|['a'] | sum|l | map('string') | list|words | map('upper') | join(' ')|words | map('replace', 'p', 'b') | list|people | map(attribute='home.town') | list|people | map(attribute='home.town', default='?') | list|people | map(attribute='name') | map('lower') | list|l | map | list|l | map('nope') | list|l | select('odd') | list|l | reject('odd') | list|l | select | list|[0, 1, '', none] | select | list|l | select('gt', 1) | list|l | select('in', [1, 2]) | list|people | selectattr('age', 'equalto', 30) | map(attribute='name') | list|people | rejectattr('age', '==', 30) | list | length|people | selectattr('home') | list | length|people | selectattr('home', 'undefined') | list | length|people | selectattr('home.town', 'eq', 'Ulm') | map(attribute='name') | first|messages | selectattr('role', 'in', ['user', 'tool']) | list | length|l | select('odd') | length|l | select('odd') | first|(l | select('gt', 100)) and 'always'|zz | select | list|people | groupby('age') | list|people | groupby('age') | map('first') | list|people | groupby('home.town', default='-') | map('list') | list | length|(people | groupby('age'))[0].grouper|(people | groupby('age'))[0].list | length|words | groupby(0) | length|range(7) | batch(3) | list|range(7) | batch(3, '-') | list|range(7) | slice(3) | list|range(7) | slice(3, '-') | list|d | items | list|zz | items | list|l | items | list|d | dictsort|d | dictsort(true)|{'b': 1, 'a': 2} | dictsort(by='value')|{'b': 1, 'a': 2} | dictsort(reverse=true)|{'b': 1, 'A': 2} | dictsort|d | dictsort(by='x')
zz | default('x')|e | default('x')|e | default('x', true)|none | d('x')|none | default('x', boolean=true)|zz | d|'3' | int|'3.9' | int|'x' | int|'x' | int(5)|'ff' | int(base=16)|'0x1f' | int(0, 16)|'0b11' | int(0, 0)|3.9 | int|-3.9 | int|none | int|true | int|' 12 ' | int|'1_000' | int|'3.5' | float|'x' | float|'x' | float(1.5)|'1e3' | float|'inf' | float|'nan' | float|3 | float|zz | int|2.5 | round|3.5 | round|2.567 | round(2)|2.567 | round(2, 'floor')|2.1 | round(0, 'ceil')|1234 | round(-2)|1250 | round(-2)|7 | round|-2.5 | round|2.675 | round(2)|0.5 | round|1e300 | round(2)|'a' | round|-3 | abs|-2.5 | abs|'a' | abs|n | string|x | string|none | string|l | string|n | string | length|'<a href="x">&\'' | escape|'<a>' | e|'<a>' | safe|('<a>' | safe) + '<b>'|('<a>' | safe) ~ '<b>'|('<a>' | safe) * 2|('%s' | safe) % '<'|('<a>' | safe | upper)|['<'] | join('<' | safe)|('<a>' | safe) is escaped|'<a>' | e | e|'<a>' | safe | e|'<a>' | safe | forceescape|'<' | safe | string is escaped|'%s-%s' | format(1, 'a')|'%(a)s' | format(a=1)|'a\nb\n\nc' | indent|'a\nb' | indent(2)|'a\nb\n\nc' | indent(2, true)|'a\n\nb' | indent(2, true, true)|'a\nb' | indent('>> ')|'a\nb\n' | indent(width=1) ~ '|'|'foo bar baz qux' | truncate(9)|'foo bar baz qux' | truncate(9, true)|'foo bar baz qux' | truncate(11)|'foo bar baz qux' | truncate(11, false, '..', 0)|'foo' | truncate(1)|'a b-c d_e é' | wordcount|'ab' | center(6) ~ '|'|'a b&c/d?é' | urlencode|{'a b': 1, 'c': 'd&'} | urlencode|[('a', 1)] | urlencode|n | urlencode|1000 | filesizeformat|1 | filesizeformat|1500000 | filesizeformat|1536 | filesizeformat(true)|999 | filesizeformat|d | attr('items') is callable|d | attr('k') is defined|n | upper|none | upper|s | nope|d | length | string
tools | tojson|tools | tojson(indent=2)|tools[0] | tojson(indent=4, sort_keys=true)|'é🙂\u2028' | tojson|'é🙂\u2028' | tojson(ensure_ascii=true)|'\x7f\x1f/<>&\'' | tojson|'\x7f' | tojson(true)|d | tojson(separators=(',', ':'))|d | tojson(none, 2)|[] | tojson|{} | tojson(indent=2)|[[], {}] | tojson(indent=2)|(1, 2) | tojson|none | tojson|1.0 | tojson|1e22 | tojson|zz | tojson|range(3) | tojson|{1: 2, none: 3, true: 4, 1.5: 5} | tojson|{(1,): 2} | tojson|{'b': 1, 'a': 2} | tojson(sort_keys=true)|d.items() | tojson|d.items() | list | tojson|[1] | tojson(indent='--')|('a' | safe) | tojson|'"\\\n\r\t\b\f' | tojson|[1, [2, [3]]] | tojson(indent=1)|d | tojson(indent=0)|{1: 1, 'a': 2} | tojson(sort_keys=true)
strftime_now('%Y-%m-%d')|strftime_now('%d %B %Y')|strftime_now('%A %a %b %H:%M:%S %j %p %I %%')|strftime_now('%d %b %Y')|strftime_now('%-d')|strftime_now('')|strftime_now(1)|raise_exception('no')|raise_exception()|namespace(a=1).a|namespace(a=1)['a']|namespace(a=1).b is defined|namespace({'a': 2}, b=3).b|namespace(_a=1)|cycler('a', 'b').next()|joiner('|')()|nope()|n()|none()|'a'()|dict(**d) | length|[1, 2, 3][:]|{'a': {'b': {'c': 1}}}.a.b.c|l | map('nope')|(l | map('abs')) is iterable|messages | map(attribute='content') | list | length|(s | list)[:3]|d.k | upper ~ '!'|-l[0]|-x | abs|+n|not n == 7|n|string|- n|s.upper|l | first + 1|l|first|n - 1 if n > 3 else n + 1|"a" in ["a"] and "b" not in ["a"]|1 + 2 * 3 - 4 / 2|(1 + 2) * 3|2 * 3 % 4|2 ** 3 ** 2|- 2 ** 2|1 - -1|'a' ~ 'b' + 'c'|'a' + 'b' ~ 'c'|1 + 1 ~ 'x'|[] or {} or 'z'|n.__add__(1)|true and false or true|True|False|None|none is none|loop is defined|foo.bar.baz
"""

TEMPLATES = [
    "{% for x in l %}{{ x }}{% endfor %}", "{% for x in [] %}a{% else %}b{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}|{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}", "{% for a, b in [[1, 2], 'xy', (3, 4)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in [1] %}{{ a }}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}",
    "{% for (a, b), c in [[(1, 2), 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}{{ loop.last }} {% endfor %}",
    "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}", "{% for x in zz %}a{% else %}b{% endfor %}",
    "{% for x in n %}a{% endfor %}", "{% for x in none %}a{% endfor %}", "{% for c in 'aé🙂' %}{{ c }}.{% endfor %}",
    "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in range(3) %}{% break %}{% else %}e{% endfor %}",
    "{% for x in range(3) %}{% continue %}{% else %}e{% endfor %}",
    "{% break %}", "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% if y == 1 %}{% break %}{% endif %}{% endfor %}-{{ loop.index }} {% endfor %}",
    "{% for x in l %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in l | select('odd') %}{{ loop.length }}{{ loop.index }}{{ loop.last }} {% endfor %}",
    "{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for g in people | groupby('age') %}{{ g.grouper }}:{% for p in g.list %}{{ p.name }}{% endfor %};{% endfor %}",
    "{% for age, list in people | groupby('age') %}{{ age }}:{{ list | length }};{% endfor %}",
    "{% for row in range(5) | batch(2, '-') %}{{ row | join(',') }};{% endfor %}",
    "{%- for item in [{'v': 1, 'c': [{'v': 2, 'c': []}]}] recursive %}[{{ item.v }}{{ loop.depth }}{{ loop(item.c) }}]{% endfor %}",
    "{% for x in l %}{{ loop(l) }}{% endfor %}", "{% for loop in l %}{% endfor %}",
    "{% if n %}a{% endif %}", "{% if not n %}a{% elif m %}b{% else %}c{% endif %}", "{% if zz %}a{% else %}b{% endif %}",
    "{% if zz.y %}a{% endif %}", "{% if n == 7 and s %}a{% endif %}", "{% if n: %}a{% endif %}",
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a = [] %}{{ a }}",
    "{% set a, b = [1] %}{{ a }}", "{% set a %}x{{ n }}{% endset %}{{ a }}{{ a | length }}", "{% set a | upper %}x{{ s }}{% endset %}{{ a }}",
    "{% set a | replace('o', '0') | trim %} {{ s }} {% endset %}[{{ a }}]",
    "{% set ns = namespace(a=1, b=[]) %}{% for x in l %}{% set ns.a = ns.a + x %}{% set ns.b = ns.b + [x] %}{% endfor %}{{ ns.a }}{{ ns.b }}",
    "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns.y }}", "{% set d.x = 1 %}", "{% set zz.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set ns = namespace(x=1) %}{% set ns.x, a = 2, 3 %}{{ ns.x }}{{ a }}", "{% set ns = namespace() %}{% set ns.t %}body{% endset %}{{ ns.t }}",
    "{% set a = 1 %}{% for x in l %}{% set a = a + x %}{{ a }} {% endfor %}{{ a }}",
    "{% set a = 1 %}{% if flag %}{% set a = 2 %}{% endif %}{{ a }}", "{% if not flag %}{% set a = 2 %}{% endif %}{{ a }}.",
    "{% for x in l %}{% if loop.first %}{% set a = x %}{% endif %}{{ a }}{% endfor %}{{ a }}",
    "{% for x in l %}{{ n }}{% set n = x %}{{ n }} {% endfor %}{{ n }}", "{% for x in [1] %}{{ n }}{% endfor %}{% set n = 2 %}{{ n }}",
    "{{ n }}{% set n = 2 %}{{ n }}", "{% if flag %}{% set n = 3 %}{% else %}{% set n = 4 %}{% endif %}{{ n }}",
    "{% for x in [1, 2] %}{% if x == 2 %}{{ n }}{% else %}{% set n = 1 %}{{ n }}{% endif %}{% endfor %}",
    "{% set n = n + 1 %}{{ n }}", "{% set x = x %}{{ x }}", "{% for x in [1] %}{% set q = 1 %}{% endfor %}{{ q }}.",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}.", "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}.", "{% with n = n + 1 %}{{ n }}{% endwith %}{{ n }}",
    "{% with a = 1, b = a %}{{ b }}.{% endwith %}",
    "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='y') }}{{ m(b=5, a=4) }}{{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m(a=b, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}.",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m() %}{{ n }}{% set n = 1 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}",
    "{% macro m() %}{{ n }}{% endmacro %}{% set n = 99 %}{{ m() }}", "{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% macro a(x) %}{% if x %}a{{ b(x - 1) }}{% endif %}{% endmacro %}{% macro b(x) %}{% if x %}b{{ a(x - 1) }}{% endif %}{% endmacro %}{{ a(5) }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}body {{ n }}{% endcall %}",
    "{% macro m() %}<{{ caller(1, 2) }}>{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}b{% endcall %}",
    "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m() %}{% for x in l %}{{ x }}{% endfor %}{% endmacro %}{{ m() | upper }}{{ m() | length }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ [1, 2] | map('string') | join }}{{ m }}{{ m.name }}", "{{ m(1) }}{% macro m(a) %}{{ a }}{% endmacro %}",
    "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(x) -%}\n  {{ x }}\n{%- endmacro %}[{{ m(1) }}]",
    "{% set f = dict(a=1).get %}{{ f('a') }}", "{% macro m(f) %}{{ f(3) }}{% endmacro %}{% macro g(x) %}{{ x * 2 }}{% endmacro %}{{ m(g) }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(*[1], **{'b': 2}) }}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('o', '0') | upper %}{{ s }}{% endfilter %}", "{% filter trim %}  {% set q = 1 %}x{{ q }} {% endfilter %}{{ q }}.",
    "{% generation %}a{{ n }}{% endgeneration %}", "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}.", "{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% for x in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}b", "a {%- raw -%}  x  {%- endraw -%} b", "{% raw %}\n x\n{% endraw %}\ny", "{% raw %}{% endraw", "{% raw %}",
    "a{# comment #}b", "a {#- c -#} b", "a\n{# c #}\nb", "{# a", "{##}x", "{#-#}x", "a {# {{ x }} {% if %} #} b",
    "  {% if n %}\n  a\n  {% endif %}\nb", "x  {% if n %}\n  a\n  {% endif %}  \nb", "  {%- if n -%}\n  a  \n  {%- endif -%}\n  b", "  {%+ if n %}\n  a\n  {%+ endif %}\nb",
    "{% if n +%}\n  a{% endif +%}\nb", "{{ n }}\n{{ n }}\n", "{{ n -}}  \n b", " {{- n }} b", "a\r\nb\rc\n", "a\n\n", "\n{% if n %}\n\n a{% endif %}", "{{ 'a' }}  {% if n %}b{% endif %}",
    "\t {% set a = 1 %}\t\nx", "a\n \u00a0{% if n %}b{% endif %}", "{{- '' -}}", " {{ ' a ' }} ", "{% if n %}a{% endif %}\n\n{% if n %}b{% endif %}\n", "{%- for x in l %}\n{{ x }}\n{%- endfor %}\n",
    "{% for x in l -%}\n   {{ x }}\n{% endfor %}", "{{+1}}", "{{-1}}", "a{{ '}}' }}b{{ '%}' }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}['a']}}", "{% set x = {'a': 1} %}{{ x }}", "{ { n } }", "{{ n }", "{% if n }", "{{ n %}", "{% n %}",
    "{{", "{%", "{{ }}", "{{ n n }}", "{% if %}a{% endif %}", "{% if n %}a", "{% endif %}", "{% for x l %}{% endfor %}", "{% for x in l %}{% endif %}", "{% set 1 = 2 %}", "{% set a b %}", "{% nope %}", "{{ n | }}", "{{ n | nope }}", "{% if false %}{{ n | nope }}{% endif %}ok", "{{ 1 if true else (n | nope) }}", "{{ n is nope }}", "{% if n %}{{ n | nope }}{% endif %}",
    "{{ (1, 2 }}", "{{ [1, 2 }}", "{{ 'a }}", "{{ n.1 }}", "{{ l.0 }}{{ l.1 }}", "{{ n..x }}", "{{ n[ }}", "{{ f(a b) }}", "{{ f(a=1, 2) }}", "{{ @ }}", "{{ $ }}", "{{ n ? 1 : 2 }}", "{{ n; }}", "{{ 1 === 2 }}", "{{ not }}", "{{ n is }}", "{{ n not 1 }}", "{{ n is odd is even }}", "{{ n and }}", "{{ {'a' 1} }}", "{{ {1, 2} }}", "{{ [1,, 2] }}", "{{ (,) }}", "{{ [1, 2,] }}{{ (1, 2,) }}{{ {'a': 1,} }}", "{{ f(1,) }}", "{% print n, s %}", "{% print(n) %}", "{% do n %}",
    "{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}", "{% set true = 1 %}", "{{ messages[0]['role'] == 'user' }}", "{{ 'é' }}{{ é }}", "{% set é = 1 %}{{ é }}", "{{ _x }}{% set _x = 1 %}{{ _x }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}", "{% set j = joiner() %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{% set it = l | map('string') %}{{ it | list }}{{ it | list }}", "{% set it = l | select %}{% for x in it %}{{ x }}{% break %}{% endfor %}{{ it | list }}",
    "{% set ns = namespace(f=false) %}{% for x in l if not ns.f %}{{ x }}{% set ns.f = true %}{% endfor %}", "{% for x in l %}{{ x }}{% else %}{% endfor %}{{ x }}",
    "{{ bos_token }}{% for m in messages %}{% if m.content is string %}<|{{ m.role }}|>{{ m.content | trim }}{% else %}{% for p in m.content %}{{ p.type }}{% if p.text is defined %}={{ p.text }}{% endif %};{% endfor %}{% endif %}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "{% for m in messages %}{{ m }}{% endfor %}", "{{ messages }}{{ tools }}", "{{ documents }}{{ documents is none }}", "{% set messages = messages[1:] %}{{ messages | length }}",
    "{% if messages[0].role == 'system' %}{% set start = 1 %}{% else %}{% set start = 0 %}{% endif %}{{ messages[start:] | length }}",
    "{% set t = 'a</think>b</think>c' %}{{ t.split('</think>')[-1] }}{{ t.split('</think>')[0].split('<think>')[-1] }}{{ '</think>' in t }}",
    "{% set x %}{% for i in range(3) %}{{ i }}{% endfor %}{% endset %}{{ x | int + 1 }}",
    "{% extends 'a' %}", "{% include 'a' %}", "{{ caller() }}", "{% call n() %}{% endcall %}", "{% call n %}{% endcall %}", "{{ raise_exception('a' ~ n) }}",
    "{% if false %}{{ raise_exception('a') }}{% endif %}ok", "{%set a=1%}{{a}}", "{%if n%}a{%endif%}", "{% if(n) %}a{% endif %}", "{% set a = (n == 7) %}{{ a }}", "{% set a = n if s else m %}{{ a }}", "{% for i in (1, 2) %}{{ i }}{% endfor %}", "{% for i in 1, 2 %}{{ i }}{% endfor %}",
    "{{ '{{' }}{{ '{%' }}", "{{ \"{% raw %}\" }}", "a{%- set b = 1 -%}\n\n  {{- b -}}\n  c", "{{ l | map('multiply', 2) }}", "{{ (l | map('nope')) is defined }}", "{{ '' if none else '' ~ 1 }}", "{{ d | tojson | safe }}", "{{ 'x' if 0 }}|{{ ('x' if 0) | length }}",
]


def cases():
    for line in EXPRESSIONS.strip("\n").replace("\\\nb", "\x00").split("\n"):
        start, depth, quote = 0, 0, ""
        for i, c in enumerate(line + "|"):
            # A bar between expressions has no space before it, outside of brackets and quotes.
            if quote:
                quote = "" if c == quote and line[i - 1] != "\\" else quote
            elif c in "'\"":
                quote = c
            elif c in "([{":
                depth += 1
            elif c in ")]}":
                depth -= 1
            elif c == "|" and depth == 0 and line[i - 1:i] != " ":
                text = line[start:i].replace("\x00", "\\\nb")
                start = i + 1
                if text.strip():
                    yield "{{ " + text + " }}"
    yield from TEMPLATES


def reference(template):
    rest = {k: v for k, v in DATA.items() if k not in ("messages", "tools", "documents", "add_generation_prompt")}
    try:
        return utils.render_jinja_template([DATA["messages"]], DATA["tools"], None, template, add_generation_prompt=True, **rest)[0][0], None
    except Exception as error:  # noqa: BLE001
        return None, f"{type(error).__name__}: {error}"


def main():
    found, reasons = [], []
    for template in dict.fromkeys(cases()):
        text, why = reference(template)
        if text is not None and (" at 0x" in text or "<function" in text or "built-in method" in text):
            continue  # an address
        found.append({"template": template, "text": text})
        reasons.append(why)
    if len(sys.argv) > 2 and sys.argv[1] == "--try":
        runner = template_check.Runner(sys.argv[2])
        bad = 0
        for case, why in zip(found, reasons):
            answer = runner.render(case["template"], DATA)
            if answer.get("text") != case["text"]:
                bad += 1
                print(f"{case['template']!r}\n   expected {case['text']!r} {why or ''}\n   got      {answer.get('text')!r} {answer.get('error', '')}")
        print(f"{len(found)} cases, {sum(c['text'] is None for c in found)} raise, {bad} different")
        return bad
    path = HERE / "templates" / "features.json"
    path.parent.mkdir(exist_ok=True)
    lines = ",\n".join("  " + json.dumps(case, ensure_ascii=True) for case in found)
    path.write_text(f'{{"now": {template_check.NOW}, "variables": {json.dumps(DATA)},\n "cases": [\n{lines}\n]}}\n')
    print(path, len(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
