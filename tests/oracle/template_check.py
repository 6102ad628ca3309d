#!/usr/bin/env python3
"""Renders every chat template of a folder (*.jinja, and the chat_template of *.json) with conversations of all kinds,
by transformers and by build/.../tests/render_templates, and compares text or failure.

    template_check.py FOLDER RUNNER [--show N]

Then the property that matters for safety: with every text of the conversation replaced by a marker, the marker lies
nowhere outside the ranges that are reported as data, and with every text replaced by the template's own control
tokens, no byte outside of those ranges changes.
"""
import argparse
import copy
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

os.environ["TZ"] = "UTC"
time.tzset()
from transformers.utils import chat_template_utils as utils  # noqa: E402

NOW = 1767225600 + 86400 * 45 + 3600 * 13 + 61  # some afternoon


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)


utils.datetime = FixedTime

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a place, now",
        "parameters": {"type": "object", "properties": {
            "place": {"type": "string", "description": "Town & land: \"Köln\", 'Nîmes'"},
            "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "exact": {"type": ["boolean", "null"]},
            "limits": {"type": "object", "properties": {"low": {"type": "number", "default": 0.5}}, "required": ["low"]}},
            "required": ["place"]},
        "return": {"type": "object", "description": "the weather"}}},
    {"type": "function", "function": {"name": "now", "description": "The time.\nIn two lines",
                                      "parameters": {"type": "object", "properties": {}}}},
]


def call(arguments, name="get_weather", ident="abcde1234"):
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "  Be brief. <b>&amp; 'kind'</b>\n"}
USER = {"role": "user", "content": "Hällo \"world\" 🙂!\n\n  {{ not a template }} "}
ASSISTANT = {"role": "assistant", "content": "Hi there.\n"}
ARGUMENTS = {"place": "Köln \"am\" Rhein", "days": [1, 2], "exact": True, "limits": {"low": 1.5}, "unit": None}


def conversations():
    """(name, variables): six kinds, some of them in more than one form."""
    yield "system", {"messages": [SYSTEM, USER, ASSISTANT, {"role": "user", "content": "And now?"}],
                     "add_generation_prompt": True}
    yield "nosystem", {"messages": [USER, ASSISTANT, USER, ASSISTANT], "add_generation_prompt": False}
    tool_chat = [SYSTEM, USER, {"role": "assistant", "content": "", "tool_calls": [call(ARGUMENTS)]},
                 {"role": "tool", "name": "get_weather", "tool_call_id": "abcde1234", "content": "{\"degrees\": 21.5}"},
                 {"role": "assistant", "content": "It is 21.5 degrees."}, {"role": "user", "content": "Thanks"}]
    yield "tools", {"messages": tool_chat, "tools": TOOLS, "add_generation_prompt": True}
    text_calls = copy.deepcopy(tool_chat)
    text_calls[2]["tool_calls"][0]["function"]["arguments"] = json.dumps(ARGUMENTS)
    text_calls[2]["content"] = None
    yield "tools-text", {"messages": text_calls, "tools": TOOLS, "add_generation_prompt": True}
    two = [USER, {"role": "assistant", "content": "Looking.", "tool_calls": [
        call({"place": "Rom"}), call({}, "now", "fghij5678")]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "abcde1234", "content": "18"},
        {"role": "tool", "name": "now", "tool_call_id": "fghij5678", "content": "noon"}]
    yield "tools-two", {"messages": two, "tools": TOOLS, "add_generation_prompt": True}
    yield "tools-bare", {"messages": [USER], "tools": [TOOLS[0]["function"]], "add_generation_prompt": True}
    parts = [{"role": "system", "content": [{"type": "text", "text": "Look well."}]},
             {"role": "user", "content": [{"type": "text", "text": "What is this? "}, {"type": "image", "image": "a.png"},
                                          {"type": "text", "text": "And this?"}]},
             {"role": "assistant", "content": [{"type": "text", "text": "A bridge."}]},
             {"role": "user", "content": [{"type": "text", "text": "Where?"}]}]
    yield "parts", {"messages": parts, "add_generation_prompt": True}
    thought = [USER, {"role": "assistant", "reasoning_content": "Let me see:\n1 + 1", "content": "2"},
               {"role": "user", "content": "Sure?"},
               {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nYes.", "thinking": "Hm."},
               {"role": "user", "content": "Good /no_think"}]
    yield "reasoning", {"messages": thought, "add_generation_prompt": True, "enable_thinking": True}
    yield "reasoning-off", {"messages": thought, "add_generation_prompt": True, "enable_thinking": False,
                            "thinking": False, "reasoning_effort": "low"}
    yield "reasoning-tools", {"messages": [USER, {"role": "assistant", "reasoning_content": "A tool.", "content": "",
                                                  "tool_calls": [call({"place": "Oslo", "n": 3})]},
                                           {"role": "tool", "tool_call_id": "abcde1234", "content": "cold"}],
                              "tools": TOOLS, "add_generation_prompt": True}
    yield "empty", {"messages": [], "add_generation_prompt": True}
    yield "empty-text", {"messages": [{"role": "user", "content": ""}], "add_generation_prompt": False}
    yield "prompt", {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True}
    yield "documents", {"messages": [USER], "documents": [{"title": "A title", "text": "Some text", "doc_id": 1}],
                        "add_generation_prompt": True}
    yield "developer", {"messages": [{"role": "developer", "content": "Rules"}, USER], "add_generation_prompt": True}
    yield "wrong", {"messages": [{"role": "assistant", "content": "I begin"}, {"role": "wizard", "content": "Boo"}],
                    "add_generation_prompt": True}


SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
TOKEN = re.compile(r"<[|｜][^<>|｜\s]{1,40}[|｜]>|</?[A-Za-z_]{1,30}>|\[/?[A-Z_]{2,30}\]|<[a-z_]+>")


def templates(folder):
    seen = set()
    for path in sorted(pathlib.Path(folder).rglob("*")):
        found = []
        if path.suffix in (".jinja", ".jinja2"):
            found = [(path.name, path.read_text(encoding="utf-8"))]
        elif path.suffix == ".json":
            try:
                value = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
            except (ValueError, AttributeError):
                continue
            if isinstance(value, str):
                found = [(path.name, value)]
            elif isinstance(value, list):
                found = [(f"{path.name}:{item['name']}", item["template"]) for item in value]
        for name, text in found:
            digest = hashlib.sha256(text.encode()).hexdigest()
            if text.strip() and digest not in seen:
                seen.add(digest)
                yield name, text


class Runner:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def render(self, template, variables):
        job = {"template": template, "variables": variables, "now": NOW}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def reference(template, variables):
    rest = {k: v for k, v in variables.items() if k not in ("messages", "tools", "documents", "add_generation_prompt")}
    try:
        return utils.render_jinja_template([variables["messages"]], variables.get("tools"), variables.get("documents"),
                                           template, add_generation_prompt=variables["add_generation_prompt"], **rest)[0][0], None
    except Exception as error:  # noqa: BLE001  whatever Python raises counts as a refusal
        return None, f"{type(error).__name__}: {error}"


ROLES = {"type", "role", "id", "tool_call_id", "enum", "required"}


def with_texts(value, change, key=None):
    """The value with every text of a message changed, but for what templates look at to choose their way."""
    if isinstance(value, str):
        return value if key in ROLES else change(value)
    if isinstance(value, list):
        return [with_texts(item, change, key) for item in value]
    if isinstance(value, dict):
        return {k: with_texts(item, change, k) for k, item in value.items()}
    return value


def of_others(messages, change):
    """Only what the assistant did not write: templates take apart its text, and spell <think> anew."""
    return [m if m["role"] == "assistant" else with_texts(m, change) for m in messages]


def outside(answer):
    """The template's own bytes, with a mark where data stood."""
    data = answer["text"].encode()
    pieces, at = [], 0
    for begin, end in answer["ranges"]:
        pieces.append(data[at:begin])
        at = end
    return pieces + [data[at:]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("runner")
    parser.add_argument("--show", type=int, default=5)
    options = parser.parse_args()
    runner = Runner(options.runner)
    counts = dict.fromkeys(["templates", "renders", "equal", "raised", "different", "leaks", "injections"], 0)
    for name, text in templates(options.folder):
        counts["templates"] += 1
        bad = 0
        tokens = sorted(set(TOKEN.findall(text)) | set(SPECIAL.values()))
        for kind, variables in conversations():
            variables = dict(SPECIAL, **variables)
            expected, why = reference(text, variables)
            answer = runner.render(text, variables)
            counts["renders"] += 1
            got = answer.get("text")
            if got == expected:
                counts["equal"] += expected is not None
                counts["raised"] += expected is None
            else:
                counts["different"] += 1
                bad += 1
                if counts["different"] <= options.show:
                    print(f"--- {name} / {kind}\nexpected: {expected!r} {why}\ngot:      {got!r} {answer.get('error')}\n")
            if got is None:
                continue
            # The texts of the messages are markers: none may be outside of the data.
            marked = dict(variables, messages=with_texts(variables["messages"], lambda s: "QxZjWvK"))
            marked_answer = runner.render(text, marked)
            if "text" in marked_answer and b"QxZjWvK" in b"\0".join(outside(marked_answer)):
                counts["leaks"] += 1
                print(f"LEAK {name} / {kind}")
            # The user's texts spell control tokens: no more of them are the template's own than with an empty text, or,
            # as templates leave out empty messages, with a plain word.
            bases = []
            for plain in ("", "word"):
                plain_answer = runner.render(text, dict(variables, messages=of_others(variables["messages"], lambda s: plain)))
                bases += [b"\0".join(outside(plain_answer))] if "text" in plain_answer else []
            if not bases:
                continue
            for change in (lambda s: " ".join(tokens), lambda s: tokens[len(s) % len(tokens)] + "x"):
                evil = runner.render(text, dict(variables, messages=of_others(variables["messages"], change)))
                own = b"\0".join(outside(evil)) if "text" in evil else b""
                for token in tokens:
                    if own.count(token.encode()) > max(base.count(token.encode()) for base in bases):
                        counts["injections"] += 1
                        print(f"MORE {token!r} {name} / {kind}")
        if bad:
            print(f"{bad:3} different: {name}")
    print(counts)
    return 1 if counts["different"] or counts["leaks"] or counts["injections"] else 0


if __name__ == "__main__":
    sys.exit(main())
