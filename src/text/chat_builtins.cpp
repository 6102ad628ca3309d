// Chat templates by name for files that have none: as llama.cpp writes them under the same names (src/llama-chat.cpp),
// without a token for the text's beginning, which is the tokenizer's to add.
#include <algorithm>
#include <map>
#include <string>

#include "text/chat_template.h"

namespace godwit::jinja {
namespace {

// Content may be a list of parts, or none.
constexpr const char* kText =
    "{%- macro text(c) -%}{%- if c is string -%}{{ c }}{%- elif c -%}{%- for p in c -%}"
    "{%- if p is string -%}{{ p }}{%- elif p.text is defined -%}{{ p.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}";

// A template is: `before`, then `message` for each m with its role r and its content c, then `prompt` where the
// assistant is to answer.
struct Builtin {
  const char* name;
  const char* message;
  const char* prompt = "";
  const char* before = "";
};

#define LLAMA2(strip, again, system)                                                  \
  strip "{%- if not ns.open -%}{%- set ns.open = true -%}{{ '" again                  \
        "' }}{%- endif -%}{%- if r == 'system' -%}"                                   \
        "{{ " system                                                                  \
        " }}{%- elif r == 'user' -%}{{ c + ' [/INST]' }}{%- else -%}{{ c + '</s>' }}" \
        "{%- set ns.open = false -%}{%- endif -%}"
#define LLAMA2_SYSTEM R"('<<SYS>>\n' + c + '\n<</SYS>>\n\n')"
#define MISTRAL(lead, trail, answer)                                                \
  "{%- if not ns.open -%}{{ '" lead "[INST]" trail                                  \
  "' }}{%- set ns.open = true -%}{%- endif -%}"                                     \
  "{%- if r == 'system' -%}{{ c + '\\n\\n' }}{%- elif r == 'user' -%}{{ c + '" lead \
  "[/INST]' }}{%- else -%}"                                                         \
  "{{ '" trail "' + " answer " + '</s>' }}{%- set ns.open = false -%}{%- endif -%}"
#define MISTRAL7(trail)                                   \
  "{%- if r == 'system' -%}{{ '[SYSTEM_PROMPT]" trail     \
  "' + c + '[/SYSTEM_PROMPT]' }}{%- elif r == 'user' -%}" \
  "{{ '[INST]" trail "' + c + '[/INST]' }}{%- else -%}{{ '" trail "' + c + '</s>' }}{%- endif -%}"
// Text around the content for each of three roles; other messages are left out.
#define BY_ROLE(content, system, system_end, user, user_end, assistant, assistant_end) \
  "{%- if r == 'system' -%}{{ '" system "' + " content " + '" system_end               \
  "' }}"                                                                               \
  "{%- elif r == 'user' -%}{{ '" user "' + " content " + '" user_end                   \
  "' }}"                                                                               \
  "{%- elif r == 'assistant' -%}{{ '" assistant "' + " content " + '" assistant_end "' }}{%- endif -%}"

constexpr const char* kTurns = "{%- set ns = namespace(open=false) -%}";
constexpr const char* kLlama2 = "{%- set ns = namespace(open=true) -%}{{ '[INST] ' }}";
constexpr const char* kSystem = "{%- set ns = namespace(system='') -%}";
constexpr const char* kGranite =
    R"({{ '<|start_of_role|>' + r + '<|end_of_role|>' }}{%- if r == 'assistant_tool_call' -%}{{ '<|tool_call|>' }}{%- endif -%}{{ c + '<|end_of_text|>\n' }})";
constexpr const char* kGranite4 =
    R"({%- if r == 'assistant_tool_call' -%}{{ '<|start_of_role|>assistant<|end_of_role|><|tool_call|>' }}{%- else -%}{{ '<|start_of_role|>' + r + '<|end_of_role|>' }}{%- endif -%}{{ c + '<|end_of_text|>\n' }})";
constexpr const char* kGranitePrompt = "<|start_of_role|>assistant<|end_of_role|>";
constexpr const char* kBailing = "{{ '<role>' + ('HUMAN' if r == 'user' else r | upper) + '</role>' + c }}";
constexpr const char* kChatml = R"({{ '<|im_start|>' + r + '\n' + c + '<|im_end|>\n' }})";

const Builtin kBuiltins[] = {
    {"chatml", kChatml, "<|im_start|>assistant\\n"},
    {"qwen", kChatml, "<|im_start|>assistant\\n"},
    {"llama2", LLAMA2("", "[INST] ", R"(c + '\n')"), "", kLlama2},
    {"llama2-sys", LLAMA2("", "[INST] ", LLAMA2_SYSTEM), "", kLlama2},
    {"llama2-sys-bos", LLAMA2("", "<s>[INST] ", LLAMA2_SYSTEM), "", kLlama2},
    {"llama2-sys-strip", LLAMA2("{%- set c = c | trim -%}", "[INST] ", LLAMA2_SYSTEM), "", kLlama2},
    {"mistral", MISTRAL(" ", " ", "c"), "", kTurns},
    {"mistral-v1", MISTRAL(" ", " ", "c"), "", kTurns},
    {"mistral-v3", MISTRAL("", " ", "c | trim"), "", kTurns},
    {"mistral-v3-tekken", MISTRAL("", "", "c"), "", kTurns},
    {"mistral-v7", MISTRAL7(" ")},
    {"mistral-v7-tekken", MISTRAL7("")},
    {"phi3", R"({{ '<|' + r + '|>\n' + c + '<|end|>\n' }})", "<|assistant|>\\n"},
    {"phi4", "{{ '<|im_start|>' + r + '<|im_sep|>' + c + '<|im_end|>' }}", "<|im_start|>assistant<|im_sep|>"},
    {"falcon3", R"({{ '<|' + r + '|>\n' + c + '\n' }})", "<|assistant|>\\n"},
    {"zephyr", R"({{ '<|' + r + '|>\n' + c + (eos_token or '<|endoftext|>') + '\n' }})", "<|assistant|>\\n"},
    {"monarch", R"({{ ('' if loop.first else '<s>') + r + '\n' + c + '</s>\n' }})", "<s>assistant\\n"},
    {"gemma",
     R"({%- if r == 'system' -%}{%- set ns.system = ns.system + c | trim -%}{%- else -%}{{ '<start_of_turn>' + ('model' if r == 'assistant' else r) + '\n' }}{%- if ns.system and r != 'assistant' -%}{{ ns.system + '\n\n' }}{%- set ns.system = '' -%}{%- endif -%}{{ c | trim + '<end_of_turn>\n' }}{%- endif -%})",
     "<start_of_turn>model\\n", kSystem},
    {"orion",
     R"({%- if r == 'system' -%}{%- set ns.system = ns.system + c -%}{%- elif r == 'user' -%}{{ 'Human: ' }}{%- if ns.system -%}{{ ns.system + '\n\n' }}{%- set ns.system = '' -%}{%- endif -%}{{ c + '\n\nAssistant: </s>' }}{%- else -%}{{ c + '</s>' }}{%- endif -%})",
     "", kSystem},
    {"openchat",
     "{%- if r == 'system' -%}{{ c + '<|end_of_turn|>' }}{%- else -%}"
     "{{ 'GPT4 Correct ' + r | capitalize + ': ' + c + '<|end_of_turn|>' }}{%- endif -%}",
     "GPT4 Correct Assistant:"},
    {"vicuna", BY_ROLE("c", "", "\\n\\n", "USER: ", "\\n", "ASSISTANT: ", "</s>\\n"), "ASSISTANT:"},
    {"vicuna-orca", BY_ROLE("c", "SYSTEM: ", "\\n", "USER: ", "\\n", "ASSISTANT: ", "</s>\\n"), "ASSISTANT:"},
    {"deepseek", BY_ROLE("c", "", "", "### Instruction:\\n", "\\n", "### Response:\\n", "\\n<|EOT|>\\n"),
     "### Response:\\n"},
    {"deepseek2", BY_ROLE("c", "", "\\n\\n", "User: ", "\\n\\n", "Assistant: ", "<｜end▁of▁sentence｜>"), "Assistant:"},
    {"deepseek3", BY_ROLE("c", "", "\\n\\n", "<｜User｜>", "", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
     "<｜Assistant｜>"},
    {"deepseek-ocr", "{{ c }}"},
    {"command-r",
     BY_ROLE("c | trim", "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
             "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
             "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"},
    {"llama3", R"({{ '<|start_header_id|>' + r + '<|end_header_id|>\n\n' + c | trim + '<|eot_id|>' }})",
     "<|start_header_id|>assistant<|end_header_id|>\\n\\n"},
    {"llama4", R"({{ '<|header_start|>' + r + '<|header_end|>\n\n' + c | trim + '<|eot|>' }})",
     "<|header_start|>assistant<|header_end|>\\n\\n"},
    {"chatglm3", R"({{ '<|' + r + '|>\n ' + c }})", "<|assistant|>", "{{ '[gMASK]sop' }}"},
    {"chatglm4", R"({{ '<|' + r + '|>\n' + c }})", "<|assistant|>\\n", "{{ '[gMASK]<sop>' }}"},
    {"glmedge", R"({{ '<|' + r + '|>\n' + c }})", "<|assistant|>"},
    {"minicpm", "{{ '<用户>' + c | trim + '<AI>' if r == 'user' else c | trim }}"},
    {"exaone3",
     BY_ROLE("c | trim", "[|system|]", "[|endofturn|]\\n", "[|user|]", "\\n", "[|assistant|]", "[|endofturn|]\\n"),
     "[|assistant|]"},
    {"exaone4",
     BY_ROLE(
         "c | trim", "[|system|]", "[|endofturn|]\\n", "[|user|]", "\\n", "[|assistant|]",
         "[|endofturn|]\\n") R"({%- if r == 'tool' -%}{{ '[|tool|]' + c | trim + '[|endofturn|]\n' }}{%- endif -%})",
     "[|assistant|]"},
    {"exaone-moe",
     R"({%- if r in ['system', 'user', 'assistant', 'tool'] -%}{{ '<|' + r + '|>\n' + c | trim + '<|endofturn|>\n' }}{%- endif -%})",
     "<|assistant|>\\n"},
    {"rwkv-world",
     R"({%- if r == 'system' -%}{{ 'System: ' + c | trim + '\n\n' }}{%- elif r == 'user' -%}{{ 'User: ' + c | trim + '\n\n' + ('Assistant:' if loop.last else '') }}{%- elif r == 'assistant' -%}{{ 'Assistant: ' + c | trim + '\n\n' }}{%- endif -%})"},
    {"granite", kGranite, kGranitePrompt},
    {"granite-4.0", kGranite4, kGranitePrompt},
    {"granite-4.1", kGranite4, kGranitePrompt},
    {"gigachat",
     "{%- if r == 'system' and loop.first -%}{{ c + '<|message_sep|>' }}{%- elif r == 'user' -%}"
     "{{ 'user<|role_sep|>' + c + '<|message_sep|>available functions<|role_sep|>[]<|message_sep|>' }}"
     "{%- elif r == 'assistant' -%}{{ 'assistant<|role_sep|>' + c + '<|message_sep|>' }}{%- endif -%}",
     "assistant<|role_sep|>", "{{ '<s>' }}"},
    {"megrez", "{{ '<|role_start|>' + r + '<|role_end|>' + c + '<|turn_end|>' }}",
     "<|role_start|>assistant<|role_end|>"},
    {"yandex",
     R"({%- if r == 'user' -%}{{ ' Пользователь: ' + c + '\n\n' }}{%- elif r == 'assistant' -%}{{ ' Ассистент: ' + c + '\n\n' }}{%- endif -%})",
     " Ассистент:[SEP]"},
    {"bailing", kBailing, "<role>ASSISTANT</role>"},
    {"bailing-think", kBailing, "<role>ASSISTANT</role><think>"},
    {"bailing2",
     "{%- if loop.first and r != 'system' -%}{{ '<role>SYSTEM</role>detailed thinking off<|role_end|>' }}{%- endif -%}"
     "{{ '<role>' + ('HUMAN' if r == 'user' else r | upper) + '</role>' + c + '<|role_end|>' }}",
     "<role>ASSISTANT</role>"},
    {"smolvlm",
     R"({{ c + '\n\n' if r == 'system' else ('User: ' if r == 'user' else 'Assistant: ') + c + '<end_of_utterance>\n' }})",
     "Assistant:", "{{ '<|im_start|>' }}"},
    {"hunyuan-moe",
     "{%- if r == 'assistant' -%}{{ c + '<|eos|>' }}{%- else -%}"
     "{{ '<|startoftext|>' + c + ('<|extra_4|>' if r == 'system' else '<|extra_0|>') }}{%- endif -%}"},
    {"hunyuan-dense",
     "{%- if r == 'system' and loop.first -%}{{ c + '<｜hy_place▁holder▁no▁3｜>' }}{%- elif r == 'assistant' -%}"
     "{{ '<｜hy_Assistant｜>' + c + '<｜hy_place▁holder▁no▁2｜>' }}{%- elif r == 'user' -%}"
     "{{ '<｜hy_User｜>' + c + '<｜hy_Assistant｜>' }}{%- endif -%}"},
    {"hunyuan-vl",
     "{%- if r == 'system' and loop.first -%}{{ c + '<｜hy_place▁holder▁no▁3｜>' }}{%- elif r == 'user' -%}"
     "{{ c + '<｜hy_User｜>' }}{%- elif r == 'assistant' -%}{{ c + '<｜hy_Assistant｜>' }}{%- endif -%}",
     "", "{{ '<｜hy_begin▁of▁sentence｜>' }}"},
    {"gpt-oss", "{{ '<|start|>' + r + '<|message|>' + c + ('<|return|>' if r == 'assistant' else '<|end|>') }}",
     "<|start|>assistant"},
    {"kimi-k2",
     "{%- if r in ['user', 'assistant'] -%}{{ '<|im_' + r + '|>' + r + '<|im_middle|>' }}"
     "{%- elif r in ['system', 'tool'] -%}{{ '<|im_system|>' + r + '<|im_middle|>' }}{%- endif -%}"
     "{{ c + '<|im_end|>' }}",
     "<|im_assistant|>assistant<|im_middle|>"},
    {"seed_oss", R"({{ '<seed:bos>' + r + '\n' + (c | trim if r == 'assistant' else c) + '<seed:eos>' }})",
     "<seed:bos>assistant\\n"},
    {"grok-2",
     R"({%- if r == 'system' -%}{{ 'System: ' + c | trim + '<|separator|>\n\n' }}{%- elif r == 'user' -%}{{ 'Human: ' + c | trim + '<|separator|>\n\n' }}{%- elif r == 'assistant' -%}{{ 'Assistant: ' + c + '<|separator|>\n\n' }}{%- endif -%})",
     "Assistant:"},
    {"pangu-embedded",
     "{%- if loop.first and r != 'system' -%}{{ '[unused9]系统：[unused10]' }}{%- endif -%}"
     "{%- set names = {'system': '系统', 'user': '用户', 'assistant': '助手', 'tool': '工具', 'function': '方法'} -%}"
     "{%- if r in names -%}{{ '[unused9]' + names[r] + '：' + c + '[unused10]' }}{%- endif -%}",
     "[unused9]助手："},
    {"solar-open", "{{ '<|begin|>' + r + '<|content|>' + c + '<|end|>' }}", "<|begin|>assistant"},
};

#undef LLAMA2
#undef LLAMA2_SYSTEM
#undef MISTRAL
#undef MISTRAL7
#undef BY_ROLE

const std::map<std::string, std::string, std::less<>>& sources() {
  static const std::map<std::string, std::string, std::less<>> made = [] {
    std::map<std::string, std::string, std::less<>> all;
    for (const Builtin& one : kBuiltins) {
      std::string source = std::string(kText) + one.before +
                           "{%- for m in messages -%}{%- set r = m.role -%}{%- set c = text(m.content) -%}" +
                           one.message + "{%- endfor -%}";
      if (*one.prompt != '\0')
        source += std::string("{%- if add_generation_prompt -%}{{ '") + one.prompt + "' }}{%- endif -%}";
      all.emplace(one.name, std::move(source));
    }
    return all;
  }();
  return made;
}

}  // namespace
}  // namespace godwit::jinja

namespace godwit {

const char* builtin_template(std::string_view name) {
  const auto found = jinja::sources().find(name);
  return found == jinja::sources().end() ? nullptr : found->second.c_str();
}

std::vector<std::string> builtin_template_names() {
  std::vector<std::string> names;
  for (const auto& one : jinja::sources()) names.push_back(one.first);
  return names;
}

}  // namespace godwit
