// Chat templates: what jinja2 as transformers calls it makes of small templates (tests/oracle/make_templates.py), where
// bytes came from, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "text/chat_template.h"

namespace godwit::jinja {
namespace {

using ::testing::HasSubstr;

RenderedText render(const std::string& source, const Json& variables = Json::object(),
                    const std::vector<std::string>& trusted = {}) {
  return ChatTemplate(source, "a.jinja").render(variables, {}, trusted);
}

std::string failure(const std::string& source, const Json& variables = Json::object()) {
  try {
    render(source, variables);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
    return error.what();
  }
  return "no error";
}

/// The text with [ and ] around what came from data.
std::string marked(const RenderedText& rendered) {
  std::string out;
  size_t at = 0;
  for (const TextRange& range : rendered.from_data) {
    out += rendered.text.substr(at, range.begin - at) + "[" +
           rendered.text.substr(range.begin, range.end - range.begin) + "]";
    at = range.end;
  }
  return out + rendered.text.substr(at);
}

std::string origins(const std::string& source, const Json& variables = {{"s", "Data"}, {"n", 5}}) {
  return marked(render(source, variables));
}

TEST(ChatTemplate, RendersAsJinja2) {
  std::ifstream file(GODWIT_SOURCE_DIR "/tests/oracle/templates/features.json");
  std::stringstream text;
  text << file.rdbuf();
  const Json golden = parse_json(text.str(), "features.json");
  RenderLimits limits;
  limits.now = golden["now"].get<int64_t>();
  ASSERT_GT(golden["cases"].size(), 800u);
  for (const Json& one : golden["cases"]) {
    const std::string source = one["template"].get<std::string>();
    const Json& expected = one["text"];
    try {
      const RenderedText got = ChatTemplate(source, "case").render(golden["variables"], limits);
      if (expected.is_null()) {
        ADD_FAILURE() << source << "\n  should be refused, gave " << got.text;
      } else {
        EXPECT_EQ(got.text, expected.get<std::string>()) << source;
      }
    } catch (const Error& error) {
      EXPECT_TRUE(expected.is_null()) << source << "\n  " << error.what();
    }
  }
}

TEST(ChatTemplate, TellsDataFromItsOwnText) {
  EXPECT_EQ(origins("a{{ s }}b"), "a[Data]b");
  EXPECT_EQ(origins("{{ 'x' + s + 'y' }}{{ 'x' ~ n ~ s }}"), "x[Data]yx[5Data]");
  EXPECT_EQ(origins("{{ ('<' + s + '>') | upper }}"), "<[DATA]>");
  EXPECT_EQ(origins("{{ ('<' + s + '>')[2:] }}{{ ('<' + s + '>')[::-1] }}"), "[ata]>>[ataD]<");
  EXPECT_EQ(origins("{{ 'a-b' | replace('-', s) }}{{ s | replace('a', '-') }}"), "a[Data]b[D]-[t]-");
  EXPECT_EQ(origins("{{ ['x', s] | join('+') }}{{ s.split('a') | join(',') }}"), "x+[DataD],[t],");
  EXPECT_EQ(origins("{{ '%s=%s' % ('k', s) }}{{ '<{}>'.format(s) }}{{ '{:>6}'.format(s) }}"),
            "k=[Data]<[Data]>  [Data]");
  EXPECT_EQ(origins("{{ (' ' + s + ' ') | trim }}{{ ('x' + s).strip('xa') }}"), "[DataDat]");
  EXPECT_EQ(origins("{{ s | tojson }}{{ {'k': s} | tojson }}{{ {'k': 'v'} | tojson }}"),
            "[\"Data\"{\"k\": \"Data\"}]{\"k\": \"v\"}");
  EXPECT_EQ(origins("{{ [s] }}{{ ['t'] }}"), "[['Data']]['t']");
  EXPECT_EQ(origins("{{ n + 1 }}{{ 1 + 1 }}{{ s | length }}"), "[6]24");
  EXPECT_EQ(origins("{% set x %}a{{ s }}{% endset %}{{ x }}{% macro m(v) %}<{{ v }}>{% endmacro %}{{ m(s) }}"),
            "a[Data]<[Data]>");
  EXPECT_EQ(origins("{% filter lower %}A{{ s }}{% endfilter %}{{ s | indent }}{{ s | title }}{{ s | e }}"),
            "a[dataDataDataData]");
  EXPECT_EQ(origins("{{ 'abc' if s else 'd' }}{{ {'Data': 'own'}[s] }}"), "abcown");
  EXPECT_EQ(origins("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", {{"d", {{"a", 1}, {"b", "c"}}}}),
            "[a]=[1];[b]=[c];");
  EXPECT_EQ(origins("{% for c in 'a' ~ s %}{{ c }}.{% endfor %}"), "a.[D].[a].[t].[a].");
  EXPECT_EQ(origins("{{ ('a' ~ s ~ 'a') | center(8) }}|{{ ('é' ~ s ~ 'é') | truncate(3, true, '.', 0) }}"),
            " a[Data]a |é[D].");
}

TEST(ChatTemplate, TokensAndRolesAreTheTemplatesOwn) {
  const Json variables = {
      {"bos_token", "<s>"},
      {"extra", "E"},
      {"messages", {{{"role", "user"}, {"content", "hi"}}, {{"role", "im_end"}, {"content", "x"}}}}};
  const std::string source =
      "{{ bos_token }}{{ extra }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}";
  EXPECT_EQ(marked(render(source, variables)), "<s>[E]<|user|>[hi]<|[im_end]|>[x]");
  EXPECT_EQ(marked(render(source, variables, {"extra"})), "<s>E<|user|>[hi]<|[im_end]|>[x]");
  // A token's variable that is no text is data like any other.
  EXPECT_EQ(marked(render("{{ my_token.a }}", {{"my_token", {{"a", "b"}}}})), "[b]");
}

TEST(ChatTemplate, ReasoningHasTheNamesThatTemplatesRead) {
  const Json variables = {{"messages", {{{"role", "assistant"}, {"reasoning", "why"}}}}};
  EXPECT_EQ(
      render("{{ messages[0].reasoning_content }}{{ messages[0].thinking }}{{ messages[0].reasoning }}", variables)
          .text,
      "whywhywhy");
}

TEST(ChatTemplate, ToolsKeepTheOrderOfTheirKeys) {
  const Json variables = parse_json(R"({"tools": [{"z": 1, "a": {"y": [], "b": 1.0}}]})", "tools");
  EXPECT_EQ(render("{{ tools | tojson }}", variables).text, R"([{"z": 1, "a": {"y": [], "b": 1.0}}])");
  EXPECT_EQ(render("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}").text, "TrueTrueFalse");
}

TEST(ChatTemplate, SaysWhatItReads) {
  const ChatTemplate chat("{% if enable_thinking %}{{ messages }}{% endif %}{% set own = 1 %}{{ own }}", "a");
  EXPECT_TRUE(chat.uses("enable_thinking"));
  EXPECT_TRUE(chat.uses("messages"));
  EXPECT_FALSE(chat.uses("own"));
  EXPECT_FALSE(chat.uses("tools"));
  EXPECT_EQ(chat.hidden_characters(), 0u);
  EXPECT_EQ(ChatTemplate("a\u200b\u202eb", "a").hidden_characters(), 2u);
}

TEST(ChatTemplate, ErrorsNameThePlace) {
  EXPECT_EQ(failure("a\n{{ raise_exception('Roles must alternate') }}"), "a.jinja: line 2: Roles must alternate");
  EXPECT_EQ(failure("{% for x in y %}\n{% endif %}"),
            "a.jinja: line 2: unknown tag 'endif'; expected a statement or {% endfor or else %}");
  EXPECT_EQ(failure("{{ x.y }}"), "a.jinja: line 1: 'x' is undefined");
  EXPECT_EQ(failure("\n\n{{ 1 + 'a' }}"), "a.jinja: line 3: a int and a str cannot be added");
  EXPECT_THAT(failure("{{ x | frob }}"), HasSubstr("no filter named 'frob'"));
  EXPECT_THAT(failure("{{ [].append(1) }}"), HasSubstr("access to attribute 'append' of a list is unsafe"));
  EXPECT_THAT(failure("{{ s }}", {{"s", "\xff"}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(failure("\xff"), HasSubstr("not UTF-8"));
  EXPECT_THAT(failure("{{ x }}", Json::array()), HasSubstr("expected a JSON object"));
  EXPECT_LE(failure("{{ raise_exception('a\n\u202e' * 100000) }}").size(), 512u);
}

// What llama.cpp makes of the same conversations under the same names (tests/oracle/make_builtins.py).
TEST(BuiltinTemplates, AreThoseOfLlamaCpp) {
  std::ifstream file(GODWIT_SOURCE_DIR "/tests/oracle/templates/builtins.json");
  std::stringstream text;
  text << file.rdbuf();
  const Json golden = parse_json(text.str(), "builtins.json");
  ASSERT_GT(golden["cases"].size(), 100u);
  for (const Json& one : golden["cases"]) {
    const std::string name = one["name"].get<std::string>();
    const char* source = builtin_template(name);
    ASSERT_NE(source, nullptr) << name;
    const Json& chat = golden["chats"][one["chat"].get<size_t>()];
    EXPECT_EQ(render(source, chat).text, one["text"].get<std::string>()) << name;
  }
}

TEST(BuiltinTemplates, TakePartsAndNames) {
  const std::vector<std::string> names = builtin_template_names();
  EXPECT_GT(names.size(), 50u);
  EXPECT_EQ(builtin_template("no such"), nullptr);
  const Json parts = {
      {"messages",
       {{{"role", "user"},
         {"content",
          {{{"type", "text"}, {"text", "QQ"}}, {{"type", "image"}}, {{"type", "text"}, {"text", "<|im_end|>"}}}}},
        {{"role", "assistant"}, {"content", nullptr}}}}};
  for (const std::string& name : names) {
    const RenderedText rendered = ChatTemplate(builtin_template(name), name).render(parts);
    EXPECT_THAT(marked(rendered), HasSubstr("[QQ<|im_end|>]")) << name;
  }
}

}  // namespace
}  // namespace godwit::jinja
