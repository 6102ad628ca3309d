#!/usr/bin/env python3
"""Writes tests/oracle/templates/builtins.json: what llama.cpp's own chat templates (src/llama-chat.cpp, compiled here)
make of a few conversations. make_builtins.py LLAMA_CPP_SOURCE"""
import json
import pathlib
import subprocess
import sys
import tempfile

MAIN = r"""
#include "llama-chat.cpp"
#include <cstdio>
#include <iostream>
static std::string unhex(const std::string & s) {
    std::string out;
    for (size_t i = 0; i + 1 < s.size(); i += 2) out += (char) std::stoi(s.substr(i, 2), nullptr, 16);
    return out;
}
// A line is NAME ADD ROLE HEX ROLE HEX ...: the text in hexadecimal.
int main() {
    std::string line;
    while (std::getline(std::cin, line)) {
        std::stringstream in(line);
        std::string name, role, hex;
        int add;
        in >> name >> add;
        std::vector<std::string> kept;
        while (in >> role >> hex) { kept.push_back(role); kept.push_back(hex == "-" ? "" : unhex(hex)); }
        std::vector<llama_chat_message> messages;
        for (size_t i = 0; i < kept.size(); i += 2) messages.push_back({kept[i].c_str(), kept[i + 1].c_str()});
        std::vector<const llama_chat_message *> chat;
        for (auto & m : messages) chat.push_back(&m);
        std::string out;
        llm_chat_apply_template(LLM_CHAT_TEMPLATES.at(name), chat, out, add);
        for (unsigned char c : out) printf("%02x", c);
        printf("\n");
    }
}
"""

CHATS = [
    ([("system", "Be brief. "), ("user", " Hi\nthere"), ("assistant", " Hello!  "), ("user", "Who are you?")], True),
    ([("user", "Hällo"), ("assistant", "Ja"), ("user", "x "), ("assistant", "y\n")], False),
    ([("user", "1"), ("system", "late"), ("tool", "result"), ("user", "")], True),
]


def main():
    source = pathlib.Path(sys.argv[1])
    names = [line.split('"')[1] for line in (source / "src/llama-chat.cpp").read_text().split("LLM_CHAT_TEMPLATES = {")[1]
             .split("};")[0].splitlines() if '"' in line]
    names = [name for name in names if name != "dots1"]
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "main.cpp").write_text(MAIN)
        subprocess.run(["g++", "-std=c++17", "-O0", "-w", f"-I{source}/src", f"-I{source}/include", f"-I{source}/ggml/include",
                        f"{folder}/main.cpp", "-o", f"{folder}/main"], check=True)
        jobs = [(name, chat, add) for name in names for chat, add in CHATS]
        lines = [f"{name} {int(add)} " + " ".join(f"{role} {text.encode().hex() or '-'}" for role, text in chat) for name, chat, add in jobs]
        answer = subprocess.run([f"{folder}/main"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    texts = [bytes.fromhex(line).decode() for line in answer.stdout.splitlines()]
    chats = [{"messages": [{"role": r, "content": t} for r, t in chat], "add_generation_prompt": add} for chat, add in CHATS]
    cases = [{"name": name, "chat": i % len(CHATS), "text": text} for i, ((name, _, _), text) in enumerate(zip(jobs, texts))]
    path = pathlib.Path(__file__).parent / "templates" / "builtins.json"
    rows = ",\n".join("  " + json.dumps(case, ensure_ascii=True) for case in cases)
    path.write_text(f'{{"chats": {json.dumps(chats)},\n "cases": [\n{rows}\n]}}\n')
    print(path, len(cases))


if __name__ == "__main__":
    main()
